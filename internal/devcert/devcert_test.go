package devcert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var hosts = []string{"localhost", "127.0.0.1", "[::1]", "*.example.org"}

// verify is what a client that trusts root makes of cert.
func verify(root, cert *Cert, host string, at time.Time) error {
	pool := x509.NewCertPool()
	pool.AddCert(root.Leaf)
	_, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: at})
	return err
}

func TestCert(t *testing.T) {
	ca, err := Authority(time.Hour, "an authority")
	require.NoError(t, err)
	issued, err := ca.Issue(time.Hour, hosts...)
	require.NoError(t, err)
	self, err := SelfSigned(time.Hour, hosts...)
	require.NoError(t, err)
	now := time.Now()
	for name, c := range map[string]struct{ root, cert *Cert }{"self-signed": {self, self}, "issued": {ca, issued}} {
		t.Run(name, func(t *testing.T) {
			for _, host := range []string{"localhost", "127.0.0.1", "::1", "a.example.org"} {
				assert.NoError(t, verify(c.root, c.cert, host, now), host)
			}
			for _, host := range []string{"127.0.0.2", "example.org", "other"} {
				assert.Error(t, verify(c.root, c.cert, host, now), host)
			}
			assert.Error(t, verify(c.root, c.cert, "localhost", now.Add(2*time.Hour)), "it is over")
			assert.NoError(t, verify(c.root, c.cert, "localhost", now.Add(-time.Minute)), "a clock that is behind")
			pair, err := tls.X509KeyPair([]byte(c.cert.CertPEM), []byte(c.cert.KeyPEM))
			require.NoError(t, err)
			assert.Equal(t, c.cert.Leaf.Raw, pair.Certificate[0])
		})
	}
	// The key of a trusted self-signed certificate vouches for nobody.
	forged, err := self.Issue(time.Hour, "bank.example")
	require.NoError(t, err)
	assert.Error(t, verify(self, forged, "bank.example", now))
	assert.NotEqual(t, self.Leaf.SerialNumber, issued.Leaf.SerialNumber)
}

func TestBadHosts(t *testing.T) {
	for _, bad := range []string{"", " ", "a b", "a..b", ".", "ä.example", "a\x00b", "http://a", "a:80", "*", "a.*", strings.Repeat("a", 64), strings.Repeat("a.", 200) + "a"} {
		_, err := SelfSigned(time.Hour, "localhost", bad)
		assert.Error(t, err, "%q", bad)
	}
	_, err := SelfSigned(time.Hour)
	require.Error(t, err)
	_, err = SelfSigned(time.Hour, strings.Repeat("long.", 20)+"example")
	assert.NoError(t, err)
}

// OpenSSL takes a self-signed certificate as its own authority, and shows the same
// fingerprint.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	cert, err := SelfSigned(time.Hour, hosts...)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cert.pem")
	require.NoError(t, os.WriteFile(file, []byte(cert.CertPEM), 0o600))
	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, openssl, args...).CombinedOutput()
		return string(out), err
	}
	for _, who := range [][]string{{"-verify_hostname", "localhost"}, {"-verify_ip", "127.0.0.1"}, {"-verify_ip", "::1"}} {
		out, err := run(append([]string{"verify", "-CAfile", file, "-purpose", "sslserver"}, append(who, file)...)...)
		assert.NoError(t, err, out)
	}
	out, err := run("verify", "-CAfile", file, "-verify_hostname", "other", file)
	assert.Error(t, err, out)
	out, err = run("x509", "-in", file, "-noout", "-fingerprint", "-sha256")
	require.NoError(t, err, out)
	assert.Contains(t, out, "="+cert.Fingerprint()+"\n")
	assert.True(t, net.ParseIP("127.0.0.1").Equal(cert.Leaf.IPAddresses[0]))
}
