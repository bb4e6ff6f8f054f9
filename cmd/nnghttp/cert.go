package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/nng"
)

const day = 24 * time.Hour

type certCmd struct {
	Host  []string `default:"localhost,127.0.0.1,::1" placeholder:"HOST,..." help:"Names and addresses that the certificate is for (${default})."`
	Days  int      `default:"365" placeholder:"N" help:"How long it is valid (${default})."`
	Out   string   `default:"." placeholder:"DIR" help:"Where to write cert.pem and key.pem."`
	Force bool     `help:"Overwrite them if they are there."`
}

// Help tells how the files are used.
func (certCmd) Help() string {
	return `For development. Give cert.pem to the programs that are to trust the certificate: with --cacert to nnghttp and curl, or in the settings of a browser. It is valid for its own hosts only.

  nnghttp cert --out DIR
  nnghttp serve --listen https://127.0.0.1:8443 --cert DIR/cert.pem --key DIR/key.pem
  nnghttp get --cacert DIR/cert.pem https://127.0.0.1:8443/`
}

// Run makes a self-signed certificate and writes it with its key.
func (c *certCmd) Run() error {
	if c.Days < 1 || c.Days > 36500 {
		return fmt.Errorf("cannot make a certificate for %d days: choose 1 to 36500", c.Days)
	}
	cert, err := devcert.SelfSigned(time.Duration(c.Days)*day, c.Host...)
	if err != nil {
		return fmt.Errorf("cannot make a certificate: %w", err)
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return fmt.Errorf("cannot write the certificate: %w", err)
	}
	certFile, keyFile := filepath.Join(c.Out, "cert.pem"), filepath.Join(c.Out, "key.pem")
	if !c.Force {
		for _, name := range []string{certFile, keyFile} { // both or none
			if _, err := os.Lstat(name); err == nil {
				return existsError(name)
			}
		}
	}
	if err := c.write(keyFile, cert.KeyPEM, 0o600); err != nil {
		return err
	}
	if err := c.write(certFile, cert.CertPEM, 0o644); err != nil {
		if !c.Force {
			os.Remove(keyFile)
		}
		return err
	}
	fmt.Printf("wrote %s and %s, for %s, until %s\n", certFile, keyFile, strings.Join(c.Host, ", "), cert.Leaf.NotAfter.Format(time.DateOnly))
	fmt.Println("SHA-256", cert.Fingerprint())
	return nil
}

func existsError(name string) error {
	return fmt.Errorf("%s is there already; overwrite it with --force", name)
}

// write makes a file in one step: nobody finds half a key, one that others may read, or
// one that was put behind a link.
func (c *certCmd) write(name, content string, perm fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".nnghttp-*") // for us alone
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chmod(perm), f.Close())
	if err == nil && c.Force {
		err = os.Rename(f.Name(), name)
	} else if err == nil {
		err = os.Link(f.Name(), name) // which does not replace a file
	}
	if errors.Is(err, fs.ErrExist) {
		return existsError(name)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return nil
}

// A selfSigned is the certificate of serve --self-signed. Its key stays in memory.
type selfSigned struct {
	cert *devcert.Cert
	file string // with the certificate, for clients
}

// newSelfSigned makes a certificate for this machine and the host of a URL.
func newSelfSigned(listen string) (*selfSigned, error) {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if host := listenHost(listen); host != "" {
		hosts = append(hosts, host)
	}
	cert, err := devcert.SelfSigned(365*day, hosts...)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return &selfSigned{cert: cert}, nil
}

// listenHost is the host of a URL to listen on, if it is more than "all addresses" or
// one of those that every certificate here is for.
func listenHost(listen string) string {
	u, err := url.Parse(strings.Replace(listen, "://*", "://", 1))
	if err != nil {
		return ""
	}
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	if err == nil && addr.IsUnspecified() || host == "localhost" || host == "127.0.0.1" || host == "::1" {
		return ""
	}
	return host
}

func (s *selfSigned) tlsConfig() (*nng.TLSConfig, error) {
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	if err != nil {
		return nil, fmt.Errorf("cannot use TLS: %s", reason(err))
	}
	if err := cfg.SetOwnCert(s.cert.CertPEM, s.cert.KeyPEM, ""); err != nil {
		cfg.Close()
		return nil, fmt.Errorf("cannot use the certificate: %s", reason(err))
	}
	return cfg, nil
}

// announce writes the certificate to a file and prints how to trust it. The file goes
// with close.
func (s *selfSigned) announce(listening string) error {
	f, err := os.CreateTemp("", "nnghttp-*.pem")
	if err != nil {
		return fmt.Errorf("cannot write the certificate: %w", err)
	}
	s.file = f.Name()
	_, err = f.WriteString(s.cert.CertPEM)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		s.close()
		return fmt.Errorf("cannot write the certificate: %w", err)
	}
	// From outside nobody connects to "all addresses".
	listening = strings.NewReplacer("://0.0.0.0:", "://localhost:", "://[::]:", "://localhost:").Replace(listening)
	fmt.Println("certificate SHA-256", s.cert.Fingerprint())
	fmt.Printf("try: curl --cacert %s %s/healthz\n", s.file, listening)
	return nil
}

func (s *selfSigned) close() {
	if s != nil && s.file != "" {
		os.Remove(s.file)
	}
}
