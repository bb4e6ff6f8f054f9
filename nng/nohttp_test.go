package nng_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNoHTTP runs on a library without HTTP (build tag nng_nohttp): all that leads
// into HTTP is refused.
func TestNoHTTP(t *testing.T) {
	if nng.LinkInfo().HTTP {
		t.Skip("this library has HTTP; TestNoHTTPBuild runs the test on one that has not")
	}
	fn := text("never called")
	for name, enter := range map[string]func() (any, error){
		"NewRequest":          func() (any, error) { return nng.NewRequest("http://127.0.0.1/") },
		"NewRequest empty":    func() (any, error) { return nng.NewRequest("") },
		"NewResponse":         func() (any, error) { return nng.NewResponse() },
		"NewErrorResponse":    func() (any, error) { return nng.NewErrorResponse(404) },
		"NewHandler":          func() (any, error) { return nng.NewHandler("/", fn) },
		"NewFileHandler":      func() (any, error) { return nng.NewFileHandler("/", "link_test.go") },
		"NewStaticHandler":    func() (any, error) { return nng.NewStaticHandler("/", []byte("x"), "") },
		"NewRedirectHandler":  func() (any, error) { return nng.NewRedirectHandler("/", 0, "/other") },
		"NewDirectoryHandler": func() (any, error) { return nng.NewDirectoryHandler("/", ".") },
		"HoldServer":          func() (any, error) { return nng.HoldServer("http://127.0.0.1:0") },
		"HoldServer https":    func() (any, error) { return nng.HoldServer("https://127.0.0.1:0") },
		"NewClient":           func() (any, error) { return nng.NewClient("http://127.0.0.1:1") },
		"NewClient https":     func() (any, error) { return nng.NewClient("https://127.0.0.1:1") },
		"NewWSListener":       func() (any, error) { return nng.NewWSListener("ws://127.0.0.1:0/") },
		"NewWSListener wss":   func() (any, error) { return nng.NewWSListener("wss://127.0.0.1:0/") },
		"NewWSDialer":         func() (any, error) { return nng.NewWSDialer("ws://127.0.0.1:1/") },
		"NewWSDialer wss":     func() (any, error) { return nng.NewWSDialer("wss://127.0.0.1:1/") },
	} {
		t.Run(name, func(t *testing.T) {
			x, err := enter()
			require.ErrorIs(t, err, nng.ErrNotSupported)
			require.ErrorIs(t, err, errors.ErrUnsupported)
			var op *nng.OpError
			require.ErrorAs(t, err, &op)
			assert.NotEmpty(t, op.Op)
			assert.Nil(t, x)
		})
	}
	info := nng.LinkInfo()
	assert.Equal(t, "nohttp", info.Mode)
	assert.Contains(t, info.String(), "without HTTP")
	assert.Equal(t, nng.Version(), info.Version)
}

// TestNoTLS runs on a library without TLS (build tag nng_notls).
func TestNoTLS(t *testing.T) {
	if nng.TLSEngineName() != "none" {
		t.Skip("this library has TLS; TestNoTLSBuild runs the test on one that has not")
	}
	assert.Empty(t, nng.TLSEngineDescription())
	assert.False(t, nng.TLSEngineFIPSMode())
	assert.Contains(t, nng.LinkInfo().String(), "without TLS")
	for name, enter := range map[string]func() (any, error){
		"NewTLSConfig client": func() (any, error) { return nng.NewTLSConfig(nng.TLSClient) },
		"NewTLSConfig server": func() (any, error) { return nng.NewTLSConfig(nng.TLSServer) },
		"HoldServer https":    func() (any, error) { return nng.HoldServer("https://127.0.0.1:0") },
		"HoldServer wss":      func() (any, error) { return nng.HoldServer("wss://127.0.0.1:0") },
		"NewClient https":     func() (any, error) { return nng.NewClient("https://127.0.0.1:1") },
		"NewClient wss":       func() (any, error) { return nng.NewClient("wss://127.0.0.1:1") },
		"NewWSListener wss":   func() (any, error) { return nng.NewWSListener("wss://127.0.0.1:0/") },
		"NewWSDialer wss":     func() (any, error) { return nng.NewWSDialer("wss://127.0.0.1:1/") },
	} {
		t.Run(name, func(t *testing.T) {
			x, err := enter()
			require.ErrorIs(t, err, nng.ErrNotSupported)
			var op *nng.OpError
			require.ErrorAs(t, err, &op)
			assert.NotEmpty(t, op.Op)
			assert.Nil(t, x)
		})
	}

	srv := newServer(t, newHandler(t, "/", text("plain")))
	_, err := srv.TLS()
	assert.ErrorIs(t, err, nng.ErrNotSupported)
	client, err := nng.NewClient(httpURL(t, srv))
	require.NoError(t, err)
	defer client.Close()
	_, err = client.TLS()
	assert.ErrorIs(t, err, nng.ErrNotSupported)

	// A message for an https URL is only text.
	req, err := nng.NewRequest("https://host/path")
	require.NoError(t, err)
	require.NoError(t, req.Close())
}

// TestNoHTTPBuild and TestNoTLSBuild run the tests above where they belong. The
// default build does it for all.
func TestNoHTTPBuild(t *testing.T) { testVariant(t, "nng-nohttp", "nng_nohttp", "TestNoHTTP") }

func TestNoTLSBuild(t *testing.T) { testVariant(t, "nng-notls", "nng_notls", "TestNoTLS") }

func testVariant(t *testing.T, variant, tag, test string) {
	t.Helper()
	if mode := nng.LinkInfo().Mode; mode != "vendored" {
		t.Skipf("the default build does this, not %s", mode)
	}
	if _, err := os.Stat(filepath.Join("..", "build", variant, "lib", "libnng.a")); err != nil {
		const hint = "build/%s is not there; scripts/build-lib %[1]s makes it"
		if os.Getenv("CI") != "" {
			t.Fatalf(hint, variant)
		}
		t.Skipf(hint, variant)
	}
	cmd := exec.Command("../scripts/with-lib", variant, "go", "test", "-vet=off", "-count=1", "-timeout=2m", "-v", "-tags", tag, "-run", "^"+test+"$", ".")
	// with-lib names the library in CGO_CFLAGS; what it said of the default one
	// would be in the way.
	flags := regexp.MustCompile(` ?-DNNGHTTP_LIB_ID=\S+`).ReplaceAllString(os.Getenv("CGO_CFLAGS"), "")
	cmd.Env = append(os.Environ(), "CGO_CFLAGS="+flags)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--- PASS: "+test+" ", "the test has not run")
}
