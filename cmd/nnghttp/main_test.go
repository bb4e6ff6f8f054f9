package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test program be the command too: for scripts, and for tests that
// need it as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nnghttp": main})
}

// TestScripts runs testdata/*.txtar. Each has the URL of a server of its own in $URL
// and, with a certificate for localhost in ca.pem, in $HTTPS.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			write := func(name, content string) string {
				name = filepath.Join(env.WorkDir, name)
				if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
					panic(err)
				}
				return name
			}
			cert, key := testCert()
			c := serveCmd{Listen: "http://127.0.0.1:0", Dir: env.WorkDir}
			s := serve(env, &c)
			c = serveCmd{Listen: "https://127.0.0.1:0", Cert: write("ca.pem", cert), Key: write("key.pem", key)}
			tls := serve(env, &c)
			env.Setenv("URL", s.url)
			env.Setenv("HTTPS", strings.Replace(tls.url, "127.0.0.1", "localhost", 1))
			env.Setenv("PLAINHTTPS", strings.Replace(s.url, "http:", "https:", 1))
			env.Setenv("HTTPSPLAIN", strings.Replace(tls.url, "https:", "http:", 1))
			env.Setenv("LIBNNG", nng.Version())
			env.Setenv("GORACE", raceOptions)
			env.Values[silentKey{}] = new(silent)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode,
			"silent":   silentServer,
			"canned":   cannedServer,
			"signal":   signalCommand,
		},
	})
}

// raceOptions keep the race detector from holding each process for a second at its end.
const raceOptions = "atexit_sleep_ms=0"

// starting keeps servers for port 0 apart: until one is started, all who ask for it
// get the same.
var starting sync.Mutex

// serve starts a server in this process.
func serve(t interface{ Defer(func()) }, c *serveCmd) *server {
	starting.Lock()
	defer starting.Unlock()
	s, err := c.start(slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	t.Defer(func() { s.shutdown(time.Second) })
	return s
}

// newTestServer starts a server for a Go test. Its access log goes to the buffer.
func newTestServer(t *testing.T, c *serveCmd) (*server, *logBuffer) {
	t.Helper()
	starting.Lock()
	defer starting.Unlock()
	log := new(logBuffer)
	if c.Listen == "" {
		c.Listen = "http://127.0.0.1:0"
	}
	s, err := c.start(slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := s.shutdown(2 * time.Second); err != nil {
			t.Errorf("shutdown: %v; log:\n%s", err, log)
		}
	})
	return s, log
}

// logBuffer is a buffer that several goroutines use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(fmt.Sprint("did not happen: ", what))
		}
	}
}

func TestServeFlags(t *testing.T) {
	dir := t.TempDir()
	cert, key := testCert()
	otherCert, _ := testCert()
	write := func(name, content string) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		return name
	}
	certFile, keyFile := write("cert.pem", cert), write("key.pem", key)
	otherFile, junk := write("other.pem", otherCert), write("junk.pem", "junk")
	busy, _ := newTestServer(t, &serveCmd{})

	for name, test := range map[string]struct {
		cmd  serveCmd
		want string
	}{
		"no URL":           {serveCmd{Listen: "127.0.0.1:0"}, "write http://HOST:PORT"},
		"scheme":           {serveCmd{Listen: "ftp://127.0.0.1:0"}, "write http://HOST:PORT"},
		"path":             {serveCmd{Listen: "http://127.0.0.1:0/x"}, "leave the path out"},
		"port":             {serveCmd{Listen: "http://127.0.0.1:99999"}, "cannot listen on"},
		"busy":             {serveCmd{Listen: busy.url}, "cannot listen on"},
		"not our address":  {serveCmd{Listen: "http://192.0.2.1:0"}, "not an address of this machine"},
		"no such dir":      {serveCmd{Listen: "http://127.0.0.1:0", Dir: filepath.Join(dir, "none")}, "no such file"},
		"dir is a file":    {serveCmd{Listen: "http://127.0.0.1:0", Dir: certFile}, "cannot serve the directory"},
		"https alone":      {serveCmd{Listen: "https://127.0.0.1:0"}, "https needs --cert and --key"},
		"cert for http":    {serveCmd{Listen: "http://127.0.0.1:0", Cert: certFile, Key: keyFile}, "are for https"},
		"no such cert":     {serveCmd{Listen: "https://127.0.0.1:0", Cert: "none", Key: keyFile}, "cannot read the certificate"},
		"no such key":      {serveCmd{Listen: "https://127.0.0.1:0", Cert: certFile, Key: "none"}, "cannot read the key"},
		"cert is junk":     {serveCmd{Listen: "https://127.0.0.1:0", Cert: junk, Key: keyFile}, "cannot use the certificate"},
		"key is of others": {serveCmd{Listen: "https://127.0.0.1:0", Cert: otherFile, Key: keyFile}, "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := test.cmd.start(slog.New(slog.DiscardHandler))
			if err == nil {
				s.shutdown(time.Second)
			}
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}
