package nng_test

import (
	"strings"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRedirectLocation(t *testing.T) {
	const good = "http://good.example"
	for _, q := range []struct{ path, where, target, want string }{
		{"/", good, "/.evil.example/", good + "/.evil.example/"},
		{"/", good, "/@evil.example/", good + "/@evil.example/"},
		{"/", good, "/", good},
		{"/", good, "/?a=b", good + "?a=b"},
		{"/", good + "/", "/a", good + "/a"},
		{"/old", good, "/old%2f.evil.example/", good + "/%2f.evil.example/"},
		{"/old", good + "/new", "/old/a?b", good + "/new/a?b"},
		{"/old/", good + "/new/", "/old/a", good + "/new/a"},
		{"/", "/", "//evil.example/", "/evil.example/"},
		{"/old", "/", "/old//evil.example/", "/evil.example/"},
		{"/old", "/", `/old/\evil.example/`, "/evil.example/"},
		{"/", good, "/<script>", good + "/<script>"},
	} {
		h := must(t)(nng.NewRedirectHandler(q.path, 307, q.where))
		require.NoError(t, h.SetTree())
		srv := newServer(t, h)
		got := exchange(t, address(t, srv), "GET "+q.target+" HTTP/1.1\r\n"+hostClose)
		head, page, _ := strings.Cut(got, "\r\n\r\n")
		assert.Equal(t, []string{"307"}, statuses(head), "%+v", q)
		assert.Contains(t, head+"\r\n", "\r\nLocation: "+q.want+"\r\n", "%+v", q)
		assert.NotContains(t, page, "<script>")
		require.NoError(t, srv.Close())
	}
}
