package grammar

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBytes(t *testing.T) {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const host = "-._~!$%&'()*+,;=:0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		s := "a" + string([]byte{byte(c)})
		assert.Equal(t, slices.Contains([]byte(token), byte(c)), IsToken(s), "token %q", s)
		assert.Equal(t, slices.Contains([]byte(host), byte(c)), IsHost(s), "host %q", s)
		assert.Equal(t, c == '\t' || c >= ' ' && c != 0x7f, IsFieldValue(s), "value %q", s)
	}
	assert.False(t, IsToken(""))
	assert.True(t, IsFieldValue(""))
}

// internal/patchtests/p4_framing.c has the same tables.
func TestIsHost(t *testing.T) {
	for _, s := range []string{
		"", "x", "x:80", "x:", "[::1]:80", "[::1]", "[::ffff:1.2.3.4]:", "[ABCDEF::]:1", "[fe80::1%25lo]:80", "[fe80::1%lo]", "a,b", "%41", "a_b",
		"-._~!$&'()*+,;=%", "1.2.3.4:065536",
	} {
		assert.True(t, IsHost(s), "%q", s)
	}
	for _, s := range []string{
		"a b", "u@h", "h/a", "h?a", "h#a", "a\\b", "a\tb", "\xc3\xa9", "a, b", "<a>", "[::1", "[::1]x", "[::1]80", "[::1]]",
		"[[::1]]", "[zz]", "[]", "[1]", "[::1%]", "[::1%a:b]", "[::1%a[]", "[1%lo]", "[%lo]", "[v1.x]", "::1", "::1]", "a:b", "a:80:80", "a::80", "a:8 0", "a:-1",
		"a[::1]", "a]", "x:[::1]", ":80", ":",
	} {
		assert.False(t, IsHost(s), "%q", s)
	}
}

func TestCheckHosts(t *testing.T) {
	check := func(method string, same bool, all ...string) {
		for i := 0; i < len(all); i += 2 {
			for _, version := range []string{"HTTP/1.0", "HTTP/1.1"} {
				p := CheckHosts(method, all[i], version, all[i+1:i+2])
				if same {
					assert.Nil(t, p, "%s %q, Host %q", method, all[i], all[i+1])
				} else if assert.NotNil(t, p, "%s %q, Host %q", method, all[i], all[i+1]) {
					assert.Equal(t, 400, p.Status)
				}
			}
		}
	}
	check("GET", true,
		"http://h/", "h", "http://h", "h", "http://h?q", "h", "HTTP://h/x?y", "H", "http://H.Example/", "h.eXAMPLE",
		"http://h:80/", "h", "http://h/", "h:80", "http://h:/", "h", "http://h/", "h:", "http://h:/", "h:80",
		"http://h:81/", "h:81", "https://h:443/", "h", "HttpS://h", "h:443", "http://[::1]/", "[::1]:80",
		"http://[::A]:8", "[::a]:8", "http://%41/", "%41", "http://h/http://g/", "h", "http://h?@g", "h",
		"http://h/%2500?%00", "h", "//g/", "h", "/http://g/", "h", "*", "h", "ftp://g/", "h", "/?%00", "h", "/%0%30", "h",
		"/", "", "/a", "h:5")
	check("GET", false,
		"http://g/", "h", "http://h/", "", "http://h/", "h.", "http://hh/", "h", "http://h/", "hh", "http://h:81/", "h",
		"http://h/", "h:81", "http://h:81/", "h:8", "http://h:443/", "h", "https://h:80/", "h", "https://h/", "h:80",
		"https://g", "h", "http://g?h", "h", "http://h:080/", "h", "http://[::1]/", "[::2]", "http:///x", "", "http:///x", "h",
		"http://", "", "http://?x", "", "http://:80/", ":80", "http://:80/", "", "http://:/", "", "http://u@h/", "h",
		"http://h:80@g/", "h", "http://h#/", "h", "http://h\\/", "h", "http://h:x/", "h", "http://[::1/", "[::1]",
		"http://[::1]x/", "[::1]", "http://[zz]/", "h", "http://a:80:80/", "a", "http://::1/", "h", "/%00", "h",
		"/a%00/x.css", "h", "/%%00?", "h", "http://h/%00", "h", "http://h%00/", "h%00", "x%00", "h",
		"?", "h", "?x", "h", "?/x", "h", "%2f", "h", "%2Fx/y", "h", "%2a", "h", "%", "h", "%3fx", "h")
	check("CONNECT", true, "h:80", "h:80", "h:80", "h", "H:443", "h", "h", "h", "[::1]:1", "[::1]:1", "/a", "g", "h%2fx", "h%2fx")
	check("CONNECT", false, "g:80", "h", "h:80", "h:81", "h:80", "", ":80", "", "http://h/", "h", "h:80/", "h", "h:80?", "h",
		"*", "h", "../h", "h", "u@h:80", "h", "h:x", "h", "%2fx", "%2fx", "%41:80", "%41:80", "?x", "h")

	// A library that routes by the field knows of no host here.
	assert.NotNil(t, CheckHosts("GET", "http://h/", "HTTP/1.0", nil))
	assert.Nil(t, CheckHosts("GET", "/", "HTTP/1.0", nil))
}

