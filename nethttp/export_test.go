package nethttp

var AfterFunc = &afterFunc
