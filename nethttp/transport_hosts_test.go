package nethttp_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One configuration without a server name serves hosts of different names: each
// connection checks the certificate for the host that it is for.
func TestTransportManyHosts(t *testing.T) {
	if nng.LinkInfo().TLSEngine == "none" {
		t.Skip("this libnng has no TLS")
	}
	var trusted string
	serve := func(host string) (port string) {
		cert, err := devcert.SelfSigned(time.Hour, host)
		require.NoError(t, err)
		trusted += cert.CertPEM
		pair, err := tls.X509KeyPair([]byte(cert.CertPEM), []byte(cert.KeyPEM))
		require.NoError(t, err)
		srv := httptest.NewUnstartedServer(says(host))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv.URL[strings.LastIndex(srv.URL, ":"):]
	}
	name, address := serve("localhost"), serve("127.0.0.1")
	cfg, err := nng.NewTLSConfig(nng.TLSClient)
	require.NoError(t, err)
	defer cfg.Close()
	require.NoError(t, cfg.SetCAChain(trusted, ""))
	transport := nethttp.Transport(cfg)
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	for range 2 {
		for url, want := range map[string]string{
			"https://localhost" + name:    "localhost",
			"https://127.0.0.1" + address: "127.0.0.1",
		} {
			res, err := client.Get(url)
			require.NoError(t, err, url)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			res.Body.Close()
			assert.Equal(t, want, string(body))
		}
		transport.CloseIdleConnections()
	}
	_, err = client.Get("https://localhost" + address)
	assert.ErrorIs(t, err, nng.ErrPeerAuth, "the certificate is for another host")
}
