package nng_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// needTLS leaves a test that has nothing to test without TLS.
func needTLS(t testing.TB) {
	t.Helper()
	if nng.TLSEngineName() == "none" {
		t.Skip("this libnng has no TLS")
	}
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
}

// lockedKey is the certificate's key behind a password.
func (c *certificate) lockedKey(t testing.TB, password string) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(c.Key)
	require.NoError(t, err)
	//lint:ignore SA1019 nng's TLS engine reads this form, and it is a test
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte(password), x509.PEMCipherAES128)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(block))
}

func newTLSConfig(t testing.TB, mode nng.TLSMode, set ...func(*nng.TLSConfig) error) *nng.TLSConfig {
	t.Helper()
	cfg, err := nng.NewTLSConfig(mode)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cfg.Close()) })
	for _, s := range set {
		require.NoError(t, s(cfg))
	}
	return cfg
}

func ownCert(c *certificate) func(*nng.TLSConfig) error {
	return func(cfg *nng.TLSConfig) error { return cfg.SetOwnCert(c.cert, c.key, "") }
}

func trust(c *certificate) func(*nng.TLSConfig) error {
	return func(cfg *nng.TLSConfig) error { return cfg.SetCAChain(c.cert, "") }
}

func expect(name string) func(*nng.TLSConfig) error {
	return func(cfg *nng.TLSConfig) error { return cfg.SetServerName(name) }
}

// fetch gets a page from an https server of nng with a client of nng.
func fetch(t testing.TB, srv *nng.Server, cfg *nng.TLSConfig) error {
	t.Helper()
	return fetchURL(t, "https://"+address(t, srv), cfg)
}

func fetchURL(t testing.TB, url string, cfg *nng.TLSConfig) error {
	t.Helper()
	client := newClient(t, url)
	if cfg != nil {
		require.NoError(t, client.SetTLS(cfg))
	}
	res := newResponse(t)
	err := client.Transact(timeout(t, 5*time.Second), newRequest(t, url), res)
	if err == nil {
		assert.Equal(t, "secret", string(res.Data()))
	}
	return err
}

// secureServer is an https server that answers "secret".
func secureServer(t testing.TB, set ...func(*nng.TLSConfig) error) *nng.Server {
	t.Helper()
	return newServerURL(t, "https://127.0.0.1:0", newTLSConfig(t, nng.TLSServer, set...), newHandler(t, "/", text("secret")))
}

// quiet is a log for Go's servers, which tell of each handshake that fails.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// notTrusted asserts that a handshake has failed over a certificate. nng says
// ErrPeerAuth or ErrCrypto, depending on whether a write or a read meets it first.
func notTrusted(t testing.TB, err error) {
	t.Helper()
	require.Error(t, err)
	assert.True(t, errors.Is(err, nng.ErrPeerAuth) || errors.Is(err, nng.ErrCrypto), "%v", err)
}

func TestTLSEngine(t *testing.T) {
	needTLS(t)
	assert.Equal(t, "mbed", nng.TLSEngineName())
	assert.Contains(t, strings.ToLower(nng.TLSEngineDescription()), "mbed")
	assert.False(t, nng.TLSEngineFIPSMode())
}

