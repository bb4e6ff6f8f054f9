package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gonng/nnghttp/nng"
)

type serveCmd struct {
	Listen string `default:"http://127.0.0.1:8080" placeholder:"URL" help:"Address to listen on, such as ${default}, http://*:8080 or https://127.0.0.1:8443. Port 0 lets the system choose one."`
	Dir    string `placeholder:"DIR" help:"Serve the files of this directory under /files/."`
	Cert   string `placeholder:"FILE" help:"Certificate, or chain, in PEM, for https."`
	Key    string `placeholder:"FILE" help:"Private key of the certificate in PEM."`

	ReadHeaderTimeout   time.Duration `placeholder:"30s" help:"How long the head of a request may take. A negative time is no limit, here and below."`
	IdleTimeout         time.Duration `placeholder:"3m" help:"How long a connection may wait for its next request, and a WebSocket for anything."`
	TLSHandshakeTimeout time.Duration `name:"tls-handshake-timeout" placeholder:"10s" help:"How long a TLS handshake may take."`
	WriteStallTimeout   time.Duration `placeholder:"30s" help:"How long a client may take not one byte of a response."`
	MaxConns            int           `placeholder:"N" help:"How many connections may be open, and as many WebSockets. Others get 503."`

	SelfSigned bool        `help:"Serve https instead of http, with a certificate made for this run."`
	made       *selfSigned // with SelfSigned
}

// Help tells what the server offers.
func (serveCmd) Help() string {
	return `Paths:
  /         the demo page
  /echo     answers any request with its body, of at most 16 MiB
  /ws       WebSocket echo, on a connection taken over from the C server
  /stats    the page's numbers, as JSON
  /metrics  for Prometheus
  /healthz  "ok"
  /files/   the files of DIR

SIGINT and SIGTERM let requests finish for up to 10 seconds. A second one ends the program at once.`
}

// drainTime is how long requests and WebSockets have to finish on shutdown.
const drainTime = 10 * time.Second

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	slog.SetDefault(log) // package nng reports failed handlers there
	s, err := c.start(log)
	if err != nil {
		return err
	}
	fmt.Println("listening on", s.url)
	if c.made != nil {
		defer c.made.close()
		if err := c.made.announce(s.url); err != nil {
			log.Warn(err.Error())
		}
	}
	<-ctx.Done()
	log.Info("shutting down")
	if err := s.shutdown(drainTime); err != nil {
		// The server did stop, which is what was asked for; so this is no failure.
		log.Warn("some requests did not finish in time", "error", err)
	}
	return nil
}

// start checks the flags and makes a server that listens.
func (c *serveCmd) start(log *slog.Logger) (*server, error) {
	scheme, err := c.scheme()
	if err != nil {
		return nil, err
	}
	var cfg *nng.TLSConfig
	if scheme == "https" {
		if cfg, err = c.tlsConfig(); err != nil {
			return nil, err
		}
		defer cfg.Close()
	}
	var root *os.Root
	if c.Dir != "" {
		if root, err = os.OpenRoot(c.Dir); err != nil {
			return nil, fmt.Errorf("cannot serve the directory %s: %w", c.Dir, errors.Unwrap(err))
		}
	}
	s := &server{log: log, root: root}
	s.http.ReadHeaderTimeout = c.ReadHeaderTimeout
	s.http.IdleTimeout = c.IdleTimeout
	s.http.TLSHandshakeTimeout = c.TLSHandshakeTimeout
	s.http.WriteStallTimeout = c.WriteStallTimeout
	s.http.MaxConns = c.MaxConns
	err = s.listen(c.Listen, scheme, cfg)
	if err != nil {
		if root != nil {
			root.Close()
		}
		return nil, err
	}
	return s, nil
}

// scheme checks the address, and that TLS is set up exactly when it is wanted.
func (c *serveCmd) scheme() (string, error) {
	if c.SelfSigned {
		if c.Cert != "" || c.Key != "" {
			return "", errors.New("--self-signed makes a certificate; leave --cert and --key out")
		}
		if rest, ok := strings.CutPrefix(c.Listen, "http://"); ok {
			c.Listen = "https://" + rest
		}
	}
	// nng's way to say "all addresses" is not one that net/url knows.
	u, err := url.Parse(strings.Replace(c.Listen, "://*", "://", 1))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("cannot listen on %q: write http://HOST:PORT or https://HOST:PORT", c.Listen)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return "", fmt.Errorf("cannot listen on %q: leave the path out", c.Listen)
	case u.Scheme == "https" && !c.SelfSigned && (c.Cert == "" || c.Key == ""):
		return "", errors.New("https needs --cert and --key, or --self-signed")
	case u.Scheme == "http" && (c.Cert != "" || c.Key != ""):
		return "", errors.New("--cert and --key are for https; write --listen https://HOST:PORT")
	}
	return u.Scheme, nil
}

func (c *serveCmd) tlsConfig() (*nng.TLSConfig, error) {
	if c.SelfSigned {
		var err error
		if c.made, err = newSelfSigned(c.Listen); err != nil {
			return nil, err
		}
		return c.made.tlsConfig()
	}
	cert, err := os.ReadFile(c.Cert)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	// Go says what is wrong with a pair, the C library only that something is.
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return nil, fmt.Errorf("cannot use the certificate %s with the key %s: %s", c.Cert, c.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	if err != nil {
		return nil, fmt.Errorf("cannot use TLS: %s", reason(err))
	}
	if err := cfg.SetOwnCert(string(cert), string(key), ""); err != nil {
		cfg.Close()
		return nil, fmt.Errorf("cannot use the certificate %s: %s", c.Cert, reason(err))
	}
	return cfg, nil
}
