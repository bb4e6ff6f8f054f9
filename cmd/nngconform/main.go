// Command nngconform compares an HTTP server or an HTTP client with libnng's, case by case: how it
// responds, what it has understood, what it does with the connection. It needs neither libnng nor cgo:
// what libnng does was recorded.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Run     runCmd     `cmd:"" help:"Play the cases with a server or a client, and compare with a recording."`
	List    listCmd    `cmd:"" help:"List the cases."`
	Show    showCmd    `cmd:"" help:"Show a case: its bytes, its source, and what each reference did."`
	Compare compareCmd `cmd:"" help:"Compare two recordings, or reports."`
	Report  reportCmd  `cmd:"" help:"Make a page of several reports, with a column for each."`
	Record  recordCmd  `cmd:"" help:"Record what a reference does."`
}

// Exit codes.
const (
	exitDiffers = 1 // there are differences that nobody has listed
	exitOther   = 2
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program the hard way
	parser, err := kong.New(&commands{},
		kong.Name("nngconform"),
		kong.Description("Compare an HTTP server or client with libnng's."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // the tags above are wrong
	}
	cmd, err := parser.Parse(args)
	if err == nil {
		err = cmd.Run()
	}
	if errors.Is(err, errDiffers) {
		return exitDiffers
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "nngconform: %v\n", err)
		return exitOther
	}
	return 0
}