func TestTLSTrust(t *testing.T) {
	needTLS(t)
	srv := secureServer(t, ownCert(leafCert()))
	assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))

	t.Run("wrong name", func(t *testing.T) {
		notTrusted(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("elsewhere"))))
	})
	t.Run("wrong authority", func(t *testing.T) {
		notTrusted(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(otherCert()), expect("localhost"))))
	})
	t.Run("no authority", func(t *testing.T) {
		notTrusted(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, expect("localhost"))))
	})
	t.Run("no configuration", func(t *testing.T) {
		notTrusted(t, fetch(t, srv, nil))
	})
	t.Run("no verification", func(t *testing.T) {
		anybody := func(cfg *nng.TLSConfig) error { return cfg.SetAuthMode(nng.TLSAuthNone) }
		assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, anybody)))
	})
	t.Run("several authorities", func(t *testing.T) {
		assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(otherCert()), trust(testCA()), expect("localhost"))))
	})
	t.Run("name from the URL", func(t *testing.T) {
		_, port, err := net.SplitHostPort(address(t, srv))
		require.NoError(t, err)
		cfg := newTLSConfig(t, nng.TLSClient, trust(testCA()))
		assert.NoError(t, fetchURL(t, "https://localhost:"+port, cfg))
		// Without a name nng would take any certificate of the authority (CL23).
		// 127.0.0.1 is not localhost.
		notTrusted(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()))))
	})
	t.Run("Go's client", func(t *testing.T) {
		pool := x509.NewCertPool()
		pool.AddCert(testCA().Leaf)
		conn, err := tls.Dial("tcp", address(t, srv), &tls.Config{RootCAs: pool, ServerName: "localhost"})
		require.NoError(t, err)
		assert.Equal(t, uint16(tls.VersionTLS12), conn.ConnectionState().Version)
		require.NoError(t, conn.Close())
	})
}

// A server without a certificate listens, and no handshake with it succeeds.
func TestTLSServerWithoutCert(t *testing.T) {
	needTLS(t)
	for name, cfg := range map[string]*nng.TLSConfig{"no configuration": nil, "no certificate": newTLSConfig(t, nng.TLSServer)} {
		t.Run(name, func(t *testing.T) {
			srv := newServerURL(t, "https://127.0.0.1:0", cfg, newHandler(t, "/", text("secret")))
			_, err := tls.Dial("tcp", address(t, srv), &tls.Config{InsecureSkipVerify: true})
			require.Error(t, err)
			require.Error(t, fetch(t, srv, clientTLS(t)))
		})
	}
}

func TestTLSFiles(t *testing.T) {
	needTLS(t)
	dir := t.TempDir()
	leaf := leafCert()
	both, ca := filepath.Join(dir, "both.pem"), filepath.Join(dir, "ca.pem")
	writeFile(t, both, leaf.cert+leaf.key)
	writeFile(t, ca, testCA().cert)
	srv := secureServer(t, func(cfg *nng.TLSConfig) error { return cfg.SetCertKeyFile(both, "") })
	fromFile := func(cfg *nng.TLSConfig) error { return cfg.SetCAFile(ca) }
	assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, fromFile, expect("localhost"))))
}

func TestTLSPassword(t *testing.T) {
	needTLS(t)
	leaf := leafCert()
	locked := leaf.lockedKey(t, "open sesame")
	file := filepath.Join(t.TempDir(), "locked.pem")
	writeFile(t, file, leaf.cert+locked)
	client := newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))
	for name, set := range map[string]func(cfg *nng.TLSConfig, password string) error{
		"text": func(cfg *nng.TLSConfig, password string) error { return cfg.SetOwnCert(leaf.cert, locked, password) },
		"file": func(cfg *nng.TLSConfig, password string) error { return cfg.SetCertKeyFile(file, password) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newTLSConfig(t, nng.TLSServer)
			for _, wrong := range []string{"", "wrong", "open sesame "} {
				err := set(cfg, wrong)
				require.Error(t, err, "the password %q", wrong)
				assert.True(t, errors.Is(err, nng.ErrCrypto) || errors.Is(err, nng.ErrPeerAuth), "%v", err)
			}
			srv := secureServer(t, func(cfg *nng.TLSConfig) error { return set(cfg, "open sesame") })
			assert.NoError(t, fetch(t, srv, client))
		})
	}

	// Declared in tls.h, and in no library with TLS.
	cfg := newTLSConfig(t, nng.TLSServer)
	assert.ErrorIs(t, cfg.SetKey([]byte(leaf.key)), nng.ErrNotSupported)
	assert.ErrorIs(t, cfg.SetPass("open sesame"), nng.ErrNotSupported)
}

