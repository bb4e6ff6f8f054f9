package nng_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func upstreamNeedsTLS(t *testing.T) {
	t.Helper()
	upstreamNeedsHTTP(t)
	if nng.LinkInfo().TLSEngine == "none" {
		t.Skip("this libnng has no TLS")
	}
}

func upstreamTLSConfig(t *testing.T, mode nng.TLSMode) *nng.TLSConfig {
	t.Helper()
	cfg, err := nng.NewTLSConfig(mode)
	require.NoError(t, err)
	t.Cleanup(func() { cfg.Close() })
	return cfg
}

// supplemental/tls/tls_test.c. Newer releases add tests of pre-shared keys, which
// tls.h of 1.5 does not have.
func TestUpstreamTLS(t *testing.T) {
	upstreamNeedsTLS(t)
	t.Run("tls config version", func(t *testing.T) {
		cfg := upstreamTLSConfig(t, nng.TLSServer)
		require.ErrorIs(t, cfg.SetVersion(nng.TLS13, nng.TLS10), nng.ErrNotSupported)
		require.ErrorIs(t, cfg.SetVersion(nng.TLS10-1, nng.TLS10), nng.ErrNotSupported)
		require.ErrorIs(t, cfg.SetVersion(nng.TLS10, nng.TLS13+1), nng.ErrNotSupported)
		require.NoError(t, cfg.SetVersion(nng.TLS12, nng.TLS12))
		require.NoError(t, cfg.SetVersion(nng.TLS12, nng.TLS13))
	})
	t.Run("tls conn refused", func(t *testing.T) {
		cli, err := nng.NewClient("https://" + upstreamFreeAddress(t))
		require.NoError(t, err)
		defer cli.Close()
		require.NoError(t, cli.SetTLS(clientTLS(t)))
		_, err = cli.Connect(timeout(t, 5*time.Second))
		require.ErrorIs(t, err, nng.ErrConnRefused)
	})
	t.Run("tls large message", func(t *testing.T) {
		client, server := mustPipe(t, newPair(t, true, true))
		sent := make([]byte, 450001)
		for i := range sent {
			sent[i] = byte(rand.Uint32())
		}
		wrote := make(chan error, 1)
		go func() { wrote <- server.(*nng.Conn).WriteAll(timeout(t, 10*time.Second), sent) }()
		got := make([]byte, len(sent))
		require.NoError(t, client.(*nng.Conn).ReadAll(timeout(t, 10*time.Second), got))
		require.NoError(t, <-wrote)
		assert.True(t, string(sent) == string(got), "the bytes differ")
	})
	t.Run("tls garbled cert", func(t *testing.T) {
		garbled := []byte(testCert().cert)
		for i := 100; i < 120; i++ { // inside of the base64 text
			garbled[i] = 'X'
		}
		cfg := upstreamTLSConfig(t, nng.TLSServer)
		require.ErrorIs(t, cfg.SetOwnCert(string(garbled), testCert().key, ""), nng.ErrCrypto)
	})
}

// upstreamFreeAddress is one where nobody listens.
func upstreamFreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// supplemental/websocket/wssfile_test.c, and of tests/tls.c what is about
// certificates: with https instead of wss and tls+tcp.
func TestUpstreamTLSFile(t *testing.T) {
	upstreamNeedsTLS(t)
	dir := t.TempDir()
	caFile := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(caFile, []byte(testCert().cert), 0o600))
	certKeyFile := filepath.Join(dir, "certkey.pem")
	require.NoError(t, os.WriteFile(certKeyFile, []byte(testCert().cert+"\r\n"+testCert().key+"\r\n"), 0o600))

	start := func(t *testing.T, mode nng.TLSAuthMode) (url string) {
		cfg := upstreamTLSConfig(t, nng.TLSServer)
		require.NoError(t, cfg.SetCertKeyFile(certKeyFile, ""))
		require.NoError(t, cfg.SetCAFile(caFile))
		require.NoError(t, cfg.SetAuthMode(mode))
		return "https://" + address(t, newServerURL(t, "https://127.0.0.1:0", cfg, newHandler(t, "/", text("hello"))))
	}
	// The connection is kept open: an untouched nng may lose the end of a reply over
	// TLS when it closes the connection behind it (defect X2).
	get := func(t *testing.T, url string, setup func(*nng.TLSConfig) error) (string, error) {
		cfg := upstreamTLSConfig(t, nng.TLSClient)
		require.NoError(t, setup(cfg))
		cli, req, _ := upstreamClient(t, url)
		require.NoError(t, cli.SetTLS(cfg))
		conn, err := cli.Connect(timeout(t, 10*time.Second))
		require.NoError(t, err) // the handshake comes with the first write
		t.Cleanup(func() { conn.Close() })
		r, err := upstreamExchange(t, conn, req)
		return r.body, err
	}
	trusting := func(cfg *nng.TLSConfig) error {
		if err := cfg.SetServerName("localhost"); err != nil {
			return err
		}
		return cfg.SetCAFile(caFile)
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		require.Error(t, err)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	}

	t.Run("wss file invalid verify", func(t *testing.T) {
		// Which error it is depends on timing, as upstream's test says too.
		_, err := get(t, start(t, nng.TLSAuthNone), func(cfg *nng.TLSConfig) error { return cfg.SetAuthMode(nng.TLSAuthRequired) })
		refused(t, err)
		_, err = get(t, start(t, nng.TLSAuthNone), func(cfg *nng.TLSConfig) error {
			if err := cfg.SetServerName("example.com"); err != nil {
				return err
			}
			return cfg.SetCAFile(caFile)
		})
		refused(t, err)
	})
	t.Run("wss file no verify", func(t *testing.T) {
		body, err := get(t, start(t, nng.TLSAuthNone), func(cfg *nng.TLSConfig) error {
			if err := trusting(cfg); err != nil {
				return err
			}
			if err := cfg.SetServerName("example.com"); err != nil {
				return err
			}
			return cfg.SetAuthMode(nng.TLSAuthOptional)
		})
		require.NoError(t, err)
		assert.Equal(t, "hello", body)
	})
	t.Run("wss file verify works", func(t *testing.T) {
		body, err := get(t, start(t, nng.TLSAuthNone), trusting)
		require.NoError(t, err)
		assert.Equal(t, "hello", body)
	})
	t.Run("wss file ca cert missing", func(t *testing.T) {
		missing := filepath.Join(dir, "no-such-file.pem")
		require.ErrorIs(t, upstreamTLSConfig(t, nng.TLSServer).SetCertKeyFile(missing, ""), nng.ErrNotFound)
		require.ErrorIs(t, upstreamTLSConfig(t, nng.TLSClient).SetCAFile(missing), nng.ErrNotFound)
	})

	// tests/tls.c: the server asks the client for a certificate.
	withCert := func(cfg *nng.TLSConfig) error {
		if err := cfg.SetCertKeyFile(certKeyFile, ""); err != nil {
			return err
		}
		return trusting(cfg)
	}
	t.Run("Verify works", func(t *testing.T) {
		_, err := get(t, start(t, nng.TLSAuthRequired), trusting)
		refused(t, err)
	})
	t.Run("No verify works", func(t *testing.T) {
		body, err := get(t, start(t, nng.TLSAuthOptional), trusting)
		require.NoError(t, err)
		assert.Equal(t, "hello", body)
	})
	t.Run("Valid verify works", func(t *testing.T) {
		body, err := get(t, start(t, nng.TLSAuthRequired), withCert)
		require.NoError(t, err)
		assert.Equal(t, "hello", body)
	})
}
