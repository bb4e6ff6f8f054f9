package nng

//go:generate go run ../internal/apitable