func TestIsCleanPath(t *testing.T) {
	for _, s := range []string{
		"", "/", "/a", "/a/", "/a/b", "*", "h:80", "..", "/a.", "/.a", "/..a/...", "/a?x//../", "/?/../", "/%2", "/%", "/%zz/%2", "/%2b/%2e%2ea",
		"/%252e%252e/", "/a%2f", "/%252f%252f", "http://h", "http://h/", "HTTPS://h/a/", "http://h?//", "/a:/", "http:%2f%2fh/..", "/+2e+2e/",
	} {
		assert.True(t, IsCleanPath(s), "%q", s)
	}
	for _, s := range []string{
		"//", "//a", "/a//", "/a//b", "/.", "/..", "/./", "/../a", "/a/..", "/a/./b", "/a/.?x", "/%2e", "/%2E%2e/", "/.%2e", "/a%2f%2Fb", "/%2f", "/a/%2f",
		"/a%2f..", "/%/..", "/%zz/../%2", "http://h//", "http://h/..", "https://h/a/%2e%2e?", "/http://h/",
	} {
		assert.False(t, IsCleanPath(s), "%q", s)
	}
}

func TestIsVersion(t *testing.T) {
	for v, want := range map[string]bool{
		"HTTP/1.1": true, "HTTP/1.0": true, "HTTP/2.0": true, "HTTP/1.9": true,
		"": false, "HTTP/": false, "HTTP/1": false, "HTTP/1.": false, "HTTP/1.x": false, "HTTP/1.10": false,
		"HTTP/01.1": false, "http/1.1": false, "HTTP 1.1": false, "HTTP/1.1 ": false, " HTTP/1.1": false, "HTTP/1,1": false,
	} {
		assert.Equal(t, want, IsVersion(v), "%q", v)
	}
}

func TestElements(t *testing.T) {
	assert.Equal(t, []string{"a", "b c", "d"}, slices.Collect(Elements([]string{" a ,,\tb c", "", ",d,"})))
	assert.True(t, HasToken([]string{"x", "keep-alive, Close"}, "close"))
	assert.False(t, HasToken([]string{"closed", "close d"}, "close"))
}

