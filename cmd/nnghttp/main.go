// Command nnghttp serves and fetches over HTTP with libnng, the C library that
// package nng binds.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/gonng/nnghttp/nng"
)

type commands struct {
	Serve   serveCmd   `cmd:"" help:"Serve a demo page, an echo, a WebSocket echo and files."`
	Get     getCmd     `cmd:"" help:"Fetch a URL: the body goes to standard output."`
	WS      wsCmd      `cmd:"" name:"ws" help:"Talk to a WebSocket server: lines in, messages out."`
	Cert    certCmd    `cmd:"" help:"Make a certificate for development."`
	Version versionCmd `cmd:"" help:"Show the version of this program and of libnng."`
}

// Exit codes; getCmd.Help lists them for the user.
const (
	exitOther       = 1
	exitConnection  = 2
	exitInterrupted = 130 // what a shell reports for a program that SIGINT ended
)

// exitError is an error with an exit code of its own. Without err nothing is
// printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program the hard way

	parser, err := kong.New(&commands{},
		kong.Name("nnghttp"),
		kong.Description("HTTP and WebSocket with libnng's HTTP library."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // the tags above are wrong
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "nnghttp: %v; see nnghttp --help\n", err)
		return exitOther
	}
	return report(cmd.Run())
}

// report prints an error in one line and returns the exit code.
func report(err error) int {
	if err == nil {
		return 0
	}
	code := exitOther
	var e *exitError
	if errors.As(err, &e) {
		if code = e.code; e.err == nil {
			return code
		}
	}
	fmt.Fprintln(os.Stderr, "nnghttp:", strings.ReplaceAll(err.Error(), "\n", " "))
	return code
}

// reason says in a few words what went wrong. The caller names the operation, so
// the one in a nng.OpError is left out.
func reason(err error) string {
	var op *nng.OpError
	if errors.As(err, &op) {
		if op.Detail != "" {
			return op.Detail
		}
		err = op.Err
	}
	return strings.TrimPrefix(err.Error(), "nng: ")
}
