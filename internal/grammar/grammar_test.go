package grammar

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBytes(t *testing.T) {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const host = "-._~!$%&'()*+,;=:[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		s := "a" + string([]byte{byte(c)})
		assert.Equal(t, slices.Contains([]byte(token), byte(c)), IsToken(s), "token %q", s)
		assert.Equal(t, slices.Contains([]byte(host), byte(c)), IsHost(s), "host %q", s)
		assert.Equal(t, c == '\t' || c >= ' ' && c != 0x7f, IsFieldValue(s), "value %q", s)
	}
	assert.False(t, IsToken(""))
	assert.True(t, IsHost(""))
	assert.True(t, IsFieldValue(""))
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

func TestCheckHead(t *testing.T) {
	check := func(method, version string, fields ...string) int {
		_, p := CheckHead(method, version, func(yield func(name, value string) bool) {
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
}