func TestRequestFraming(t *testing.T) {
	for _, q := range []struct {
		version        string
		length, coding []string
		want           Framing
		status         int
	}{
		{version: "HTTP/1.1"},
		{"HTTP/1.1", []string{"5"}, nil, Framing{Length: 5}, 0},
		{"HTTP/1.0", []string{"005"}, nil, Framing{Length: 5}, 0},
		{"HTTP/1.1", []string{"9223372036854775807"}, nil, Framing{Length: 1<<63 - 1}, 0},
		{"HTTP/1.1", []string{"9223372036854775808"}, nil, Framing{}, 400},
		{"HTTP/1.1", []string{""}, nil, Framing{}, 400},
		{"HTTP/1.1", []string{"+5"}, nil, Framing{}, 400},
		{"HTTP/1.1", []string{"-0"}, nil, Framing{}, 400},
		{"HTTP/1.1", []string{"5_0"}, nil, Framing{}, 400},
		{"HTTP/1.1", []string{"5, 5"}, nil, Framing{}, 400},
		{"HTTP/1.1", []string{"5", "5"}, nil, Framing{}, 400},
		{"HTTP/1.1", nil, []string{"chunked"}, Framing{Chunked: true}, 0},
		{"HTTP/1.2", nil, []string{"Chunked"}, Framing{Chunked: true}, 0},
		{"HTTP/1.0", nil, []string{"chunked"}, Framing{}, 400},
		{"HTTP/1.1", []string{"0"}, []string{"chunked"}, Framing{}, 400},
		{"HTTP/1.1", []string{"5"}, []string{"identity"}, Framing{}, 400},
		{"HTTP/1.1", nil, []string{""}, Framing{}, 400},
		{"HTTP/1.1", nil, []string{",", " "}, Framing{}, 400},
		{"HTTP/1.1", nil, []string{"chunked, gzip"}, Framing{}, 400},
		{"HTTP/1.1", nil, []string{"chunked", "identity"}, Framing{}, 400},
		{"HTTP/1.1", nil, []string{"chunked", "CHUNKED"}, Framing{}, 400},
		{"HTTP/1.1", nil, []string{"gzip"}, Framing{}, 501},
		{"HTTP/1.1", nil, []string{"chun\u212aed"}, Framing{}, 501},
		{"HTTP/1.1", nil, []string{"gzip, chunked"}, Framing{}, 501},
		{"HTTP/1.1", nil, []string{"chunked;q=1"}, Framing{}, 501},
		{"HTTP/1.1", nil, []string{"chunked", ""}, Framing{}, 501},
	} {
		f, p := RequestFraming(q.version, q.length, q.coding)
		if q.status == 0 {
			assert.Nil(t, p, "%+v", q)
			assert.Equal(t, q.want, f, "%+v", q)
		} else if assert.NotNil(t, p, "%+v", q) {
			assert.Equal(t, q.status, p.Status, "%+v", q)
		}
	}
}