// A revoked certificate is refused.
func TestTLSRevoked(t *testing.T) {
	needTLS(t)
	leaf, ca := leafCert(), testCA()
	list := func(serial *big.Int) string {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number:     big.NewInt(1),
			ThisUpdate: time.Now().Add(-time.Hour),
			NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{
				{SerialNumber: serial, RevocationTime: time.Now().Add(-time.Hour)},
			},
		}, ca.Leaf, ca.Key)
		require.NoError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	}
	srv := secureServer(t, ownCert(leaf))
	chain := func(crl string) *nng.TLSConfig {
		return newTLSConfig(t, nng.TLSClient, expect("localhost"), func(cfg *nng.TLSConfig) error { return cfg.SetCAChain(ca.cert, crl) })
	}
	assert.NoError(t, fetch(t, srv, chain(list(big.NewInt(999)))), "another one is revoked")
	notTrusted(t, fetch(t, srv, chain(list(leaf.Leaf.SerialNumber))))

	file := filepath.Join(t.TempDir(), "ca-and-crl.pem")
	writeFile(t, file, ca.cert+list(leaf.Leaf.SerialNumber))
	fromFile := func(cfg *nng.TLSConfig) error { return cfg.SetCAFile(file) }
	notTrusted(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, expect("localhost"), fromFile)))
}

func TestTLSVersions(t *testing.T) {
	needTLS(t)
	cfg := newTLSConfig(t, nng.TLSClient)
	for _, bad := range [][2]nng.TLSVersion{
		{nng.TLS12, nng.TLS11}, {nng.TLS13, nng.TLS10}, {0, 0}, {7, nng.TLS12}, {nng.TLS12, 7}, {nng.TLS13 + 1, nng.TLS13 + 1}, {-1, -1},
	} {
		assert.ErrorIs(t, cfg.SetVersion(bad[0], bad[1]), nng.ErrNotSupported, "%#x", bad)
	}
	only := func(v nng.TLSVersion) func(*nng.TLSConfig) error {
		return func(cfg *nng.TLSConfig) error { return cfg.SetVersion(v, v) }
	}
	srv := secureServer(t, ownCert(leafCert()), only(nng.TLS12))
	assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"), only(nng.TLS12))))
	range3 := func(cfg *nng.TLSConfig) error { return cfg.SetVersion(nng.TLS10, nng.TLS13) }
	assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"), range3)), "what both have")

	_, err := tls.Dial("tcp", address(t, srv), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	assert.Error(t, err, "nothing in common")
}

// What a limit says is what the handshake ends with, on both sides. Go is the other one.
func TestTLSMinVersion(t *testing.T) {
	needTLS(t)
	own, err := tls.X509KeyPair([]byte(leafCert().cert), []byte(leafCert().key))
	require.NoError(t, err)
	limits := func(lowest, highest nng.TLSVersion) func(*nng.TLSConfig) error {
		return func(cfg *nng.TLSConfig) error { return cfg.SetVersion(lowest, highest) }
	}
	atLeast := func(lowest nng.TLSVersion) func(*nng.TLSConfig) error {
		return func(cfg *nng.TLSConfig) error { return cfg.SetMinVersion(lowest) }
	}
	byDefault := func(*nng.TLSConfig) error { return nil }
	old := newTLSConfig(t, nng.TLSClient).SetMinVersion(nng.TLS11) == nil // mbedTLS 3 has only 1.2 and newer
	for _, c := range []struct {
		name    string
		set     func(*nng.TLSConfig) error
		old     bool
		highest uint16 // of the peer
		want    uint16 // 0 means that they have nothing in common
	}{
		{"default", byDefault, false, tls.VersionTLS12, tls.VersionTLS12},
		{"default, old peer", byDefault, false, tls.VersionTLS11, 0},
		{"1.2", atLeast(nng.TLS12), false, tls.VersionTLS13, tls.VersionTLS12},
		{"1.2, old peer", atLeast(nng.TLS12), false, tls.VersionTLS11, 0},
		{"1.1", atLeast(nng.TLS11), true, tls.VersionTLS12, tls.VersionTLS12},
		{"1.1, old peer", atLeast(nng.TLS11), true, tls.VersionTLS11, tls.VersionTLS11},
		{"1.1, older peer", atLeast(nng.TLS11), true, tls.VersionTLS10, 0},
		{"1.0, older peer", atLeast(nng.TLS10), true, tls.VersionTLS10, tls.VersionTLS10},
		{"at most 1.1", limits(nng.TLS10, nng.TLS11), true, tls.VersionTLS13, tls.VersionTLS11},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.old && !old {
				t.Skip("the engine has no version before 1.2")
			}
			peer := &tls.Config{
				MinVersion: tls.VersionTLS10, MaxVersion: c.highest,
				Certificates: []tls.Certificate{own}, InsecureSkipVerify: true,
			}
			conn, err := tls.Dial("tcp", address(t, secureServer(t, ownCert(leafCert()), c.set)), peer)
			if c.want == 0 {
				assert.Error(t, err, "our server")
			} else if assert.NoError(t, err, "our server") {
				assert.Equal(t, c.want, conn.ConnectionState().Version, "our server")
				conn.Close()
			}

			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, c.want, r.TLS.Version, "our client")
				_, _ = io.WriteString(w, "secret")
			}))
			srv.TLS = peer
			srv.Config.ErrorLog = quiet()
			srv.StartTLS()
			defer srv.Close()
			err = fetchURL(t, srv.URL, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"), c.set))
			assert.Equal(t, c.want != 0, err == nil, "our client: %v", err)
		})
	}
	if err := newTLSConfig(t, nng.TLSServer).SetMinVersion(nng.TLS13); err != nil {
		assert.ErrorIs(t, err, nng.ErrNotSupported, "mbedTLS 2 has no 1.3")
	}
}

