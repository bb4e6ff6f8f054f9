package main

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exitCode runs the command and compares its exit code: exitcode CODE ARGUMENT...
// Its output is left in the files printed and errors.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exitcode CODE [ARGUMENT...]")
	}
	cmd := script(ts, args[1:])
	checkCode(ts, cmd.Run(), args[0])
}

// silent is the last silent server of a script; asked gets a token when it has been
// asked something.
type silent struct{ asked chan struct{} }

type silentKey struct{}

// signalCommand runs the command, waits until it has asked a silent server or printed an
// echo of its input, sends it a signal, and wants it to exit before long:
// signal INT|TERM CODE ARGUMENT...
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: signal INT|TERM CODE ARGUMENT...")
	}
	last := ts.Value(silentKey{}).(*silent)
	asked := last.asked
	last.asked = nil // its tokens are for one command
	cmd := script(ts, args[2:])
	in, err := cmd.StdinPipe() // stays open, so that only the signal ends ws
	ts.Check(err)
	defer in.Close()
	ts.Check(cmd.Start())
	_, err = in.Write([]byte("hello\n"))
	ts.Check(err)
	for end := time.Now().Add(10 * time.Second); len(asked) == 0 && ts.ReadFile("printed") == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("the command does nothing")
		}
	}
	start := time.Now()
	ts.Check(cmd.Process.Signal(map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}[args[0]]))
	err = cmd.Wait()
	if took := time.Since(start); took > 2*time.Second {
		ts.Fatalf("it took %v to exit", took)
	}
	checkCode(ts, err, args[1])
}

func script(ts *testscript.TestScript, args []string) *exec.Cmd {
	name, err := exec.LookPath("nnghttp")
	ts.Check(err)
	cmd := exec.Command(name, args...)
	cmd.Dir = ts.MkAbs(".")
	create := func(name string) *os.File {
		f, err := os.Create(ts.MkAbs(name))
		ts.Check(err)
		ts.Defer(func() { f.Close() })
		return f
	}
	cmd.Stdout, cmd.Stderr = create("printed"), create("errors")
	cmd.Env = append(os.Environ(), "GORACE="+raceOptions)
	return cmd
}

func checkCode(ts *testscript.TestScript, err error, want string) {
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d (%v), want %s\n%s", code, err, want, ts.ReadFile("errors"))
	}
}

// silentServer puts into a variable the URL of a server that accepts and never
// answers: silent VARIABLE
func silentServer(ts *testscript.TestScript, _ bool, args []string) {
	asked := make(chan struct{}, 100)
	ts.Value(silentKey{}).(*silent).asked = asked
	ts.Setenv(args[0], listen(ts, func(c net.Conn) {
		for b := make([]byte, 4096); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
			asked <- struct{}{}
		}
	}))
}

// cannedServer puts into a variable the URL of a server that answers with a file,
// where every line ends in CR LF, once or many times, and closes: canned VARIABLE FILE [TIMES]
func cannedServer(ts *testscript.TestScript, _ bool, args []string) {
	reply := strings.ReplaceAll(ts.ReadFile(args[1]), "\n", "\r\n")
	if len(args) > 2 {
		times, err := strconv.Atoi(args[2])
		ts.Check(err)
		reply = strings.Repeat(reply, times)
	}
	ts.Setenv(args[0], listen(ts, func(c net.Conn) {
		// The request is read first: closed on unread bytes, TCP would drop the reply.
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = c.Write([]byte(reply))
		}
	}))
}

func listen(ts *testscript.TestScript, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}
