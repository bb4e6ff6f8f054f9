package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testCert makes a self-signed certificate for localhost, and its key, in PEM.
func testCert() (cert, key string) {
	c, err := devcert.SelfSigned(24*time.Hour, "localhost", "127.0.0.1")
	if err != nil {
		panic(err)
	}
	return c.CertPEM, c.KeyPEM
}

func makeCert(t *testing.T, c certCmd) (dir string) {
	t.Helper()
	if c.Out == "" {
		c.Out = t.TempDir()
	}
	if c.Days == 0 {
		c.Days = 1
	}
	require.NoError(t, c.Run())
	return c.Out
}

// healthy asks a server how it is, trusting the certificates of a file.
func healthy(t *testing.T, url, caFile string) error {
	t.Helper()
	ca, err := os.ReadFile(caFile)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(url + "/healthz")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	assert.Equal(t, "ok\n", string(body))
	return err
}

// What nnghttp cert writes serves and is trusted under all its hosts.
func TestCert(t *testing.T) {
	dir := makeCert(t, certCmd{Host: []string{"localhost", "127.0.0.1", "::1"}})
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, want := range map[string]os.FileMode{cert: 0o644, key: 0o600} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, want, info.Mode(), name)
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 2, "nothing else")

	s, _ := newTestServer(t, &serveCmd{Listen: "https://127.0.0.1:0", Cert: cert, Key: key})
	assert.NoError(t, healthy(t, s.url, cert))
	assert.NoError(t, healthy(t, strings.Replace(s.url, "127.0.0.1", "localhost", 1), cert))
	other := filepath.Join(makeCert(t, certCmd{Host: []string{"127.0.0.1"}}), "cert.pem")
	assert.Error(t, healthy(t, s.url, other))
}

// --force replaces a file that others may read, and a link, not what is behind it.
func TestCertForce(t *testing.T) {
	dir := t.TempDir()
	key, target := filepath.Join(dir, "key.pem"), filepath.Join(dir, "target")
	require.NoError(t, os.WriteFile(target, []byte("precious"), 0o644))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "cert.pem")))
	c := certCmd{Host: []string{"localhost"}, Days: 1, Out: dir}
	require.ErrorContains(t, c.Run(), "cert.pem is there already")
	require.NoFileExists(t, key)

	require.NoError(t, os.Symlink("target", key))
	c.Force = true
	require.NoError(t, c.Run())
	b, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(b))
	info, err := os.Lstat(key)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())

	c.Out = filepath.Join(target, "below")
	assert.ErrorContains(t, c.Run(), "cannot write the certificate")
}

func TestSelfSigned(t *testing.T) {
	for listen, url := range map[string]string{
		"http://127.0.0.1:0":  "https://127.0.0.1:",
		"https://127.0.0.1:0": "https://127.0.0.1:",
		"https://[::1]:0":     "https://[::1]:",
	} {
		t.Run(listen, func(t *testing.T) {
			if strings.Contains(listen, "::1") && !hasIPv6() {
				t.Skip("no IPv6 here")
			}
			name, err := exec.LookPath("nnghttp") // put there by testscript.Main
			require.NoError(t, err)
			cmd := exec.Command(name, "serve", "--self-signed", "--listen", listen)
			serve := startCommand(t, cmd)
			first, second, third := serve(), serve(), serve()
			listening := strings.TrimPrefix(first, "listening on ")
			require.True(t, strings.HasPrefix(listening, url), first)
			words := strings.Fields(third) // try: curl --cacert FILE URL
			require.Equal(t, []string{"try:", "curl", "--cacert"}, words[:3])
			require.Equal(t, listening+"/healthz", words[4])
			file := words[3]
			assert.NoError(t, healthy(t, listening, file))
			get := getCmd{URL: listening + "/healthz", Output: os.DevNull, clientFlags: clientFlags{CACert: file}}
			assert.NoError(t, get.Run(t.Context()), "nng's client")
			pem, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.NotContains(t, string(pem), "PRIVATE")
			conn, err := tls.Dial("tcp", strings.TrimPrefix(listening, "https://"), &tls.Config{InsecureSkipVerify: true})
			require.NoError(t, err)
			cert := devcert.Cert{Leaf: conn.ConnectionState().PeerCertificates[0]}
			conn.Close()
			assert.Equal(t, "certificate SHA-256 "+cert.Fingerprint(), second)

			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			require.NoError(t, cmd.Wait())
			assert.NoFileExists(t, file)
		})
	}
}

func TestListenHost(t *testing.T) {
	for listen, want := range map[string]string{
		"https://127.0.0.1:0": "", "https://localhost:1": "", "https://[::1]:1": "", "https://*:1": "", "https://0.0.0.0:1": "",
		"https://[::]:1": "", "https://192.0.2.1:1": "192.0.2.1", "https://box.example:1": "box.example", "https://[2001:db8::1]:1": "2001:db8::1",
	} {
		assert.Equal(t, want, listenHost(listen), listen)
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// startCommand starts the command and returns a function that reads a line of what it
// prints.
func startCommand(t *testing.T, cmd *exec.Cmd) func() string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	return func() string {
		require.True(t, lines.Scan(), "it prints no more")
		return lines.Text()
	}
}