// Server and client certificates, against Go on the other side.
func TestTLSClientCert(t *testing.T) {
	needTLS(t)
	pool := x509.NewCertPool()
	pool.AddCert(testCA().Leaf)
	own, err := tls.X509KeyPair([]byte(leafCert().cert), []byte(leafCert().key))
	require.NoError(t, err)
	stranger, err := tls.X509KeyPair([]byte(otherCert().cert), []byte(otherCert().key))
	require.NoError(t, err)
	demand := func(mode nng.TLSAuthMode) *nng.Server {
		return secureServer(t, ownCert(leafCert()), trust(testCA()), func(cfg *nng.TLSConfig) error { return cfg.SetAuthMode(mode) })
	}
	// try fetches with Go's client, which may show a certificate.
	try := func(srv *nng.Server, show ...tls.Certificate) error {
		tr := &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: pool, ServerName: "localhost",
			// Whatever the server asks for: Go would hold back what it does not.
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(show) == 0 {
					return new(tls.Certificate), nil
				}
				return &show[0], nil
			},
		}}
		defer tr.CloseIdleConnections()
		res, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get("https://" + address(t, srv))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		assert.Equal(t, "secret", string(b))
		return err
	}

	t.Run("required", func(t *testing.T) {
		srv := demand(nng.TLSAuthRequired)
		assert.NoError(t, try(srv, own))
		assert.Error(t, try(srv), "without a certificate")
		assert.Error(t, try(srv, stranger), "with one of another authority")
		assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"), ownCert(leafCert()))))
		err := fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost")))
		require.Error(t, err)
		assert.NotErrorIs(t, err, nng.ErrTimedOut, "the client hears of it")
	})
	t.Run("optional", func(t *testing.T) {
		srv := demand(nng.TLSAuthOptional)
		assert.NoError(t, try(srv, own))
		assert.NoError(t, try(srv))
	})
	t.Run("none", func(t *testing.T) {
		srv := demand(nng.TLSAuthNone)
		assert.NoError(t, try(srv))
		assert.NoError(t, try(srv, stranger), "nobody asks for it")
	})
	t.Run("client", func(t *testing.T) {
		seen := make(chan string, 1)
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen <- r.TLS.PeerCertificates[0].Subject.CommonName
			_, _ = io.WriteString(w, "secret")
		}))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
		srv.Config.ErrorLog = quiet()
		srv.StartTLS()
		defer srv.Close()
		assert.NoError(t, fetchURL(t, srv.URL, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"), ownCert(leafCert()))))
		assert.Equal(t, "localhost", <-seen)
		err := fetchURL(t, srv.URL, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost")))
		require.Error(t, err)
		assert.NotErrorIs(t, err, nng.ErrTimedOut)
	})
}

