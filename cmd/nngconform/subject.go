package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/internal/procgroup"
)

// A subject is what is tested: a server, which runs already or is started for it, or a client.
type subject struct {
	Addr    string        `placeholder:"URL" help:"The server runs at this URL. One of https is for everything."`
	TLSAddr string        `name:"tls-addr" placeholder:"URL" help:"The server's URL over https, for the topics on TLS."`
	Cmd     string        `placeholder:"COMMAND" help:"Start the server with this command; {port} in it is a port, {addr} an address with it, {tls-port} and {tls-addr} are those for https, {cert} and {key} files of PEM with a certificate and its key."`
	Wait    time.Duration `default:"10s" help:"How long the server may take to start."`
	OverTLS bool          `name:"over-tls" help:"Play all cases over https."`

	WebSocket bool `name:"websocket" help:"It has the WebSocket part of the contract, too."`

	ClientCmd string `placeholder:"COMMAND" help:"Test the client that this command is: it reads lines as GET URL, and writes what it got."`
}

// prepare gives a run its server and its client, and returns what ends them.
func (s *subject) prepare(run *conformance.Run) (stop func(), err error) {
	stop = func() {}
	switch {
	case s.Addr != "" && s.Cmd != "":
		return nil, errors.New("either the server runs (--addr), or it is to be started (--cmd)")
	case s.Addr == "" && s.Cmd == "" && s.ClientCmd == "":
		return nil, errors.New("say what to test: --addr URL, --cmd COMMAND, or --client-cmd COMMAND")
	case s.Addr != "" && !strings.HasPrefix(s.Addr, "http://") && !strings.HasPrefix(s.Addr, "https://"):
		return nil, fmt.Errorf("--addr %s: a URL is needed, as http://127.0.0.1:8080", s.Addr)
	case s.Addr != "" || s.Cmd != "":
		if run.Server, stop, err = s.server(); err != nil {
			return nil, err
		}
		run.Server.WebSocket = s.WebSocket
	}
	if s.ClientCmd == "" {
		return stop, nil
	}
	run.Client = &conformance.Client{Command: s.ClientCmd, WebSocket: s.WebSocket}
	stopServer := stop
	return func() {
		_ = run.Client.Close()
		stopServer()
	}, nil
}

// server returns the server, and what removes what was made for it.
func (s *subject) server() (*conformance.Server, func(), error) {
	if s.Addr != "" {
		return &conformance.Server{URL: s.Addr, Secure: s.TLSAddr, OverTLS: s.OverTLS}, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "nngconform")
	if err != nil {
		return nil, nil, err
	}
	cert, err := conformance.NewCertificate(dir)
	if err != nil {
		return nil, nil, err
	}
	return &conformance.Server{OverTLS: s.OverTLS, TLS: &tls.Config{RootCAs: cert.Roots},
		Start: func(ctx context.Context) (*conformance.Process, error) { return s.start(ctx, cert) },
	}, func() { os.RemoveAll(dir) }, nil
}

// errSilent: the server runs, and does not listen. To try again would take as long again.
var errSilent = errors.New("nothing listens")

// start starts the server. A port that is free may be taken a moment later, so there is more
// than one try.
func (s *subject) start(ctx context.Context, cert *conformance.Certificate) (p *conformance.Process, err error) {
	for range 10 {
		if p, err = s.startOnce(ctx, cert); err == nil || errors.Is(err, errSilent) || ctx.Err() != nil {
			break
		}
	}
	return p, err
}

func (s *subject) startOnce(ctx context.Context, cert *conformance.Certificate) (*conformance.Process, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	addrs := []string{net.JoinHostPort("127.0.0.1", ports[0]), net.JoinHostPort("127.0.0.1", ports[1])}
	command := strings.NewReplacer("{port}", ports[0], "{addr}", addrs[0], "{tls-port}", ports[1], "{tls-addr}", addrs[1],
		"{cert}", cert.CertFile, "{key}", cert.KeyFile).Replace(s.Cmd)
	p := &conformance.Process{URL: "http://" + addrs[0]}
	if strings.Contains(s.Cmd, "{tls-") {
		p.Secure = "https://" + addrs[1]
	} else if addrs = addrs[:1]; s.OverTLS {
		return nil, errors.New("--over-tls needs {tls-port} or {tls-addr} in the command")
	}
	cmd := exec.Command("sh", "-c", command)
	procgroup.Set(cmd)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // a server may end when this does
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	var ended error
	go func() {
		_, _ = io.Copy(io.Discard, out) // nobody reads what it says
		ended = cmd.Wait()
		close(gone)
	}()
	p.Gone = gone
	p.Err = func() error { return ended }
	p.Kill = func() {
		procgroup.Kill(cmd)
		out.Close() // somebody outside of the group may have it
	}
	p.Stop = func() {
		in.Close()
		procgroup.Interrupt(cmd)
	}
	p.Crashed = func() bool {
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok {
			return false
		}
		signal := status.Signal()
		if code := status.ExitStatus(); code > 128 { // what a shell says of a signal
			signal = syscall.Signal(code - 128)
		} else if !status.Signaled() {
			return false
		}
		return signal != syscall.SIGINT && signal != syscall.SIGKILL && signal != syscall.SIGTERM
	}
	for _, addr := range addrs {
		if err := s.awaitListening(ctx, p, addr); err != nil {
			p.Kill()
			<-gone
			return nil, err
		}
	}
	select {
	case <-gone: // it was somebody else who listened
		return nil, fmt.Errorf("the server has ended: %v", p.Err())
	case <-time.After(30 * time.Millisecond):
		return p, nil
	}
}

func (s *subject) awaitListening(ctx context.Context, p *conformance.Process, addr string) error {
	for end := time.Now().Add(s.Wait); ; {
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			// Where most ports are in use, a connection to one that nobody listens on may be
			// one to itself.
			itself := conn.LocalAddr().String() == addr
			conn.Close()
			if !itself {
				return nil
			}
		}
		select {
		case <-p.Gone:
			return fmt.Errorf("the server has ended before it listened on %s: %v", addr, p.Err())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w on %s after %v", errSilent, addr, s.Wait)
		}
	}
}

// given are the ports that servers were started with. Each server has its own: of two that are
// started at a time with the same one, the other would be taken for it until it ends.
var given struct {
	sync.Mutex
	ports map[string]bool
}

// freePorts returns ports that nobody listens on. They are none of those that a system gives to
// programs that want any: one of them could have such a port before the server is started.
func freePorts(n int) (ports []string, err error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil || len(given.ports) > 10000 {
		given.ports = make(map[string]bool)
	}
	config := net.ListenConfig{Control: onlyFree}
	for tries := 0; len(ports) < n && tries < 100; tries++ {
		port := strconv.Itoa(10000 + rand.IntN(20000))
		if given.ports[port] {
			continue
		}
		var l net.Listener
		if l, err = config.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", port)); err != nil {
			continue
		}
		defer l.Close()
		given.ports[port] = true
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, cmp.Or(err, errors.New("no port was free"))
	}
	return ports, nil
}