func TestResponseFraming(t *testing.T) {
	list := func(values ...string) []string { return values }
	for _, tc := range []struct {
		version        string
		length, coding []string
		want           Framing
		err            string
	}{
		{version: "HTTP/1.1", want: Framing{Length: -1}},
		{version: "HTTP/1.1", length: list("5"), want: Framing{Length: 5}},
		{version: "HTTP/1.0", length: list("05"), want: Framing{Length: 5}},
		{version: "HTTP/1.1", length: list("5", "5"), want: Framing{Length: 5}},
		{version: "HTTP/1.1", length: list("5 ,\t5"), want: Framing{Length: 5}},
		{version: "HTTP/1.1", length: list("5", "6"), err: "more than one"},
		{version: "HTTP/1.1", length: list("5,05"), err: "more than one"},
		{version: "HTTP/1.1", length: list("5,"), err: "more than one"},
		{version: "HTTP/1.1", length: list(""), err: "no number"},
		{version: "HTTP/1.1", length: list("+5"), err: "no number"},
		{version: "HTTP/1.1", length: list("5_0"), err: "no number"},
		{version: "HTTP/1.1", length: list(strings.Repeat("9", 100)), err: "out of range"},
		{version: "HTTP/1.1", coding: list("CHUNKED"), want: Framing{Length: -1, Chunked: true}},
		{version: "HTTP/1.1", coding: list("chunked"), length: list("5"), want: Framing{Length: 5, Chunked: true}},
		{version: "HTTP/1.1", coding: list("chunked"), length: list("x"), err: "no number"},
		{version: "HTTP/1.0", coding: list("chunked"), err: "HTTP/1.0"},
		{version: "HTTP/0.9", coding: list("chunked"), err: "HTTP/1.0"},
		{version: "HTTP/1.10", coding: list("chunked"), err: "none of HTTP"},
		{version: "http/1.0", err: "none of HTTP"},
		{version: "ICY", err: "none of HTTP"},
		{version: "HTTP/1.1", coding: list("chun\u212aed"), err: "not known"},
		{version: "HTTP/1.1", length: list("5\u00a0"), err: "no number"},
		{version: "HTTP/1.1", coding: list(""), err: "not known"},
		{version: "HTTP/1.1", coding: list("gzip, chunked"), err: "not known"},
		{version: "HTTP/1.1", coding: list("chunked", "chunked"), err: "not known"},
	} {
		f, err := ResponseFraming("GET", 200, tc.version, tc.length, tc.coding)
		if tc.err != "" {
			assert.ErrorContains(t, err, tc.err, "%q", tc)
			continue
		}
		assert.NoError(t, err, "%q", tc)
		assert.Equal(t, tc.want, f, "%q", tc)
	}
	_, err := ResponseFraming("GET", 200, "HTTP/1.1", list(strings.Repeat("9", 100)), nil)
	assert.ErrorIs(t, err, strconv.ErrRange)
	for _, tc := range []struct {
		method string
		status int
		length string
		want   Framing
		bad    bool
	}{
		{"GET", 200, "5", Framing{Length: 5}, false},
		{"HEAD", 200, "5", Framing{}, false},
		{"HEAD", 200, "x", Framing{}, true},
		{"head", 200, "5", Framing{Length: 5}, false},
		{"GET", 103, "5", Framing{}, false},
		{"GET", 204, "5", Framing{}, false},
		{"GET", 304, "x", Framing{}, true},
		{"GET", 304, "5", Framing{}, false},
		{"CONNECT", 200, "x", Framing{}, false},
		{"CONNECT", 404, "5", Framing{Length: 5}, false},
		{"CONNECT", 404, "x", Framing{}, true},
	} {
		f, err := ResponseFraming(tc.method, tc.status, "HTTP/1.1", list(tc.length), nil)
		if tc.bad {
			assert.Error(t, err, "%v", tc)
			continue
		}
		assert.NoError(t, err, "%v", tc)
		assert.Equal(t, tc.want, f, "%v", tc)
	}
}

func TestCheckHead(t *testing.T) {
	check := func(method, version string, fields ...string) int {
		_, p := CheckHead(method, "/", version, func(yield func(name, value string) bool) {
			for i := 0; i < len(fields); i += 2 {
				if !yield(fields[i], fields[i+1]) {
					return
				}
			}
		})
		if p == nil {
			return 0
		}
		return p.Status
	}
	assert.Zero(t, check("GET", "HTTP/1.1", "host", "x", "X", ""))
	assert.Zero(t, check("GET", "HTTP/1.0"))
	assert.Zero(t, check("POST", "HTTP/1.1", "content-length", "5", "Host", ""))
	assert.Equal(t, 400, check("G(T", "HTTP/1.1", "Host", "x"))
	assert.Equal(t, 400, check("GET", "/ HTTP/1.1"))
	assert.Equal(t, 400, check("GET", "HTTP/1.1", "Host", "x", "X ", "y"))
	assert.Equal(t, 400, check("GET", "HTTP/1.1", "Host", "x", "X", "\x7f"))
	assert.Equal(t, 400, check("GET", "HTTP/1.1", "Host", "x", "host", "x"))
	assert.Equal(t, 400, check("GET", "HTTP/1.1", "Host", "x, y"))
	assert.Equal(t, 400, check("GET", "HTTP/1.1", "Host", "x, "))
	assert.Equal(t, 400, check("GET", "HTTP/1.1", "Host", "x", "Content-Length", "5", "Transfer-Encoding", "chunked"))
	assert.Equal(t, 501, check("GET", "HTTP/1.1", "Host", "x", "transfer-encoding", "gzip"))
	assert.Equal(t, 400, check("GET", "HTTP/1.1"))
	assert.Equal(t, 400, check("GET", "HTTP/1.2"))
	_, p := CheckHead("GET", "http://g/", "HTTP/1.1", func(yield func(name, value string) bool) { yield("Host", "h") })
	assert.NotNil(t, p)
}