// Without a server name, one configuration serves clients of different hosts: each
// expects its own (T1, CL23).
func TestTLSManyHosts(t *testing.T) {
	needTLS(t)
	port := func(names ...string) string {
		srv := secureServer(t, ownCert(makeCert(testCA(), names...)))
		_, port, err := net.SplitHostPort(address(t, srv))
		require.NoError(t, err)
		return port
	}
	numeric, named, both := port("127.0.0.1"), port("localhost"), port("localhost", "127.0.0.1")
	cfg := newTLSConfig(t, nng.TLSClient, trust(testCA()))
	for range 2 { // whoever came first
		assert.NoError(t, fetchURL(t, "https://127.0.0.1:"+numeric, cfg))
		assert.NoError(t, fetchURL(t, "https://localhost:"+named, cfg))
		assert.NoError(t, fetchURL(t, "https://localhost:"+both, cfg))
		assert.NoError(t, fetchURL(t, "https://127.0.0.1:"+both, cfg))
		for _, url := range []string{"https://localhost:" + numeric, "https://127.0.0.1:" + named} {
			err := fetchURL(t, url, cfg)
			notTrusted(t, err)
			if patched() {
				assert.ErrorIs(t, err, nng.ErrPeerAuth)
			}
		}
	}
}

// A change after SetTLS holds for the servers and clients that come later, and for no
// other.
func TestTLSChangesLaterUses(t *testing.T) {
	needTLS(t)
	server := newTLSConfig(t, nng.TLSServer, ownCert(leafCert()))
	anyone := newServerURL(t, "https://127.0.0.1:0", server, newHandler(t, "/", text("secret")))
	client := newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))
	assert.NoError(t, fetch(t, anyone, client))

	require.NoError(t, server.SetAuthMode(nng.TLSAuthRequired))
	require.NoError(t, server.SetCAChain(testCA().cert, ""))
	known := newServerURL(t, "https://127.0.0.1:0", server, newHandler(t, "/", text("secret")))
	assert.NoError(t, fetch(t, anyone, client))
	require.Error(t, fetch(t, known, client))
	require.NoError(t, ownCert(leafCert())(client))
	assert.NoError(t, fetch(t, known, client))

	// Of these the last one counts.
	require.NoError(t, client.SetServerName("elsewhere"))
	notTrusted(t, fetch(t, anyone, client))
	require.NoError(t, client.SetServerName("localhost"))
	assert.NoError(t, fetch(t, anyone, client))
	require.NoError(t, client.SetServerName("elsewhere"))
	require.NoError(t, client.SetAuthMode(nng.TLSAuthNone))
	assert.NoError(t, fetch(t, anyone, client))
	require.NoError(t, client.SetAuthMode(nng.TLSAuthRequired))
	notTrusted(t, fetch(t, anyone, client))
}

// A setting that was refused has no effect: of a chain with a bad certificate C itself
// would keep the good ones.
func TestTLSRefusedSettingLeavesNothing(t *testing.T) {
	needTLS(t)
	srv := secureServer(t, ownCert(leafCert()))
	cfg := newTLSConfig(t, nng.TLSClient, trust(otherCert()), expect("localhost"))
	require.Error(t, cfg.SetCAChain(testCA().cert, "garbage"))
	require.Error(t, cfg.SetVersion(nng.TLS12, nng.TLS11))
	notTrusted(t, fetch(t, srv, cfg))
	require.NoError(t, trust(testCA())(cfg))
	assert.NoError(t, fetch(t, srv, cfg))
}

