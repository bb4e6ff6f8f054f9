package conformance

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A Process is a server that was started for the kit (see Server.Start).
type Process struct {
	// URL is its address, and Secure the one over https, or "".
	URL, Secure string
	// Stop asks the server to stop, as an interrupt does, and returns at once.
	Stop func()
	// Kill ends the server if it is still there. It must be set, as Stop and Gone.
	Kill func()
	// Gone is closed when the server has ended.
	Gone <-chan struct{}
	// Err says how the server has ended. It is called after that.
	Err func() error
	// Crashed reports whether such an end is one that no server has that was asked to stop, as
	// a fault of memory. Without it every end after Stop is fine.
	Crashed func() bool
}

func (p *Process) gone() bool {
	select {
	case <-p.Gone:
		return true
	default:
		return false
	}
}

// waitGone reports whether the server has ended within the time.
func (p *Process) waitGone(d time.Duration) bool {
	select {
	case <-p.Gone:
		return true
	case <-time.After(d):
		return false
	}
}

// errGone: the server has ended in the course of a case, maybe because of another one.
var errGone = errors.New("the server has ended")

// A keeper has the server that all cases share, and starts it again when it has crashed.
type keeper struct {
	start func(context.Context) (*Process, error)

	mu      sync.Mutex
	running *Process
	failed  error    // it could not be started again
	crashes []string // how it has ended, each time
}

// get returns the server that runs.
func (k *keeper) get(ctx context.Context) (*Process, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running != nil && !k.running.gone() {
		return k.running, nil
	}
	if k.running != nil {
		k.crashes = append(k.crashes, k.running.how())
		k.running = nil
	}
	if k.failed != nil { // each case would wait for that again
		return nil, k.failed
	}
	p, err := k.start(ctx)
	if err == nil {
		k.running = p
	} else if ctx.Err() == nil {
		k.failed = err
	}
	return p, err
}

// stop ends the server, and returns how often it has crashed.
func (k *keeper) stop() (crashes []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running == nil {
		return k.crashes
	}
	if k.running.gone() {
		k.crashes = append(k.crashes, k.running.how())
	}
	k.running.Stop()
	k.running.waitGone(defaultPatience)
	k.running.Kill()
	k.running = nil
	return k.crashes
}

// A place is where a case is played.
type place struct {
	url  string
	proc *Process // or nil, if the kit has not started it
	own  bool     // it is the case's own
}

// place returns where a case is played: with the server that runs, or with one of its own that
// the case stops.
func (s *Server) place(ctx context.Context, c *Case) (*place, error) {
	pl := new(place)
	var err error
	switch {
	case c.stops():
		pl.proc, err = s.Start(ctx)
		pl.own = true
	case s.keep != nil:
		pl.proc, err = s.keep.get(ctx)
	default:
		pl.url = s.URL
		if s.secure(c) {
			pl.url = cmp.Or(s.Secure, s.URL)
		}
		return pl, nil
	}
	if err != nil {
		return nil, err
	}
	pl.url = pl.proc.URL
	if s.secure(c) {
		pl.url = pl.proc.Secure
	}
	return pl, nil
}

// secure reports whether a case is played over https.
func (s *Server) secure(c *Case) bool { return s.OverTLS || c.topic.TLS }

// leave ends a server that was started for the case.
func (pl *place) leave() {
	if pl.own {
		pl.proc.Kill()
		pl.proc.waitGone(defaultPatience)
	}
}

// died reports whether the server has ended though nobody has asked it to. A connection that
// was closed is the first thing that is seen of that, so then the server has to prove that it
// still listens.
func (pl *place) died(closed bool) bool {
	if pl.proc == nil {
		return false
	}
	if pl.proc.gone() {
		return true
	}
	if !closed {
		return false
	}
	if listens(pl.url) {
		return false
	}
	if !pl.proc.waitGone(defaultPatience) {
		pl.proc.Kill() // it is there, and of no use to anybody
		pl.proc.waitGone(defaultPatience)
	}
	return true
}

// listens reports whether somebody accepts connections at a URL. That no connection can be made
// for another reason, as that there are too many, does not say that nobody does.
func listens(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	conn, err := net.DialTimeout("tcp", u.Host, defaultPatience)
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	defer conn.Close()
	return !toItself(conn)
}

// toItself reports whether a connection is one to itself: where nobody listens, and most ports
// are in use, the system may choose the same one for both ends.
func toItself(c net.Conn) bool { return c.LocalAddr().String() == c.RemoteAddr().String() }

// crashed is the result of a case that has ended the server, when it was played alone.
func crashed(p *Process, trace []Event) *Result {
	return &Result{Outcome: Crashed, Wrong: "the server has crashed: " + p.how(), Trace: trace}
}

// how says how the server has ended.
func (p *Process) how() string {
	if err := p.Err(); err != nil {
		return err.Error()
	}
	return "no error"
}

// leftOut says why a case cannot be played with the server, or "".
func (s *Server) leftOut(c *Case) string {
	switch {
	case c.stops() && s.Start == nil:
		return "they stop the server, which the kit has not started"
	case !s.secure(c):
		return ""
	}
	if s.keep != nil { // the server has been started
		if s.keep.running.Secure == "" {
			return "they need TLS, which the server has not been given a port for"
		}
	} else if u, err := url.Parse(cmp.Or(s.Secure, s.URL)); err != nil || u.Scheme != "https" {
		return "they need TLS, and the URL is not one of https"
	}
	return ""
}

// Certificate is a certificate for 127.0.0.1, ::1 and localhost that was made for a run, as two
// files of PEM.
type Certificate struct {
	CertFile, KeyFile string
	// Roots is who signed it, which is itself.
	Roots *x509.CertPool
}

// NewCertificate makes a certificate, whose files are in a directory.
func NewCertificate(dir string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &Certificate{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), Roots: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.Roots.AppendCertsFromPEM(certPEM)
	if err := os.WriteFile(c.CertFile, certPEM, 0o666); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return nil, err
	}
	return c, nil
}
