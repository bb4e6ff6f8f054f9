package nng_test

import (
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// A certificate with its key, as PEM and as Go's own types.
type certificate struct {
	*devcert.Cert
	cert, key string
}

// makeCert makes a certificate for names, signed by itself when issuer is nil.
func makeCert(issuer *certificate, names ...string) *certificate {
	make := devcert.SelfSigned
	if issuer != nil {
		make = issuer.Issue
	}
	return newCert(make(24*time.Hour, names...))
}

func newCert(c *devcert.Cert, err error) *certificate {
	if err != nil {
		panic(err)
	}
	return &certificate{c, c.CertPEM, c.KeyPEM}
}

// testCert is a self-signed certificate for localhost and 127.0.0.1. testCA is an
// authority, leafCert a certificate for localhost by it, and otherCert one that nobody
// trusts.
var (
	testCert  = sync.OnceValue(func() *certificate { return makeCert(nil, "localhost", "127.0.0.1") })
	testCA    = sync.OnceValue(func() *certificate { return newCert(devcert.Authority(24*time.Hour, "test authority")) })
	leafCert  = sync.OnceValue(func() *certificate { return makeCert(testCA(), "localhost") })
	otherCert = sync.OnceValue(func() *certificate { return makeCert(nil, "localhost") })
)

// serverTLS and clientTLS are configurations for the two sides of testCert.
func serverTLS(t testing.TB) *nng.TLSConfig {
	t.Helper()
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	require.NoError(t, err)
	t.Cleanup(func() { cfg.Close() })
	require.NoError(t, cfg.SetOwnCert(testCert().cert, testCert().key, ""))
	return cfg
}

func clientTLS(t testing.TB) *nng.TLSConfig {
	t.Helper()
	cfg, err := nng.NewTLSConfig(nng.TLSClient)
	require.NoError(t, err)
	t.Cleanup(func() { cfg.Close() })
	require.NoError(t, cfg.SetCAChain(testCert().cert, ""))
	require.NoError(t, cfg.SetServerName("localhost"))
	return cfg
}

// certPool is testCert for Go's own clients.
func certPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(testCert().cert))
	return pool
}