// Keys and passwords do not outlive the configuration, whose servers go on.
func TestTLSCloseWipesSecrets(t *testing.T) {
	needTLS(t)
	leaf := leafCert()
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	require.NoError(t, err)
	require.NoError(t, cfg.SetOwnCert(leaf.cert, leaf.lockedKey(t, "sesame"), "sesame"))
	held, err := cfg.Hold()
	require.NoError(t, err)
	srv := newServerURL(t, "https://127.0.0.1:0", cfg, newHandler(t, "/", text("secret")))
	secrets := nng.Secrets(cfg)
	require.NotEmpty(t, secrets)
	own, err := srv.TLS()
	require.NoError(t, err)
	assert.Empty(t, nng.Secrets(own), "what is in C only")
	require.NoError(t, own.Close())
	require.NoError(t, cfg.Close())
	assert.Contains(t, string(bytes.Join(secrets, nil)), "sesame", "one hold is left")
	require.NoError(t, held.Close())
	for _, s := range secrets {
		assert.Equal(t, make([]byte, len(s)), s)
	}
	assert.NoError(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))
}

// Files are read when they are named.
func TestTLSFilesAreReadOnce(t *testing.T) {
	needTLS(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		writeFile(t, name, content)
		return name
	}
	leaf := leafCert()
	cert, key, ca := file("cert", leaf.cert), file("key", leaf.lockedKey(t, "sesame")), file("ca", testCA().cert)
	server, client := newTLSConfig(t, nng.TLSServer), newTLSConfig(t, nng.TLSClient, expect("localhost"))
	require.Error(t, server.SetOwnCertFiles(cert, key, "wrong"))
	require.ErrorIs(t, server.SetOwnCertFiles(cert, filepath.Join(dir, "none"), ""), nng.ErrNotFound)
	require.ErrorIs(t, server.SetOwnCertFiles("", key, ""), nng.ErrInvalid)
	require.ErrorIs(t, server.SetOwnCertFiles(cert, file("other", otherCert().key), ""), nng.ErrCrypto)
	require.NoError(t, server.SetOwnCertFiles(cert, key, "sesame"))
	require.NoError(t, client.SetCAFile(ca))
	for _, name := range []string{cert, key, ca} {
		require.NoError(t, os.Remove(name))
	}
	srv := newServerURL(t, "https://127.0.0.1:0", server, newHandler(t, "/", text("secret")))
	assert.NoError(t, fetch(t, srv, client))
}

// Many servers and clients take one configuration at the same time as it is changed and
// closed.
func TestTLSWhileItChanges(t *testing.T) {
	needTLS(t)
	srv := secureServer(t, ownCert(leafCert()))
	cfg, err := nng.NewTLSConfig(nng.TLSClient)
	require.NoError(t, err)
	require.NoError(t, trust(testCA())(cfg))
	require.NoError(t, expect("localhost")(cfg))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				client := newClient(t, "https://"+address(t, srv))
				err := client.SetTLS(cfg)
				if err == nil {
					err = client.Transact(timeout(t, 10*time.Second), newRequest(t, "https://localhost"), newResponse(t))
				} else if errors.Is(err, nng.ErrClosed) {
					err = nil
				}
				assert.NoError(t, err)
			}
		})
	}
	all.Go(func() {
		for cfg.SetCAChain(otherCert().cert, "") == nil && cfg.SetAuthMode(nng.TLSAuthRequired) == nil {
			time.Sleep(time.Millisecond)
		}
	})
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, cfg.Close())
	all.Wait()
}

