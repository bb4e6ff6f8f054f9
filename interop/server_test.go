package interop

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// starting keeps servers for port 0 apart: until one is started, all who ask for it
// get the same, which is nng's rule.
var starting sync.Mutex

// newServer starts a server of handlers made with package nng and returns its URL.
func newServer(t *testing.T, cfg *nng.TLSConfig) (url string) {
	t.Helper()
	scheme := "http"
	if cfg != nil {
		scheme = "https"
	}
	starting.Lock()
	defer starting.Unlock()
	srv, err := nng.HoldServer(scheme + "://127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	if cfg != nil {
		require.NoError(t, srv.SetTLS(cfg))
	}
	hello, err := nng.NewHandler("/hello", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		return reply([]byte("hello\n"))
	})
	require.NoError(t, err)
	require.NoError(t, srv.AddHandler(hello))
	echo, err := nng.NewHandler("/echo", func(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
		return reply(req.Data())
	})
	require.NoError(t, err)
	require.NoError(t, echo.SetMethod("POST"))
	require.NoError(t, srv.AddHandler(echo))
	require.NoError(t, srv.Start())
	addr, err := srv.Addr()
	require.NoError(t, err)
	return scheme + "://" + addr.String()
}

func reply(body []byte) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	return res, res.CopyData(body)
}

// A certificate is self-signed, for localhost and 127.0.0.1.
type certificate struct {
	certFile, keyFile string
}

func newCertificate(t *testing.T) certificate {
	t.Helper()
	cert, err := devcert.SelfSigned(24*time.Hour, "localhost", "127.0.0.1")
	require.NoError(t, err)
	dir := t.TempDir()
	c := certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	require.NoError(t, os.WriteFile(c.certFile, []byte(cert.CertPEM), 0o600))
	require.NoError(t, os.WriteFile(c.keyFile, []byte(cert.KeyPEM), 0o600))
	return c
}

// config is a server's TLS configuration with the certificate.
func (c certificate) config(t *testing.T) *nng.TLSConfig {
	t.Helper()
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	require.NoError(t, err)
	t.Cleanup(func() { cfg.Close() })
	require.NoError(t, cfg.SetOwnCertFiles(c.certFile, c.keyFile, ""))
	return cfg
}
