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

// A subject is what is tested: a server, which runs already or is started for it, or a client.
type subject struct {
	Addr string        `placeholder:"URL" help:"The server runs at this URL."`
	Cmd  string        `placeholder:"COMMAND" help:"Start the server with this command; {port} in it is a port, {addr} an address with it."`
	Wait time.Duration `default:"10s" help:"How long the server may take to start."`

	WebSocket bool `name:"websocket" help:"It has the WebSocket part of the contract, too."`

	ClientCmd string `placeholder:"COMMAND" help:"Test the client that this command is: it reads lines as GET URL, and writes what it got."`
}

// start gives a run its server and its client, and returns what ends them.
func (s *subject) start(ctx context.Context, run *conformance.Run) (stop func(), err error) {
	stop = func() {}
	switch {
	case s.Addr != "" && s.Cmd != "":
		return nil, errors.New("either the server runs (--addr), or it is to be started (--cmd)")
	case s.Addr == "" && s.Cmd == "" && s.ClientCmd == "":
		return nil, errors.New("say what to test: --addr URL, --cmd COMMAND, or --client-cmd COMMAND")
	case s.Addr != "" || s.Cmd != "":
		if run.Server, stop, err = s.server(ctx); err != nil {
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

// server returns where the server is, and what ends it.
func (s *subject) server(ctx context.Context) (*conformance.Server, func(), error) {
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
			return &conformance.Server{URL: "http://" + addr}, stop, nil
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