// One configuration serves two servers and two clients, and lives as long as any of
// them, whatever is closed first.
func TestTLSShared(t *testing.T) {
	needTLS(t)
	server, err := nng.NewTLSConfig(nng.TLSServer)
	require.NoError(t, err)
	require.NoError(t, server.SetOwnCert(leafCert().cert, leafCert().key, ""))
	client, err := nng.NewTLSConfig(nng.TLSClient)
	require.NoError(t, err)
	require.NoError(t, client.SetCAChain(testCA().cert, ""))
	require.NoError(t, client.SetServerName("localhost"))
	held, err := client.Hold()
	require.NoError(t, err)

	h := newHandler(t, "/", text("secret"))
	one := newServerURL(t, "https://127.0.0.1:0", server, h)
	two := newServerURL(t, "https://127.0.0.1:0", server, newHandler(t, "/", text("secret")))
	require.NoError(t, server.Close())

	for _, srv := range []*nng.Server{one, two, one} {
		assert.NoError(t, fetch(t, srv, client))
	}
	// The same for one that is in C only.
	own, err := one.TLS()
	require.NoError(t, err)
	second, err := own.Hold()
	require.NoError(t, err)
	require.NoError(t, own.Close())

	require.NoError(t, client.Close())
	require.NoError(t, one.Close())
	assert.NoError(t, fetch(t, two, held), "the second hold")
	three := newServerURL(t, "https://127.0.0.1:0", second, newHandler(t, "/", text("secret")))
	require.NoError(t, second.Close())
	assert.NoError(t, fetch(t, three, held))
	require.NoError(t, held.Close())
}

func TestServerTLS(t *testing.T) {
	needTLS(t)
	srv := secureServer(t, ownCert(leafCert()))
	// What the server gives back is what it was given: it serves another server.
	cfg, err := srv.TLS()
	require.NoError(t, err)
	other := newServerURL(t, "https://127.0.0.1:0", cfg, newHandler(t, "/", text("secret")))
	require.NoError(t, cfg.Close())
	assert.NoError(t, fetch(t, other, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))

	assert.ErrorIs(t, srv.SetTLS(serverTLS(t)), nng.ErrBusy, "it has been started")

	// A server that nobody gave one has one all the same.
	holdMu.Lock()
	defer holdMu.Unlock()
	held, err := nng.HoldServer("https://127.0.0.1:0")
	require.NoError(t, err)
	defer held.Close()
	cfg, err = held.TLS()
	require.NoError(t, err)
	require.NoError(t, cfg.SetOwnCert(leafCert().cert, leafCert().key, ""))
	require.NoError(t, cfg.Close())
	require.NoError(t, held.AddHandler(newHandler(t, "/", text("secret"))))
	require.NoError(t, held.Start())
	assert.NoError(t, fetch(t, held, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))

	cfg, err = held.TLS()
	require.NoError(t, err)
	defer cfg.Close()
	assert.ErrorIs(t, cfg.SetAuthMode(nng.TLSAuthRequired), nng.ErrBusy, "connections may be using it")
	again, err := cfg.Hold()
	require.NoError(t, err)
	require.NoError(t, cfg.Close())
	assert.ErrorIs(t, again.SetAuthMode(nng.TLSAuthRequired), nng.ErrBusy, "the other hold")
	require.NoError(t, again.Close())
	assert.ErrorIs(t, held.SetTLS(newTLSConfig(t, nng.TLSClient)), nng.ErrBusy)
	second, err := nng.HoldServer("https://127.0.0.1:0")
	require.NoError(t, err)
	defer second.Close()
	assert.ErrorIs(t, second.SetTLS(newTLSConfig(t, nng.TLSClient)), nng.ErrInvalid, "it is for clients")
}

func TestClientTLS(t *testing.T) {
	needTLS(t)
	srv := secureServer(t, ownCert(leafCert()))
	client := newClient(t, "https://"+address(t, srv))
	require.NoError(t, client.SetTLS(newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))
	cfg, err := client.TLS()
	require.NoError(t, err)
	assert.NoError(t, fetch(t, srv, cfg), "it is what the client was given")
	require.NoError(t, cfg.Close())

	// The last one counts.
	require.NoError(t, client.SetTLS(newTLSConfig(t, nng.TLSClient, trust(otherCert()), expect("localhost"))))
	notTrusted(t, client.Transact(timeout(t, 5*time.Second), newRequest(t, "https://localhost"), newResponse(t)))
	require.NoError(t, client.SetTLS(newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))
	assert.NoError(t, client.Transact(timeout(t, 5*time.Second), newRequest(t, "https://localhost"), newResponse(t)))
}

