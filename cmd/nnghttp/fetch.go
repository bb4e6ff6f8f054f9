package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/gonng/nnghttp/nng"
)

// clientFlags are what get and ws have in common.
type clientFlags struct {
	CACert   string        `name:"cacert" placeholder:"FILE" help:"Verify the server with the CA certificates of this file, in PEM, instead of the system's."`
	Insecure bool          `short:"k" help:"Do not verify the server."`
	Timeout  time.Duration `default:"30s" help:"Give up after this time; 0 means never."`
}

// systemCAs are the places where systems keep their CA certificates. Go knows them
// too, but does not give out what it has read.
var systemCAs = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Alpine
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/ssl/cert.pem",                                 // macOS, BSD
}

// dial connects to the server of a URL.
func (f *clientFlags) dial(ctx context.Context, u *url.URL) (*nng.Conn, error) {
	server := url.URL{Scheme: u.Scheme, Host: u.Host}
	client, err := nng.NewClient(server.String())
	if err != nil {
		return nil, fmt.Errorf("cannot use the URL %s: %s", u.Redacted(), reason(err))
	}
	defer client.Close()
	if u.Scheme == "https" {
		cfg, err := f.tlsConfig()
		if err != nil {
			return nil, err
		}
		defer cfg.Close()
		if err := client.SetTLS(cfg); err != nil {
			return nil, fmt.Errorf("cannot use TLS: %s", reason(err))
		}
	}
	conn, err := client.Connect(ctx)
	if err != nil {
		return nil, f.connError(ctx, "cannot connect to "+u.Host, err)
	}
	return conn, nil
}

func (f *clientFlags) tlsConfig() (*nng.TLSConfig, error) {
	cfg, err := nng.NewTLSConfig(nng.TLSClient)
	if err != nil {
		return nil, fmt.Errorf("cannot use TLS: %s", reason(err))
	}
	if err := f.trust(cfg); err != nil {
		cfg.Close()
		return nil, err
	}
	return cfg, nil
}

// trust says how the server is verified.
func (f *clientFlags) trust(cfg *nng.TLSConfig) error {
	if f.Insecure {
		return cfg.SetAuthMode(nng.TLSAuthNone)
	}
	file := f.CACert
	if file == "" {
		if file = systemCAFile(); file == "" {
			return errors.New("this system has no CA certificates; give some with --cacert")
		}
	}
	certs, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read the CA certificates: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(certs) {
		return fmt.Errorf("%s holds no certificate in PEM", file)
	}
	if err := cfg.SetCAChain(string(certs), ""); err != nil {
		return fmt.Errorf("cannot use the CA certificates of %s: %s", file, reason(err))
	}
	return nil
}

// systemCAFile is the system's CA file, or the one that SSL_CERT_FILE names, as it
// does for Go and OpenSSL.
func systemCAFile() string {
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		return file
	}
	for _, file := range systemCAs {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return ""
}

// connError is an error of the connection. When ctx has ended that is the reason,
// whatever the connection made of it.
func (f *clientFlags) connError(ctx context.Context, what string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &exitError{exitConnection, fmt.Errorf("%s: no answer within %v", what, f.Timeout)}
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, fmt.Errorf("%s: interrupted", what)}
	}
	why := reason(err)
	switch {
	case errors.Is(err, nng.ErrBadAddr):
		why = "there is no such host"
	case errors.Is(err, nng.ErrPeerAuth), errors.Is(err, nng.ErrCrypto):
		// The C library says no more than that the handshake went wrong.
		why = "TLS failed; the server's certificate may be for another name, or from a CA that is not trusted (see --cacert and --insecure)"
	}
	return &exitError{exitConnection, fmt.Errorf("%s: %s", what, why)}
}

// limit bounds ctx by --timeout.
func (f *clientFlags) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, f.Timeout)
}

// parseURL checks a URL. Its scheme must be one of those that names lists; names maps
// it to http or https.
func parseURL(raw string, names map[string]string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("cannot use the URL %q: %w", raw, errors.Unwrap(err))
	}
	scheme, ok := names[u.Scheme]
	if !ok || u.Hostname() == "" {
		return nil, fmt.Errorf("cannot use the URL %q: write http://HOST/PATH or https://HOST/PATH", raw)
	}
	u.Scheme = scheme
	return u, nil
}
