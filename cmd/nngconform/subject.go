package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gonng/nnghttp/conformance"
)

// A subject is the server that is tested, which runs already or is started for it.
type subject struct {
	Addr string        `placeholder:"URL" help:"The server runs at this URL."`
	Cmd  string        `placeholder:"COMMAND" help:"Start the server with this command; {port} in it is a port, {addr} an address with it."`
	Wait time.Duration `default:"10s" help:"How long the server may take to start."`
}

// start returns where the server is, and what ends it.
func (s *subject) start(ctx context.Context) (*conformance.Server, func(), error) {
	if (s.Addr == "") == (s.Cmd == "") {
		return nil, nil, errors.New("say where the server is: --addr URL, or --cmd COMMAND")
	}
	if s.Addr != "" {
		return &conformance.Server{URL: s.Addr}, func() {}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	addr := l.Addr().String()
	l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	command := strings.NewReplacer("{port}", port, "{addr}", addr).Replace(s.Cmd)
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+command)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // a server may end when this does
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	gone := make(chan error, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); { // nobody reads what it says
		}
		gone <- cmd.Wait()
	}()
	stop := func() {
		in.Close()
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-gone
		}
	}
	for end := time.Now().Add(s.Wait); ; {
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			conn.Close()
			// Where nobody listens, a connection may be one with itself.
			if conn.LocalAddr().String() != addr {
				return &conformance.Server{URL: "http://" + addr}, stop, nil
			}
		}
		select {
		case err := <-gone:
			return nil, nil, fmt.Errorf("the server has ended before it listened on %s: %v", addr, err)
		case <-ctx.Done():
			stop()
			return nil, nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			stop()
			return nil, nil, fmt.Errorf("nothing listens on %s after %v", addr, s.Wait)
		}
	}
}