// A client that nobody gave a configuration has one all the same, which can be changed
// until it is used.
func TestClientOwnTLS(t *testing.T) {
	needTLS(t)
	srv := secureServer(t, ownCert(leafCert()))
	_, port, err := net.SplitHostPort(address(t, srv))
	require.NoError(t, err)
	client := newClient(t, "https://localhost:"+port)
	cfg, err := client.TLS()
	require.NoError(t, err)
	defer cfg.Close()
	require.NoError(t, trust(testCA())(cfg))
	again, err := client.TLS()
	require.NoError(t, err)
	defer again.Close()
	var all sync.WaitGroup
	for range 4 { // on several C clients
		all.Go(func() {
			assert.NoError(t, client.Transact(timeout(t, 10*time.Second), newRequest(t, "https://localhost"), newResponse(t)))
		})
	}
	all.Wait()
	for _, c := range []*nng.TLSConfig{cfg, again} {
		assert.ErrorIs(t, c.SetAuthMode(nng.TLSAuthNone), nng.ErrBusy)
	}
	assert.ErrorIs(t, client.SetTLS(newTLSConfig(t, nng.TLSServer)), nng.ErrInvalid, "it is for servers")
	assert.NoError(t, client.SetTLS(again), "its own")
	assert.NoError(t, client.Transact(timeout(t, 10*time.Second), newRequest(t, "https://localhost"), newResponse(t)))
}

// A configuration set while an operation runs holds for all that begin afterwards.
func TestClientTLSWhileBusy(t *testing.T) {
	needTLS(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	srv := newServerURL(t, "https://127.0.0.1:0", newTLSConfig(t, nng.TLSServer, ownCert(leafCert())),
		newHandler(t, "/", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			entered <- struct{}{}
			<-leave
			return nng.NewResponse()
		}))
	client := newClient(t, "https://"+address(t, srv))
	require.NoError(t, client.SetTLS(newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))
	result := make(chan error, 1)
	ctx := timeout(t, 10*time.Second)
	go func() { result <- client.Transact(ctx, newRequest(t, "https://localhost"), newResponse(t)) }()
	<-entered
	// From now on the server is not to be trusted.
	require.NoError(t, client.SetTLS(newTLSConfig(t, nng.TLSClient, trust(otherCert()), expect("localhost"))))
	close(leave)
	require.NoError(t, <-result, "the operation that was running")
	go func() { // should the server be asked all the same
		select {
		case <-entered:
		case <-ctx.Done():
		}
	}()
	notTrusted(t, client.Transact(ctx, newRequest(t, "https://localhost"), newResponse(t)))
}

// A certificate that is not trusted, and one for another name, are told from other
// failures (patch 0012).
func TestUntrustedPeerIsNotAuthenticated(t *testing.T) {
	needTLS(t)
	srv := secureServer(t, ownCert(leafCert()))
	assert.ErrorIs(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(otherCert()), expect("localhost"))), nng.ErrPeerAuth)
	assert.ErrorIs(t, fetch(t, srv, newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("other.example"))), nng.ErrPeerAuth)
}

// What the peer has closed has ended; as published nng says "connection refused" (CL23).
func TestTLSEnds(t *testing.T) {
	needTLS(t)
	cert, err := tls.X509KeyPair([]byte(leafCert().cert), []byte(leafCert().key))
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	defer l.Close()
	client := newClient(t, "https://"+l.Addr().String())
	require.NoError(t, client.SetTLS(newTLSConfig(t, nng.TLSClient, trust(testCA()), expect("localhost"))))
	conn, err := client.Connect(timeout(t, 10*time.Second))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	peer, err := l.Accept()
	require.NoError(t, err)
	defer peer.Close()
	readString(t, peer, 5)
	require.NoError(t, peer.(*tls.Conn).CloseWrite())
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
