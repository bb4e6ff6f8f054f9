package conformance

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/gonng/nnghttp/internal/procgroup"
)

// A Client is the client that is tested: a command, or a function of Go. The kit gives it URLs at
// which the kit itself listens. It must not be copied once it is used, and Close ends it.
type Client struct {
	// Command is a command for the shell. It goes by the contract: for each line of its standard
	// input, as "GET http://127.0.0.1:1234/", it writes a Reply as one line of JSON. As many
	// of them run as there are cases at a time.
	Command string
	// Func is used instead of a command. It is called by several goroutines at a time.
	Func ClientFunc
	// Patience is how long the client may take for a reply, 3 s if it is 0. No case leaves a
	// client that goes by the contract waiting for so long.
	Patience time.Duration

	// WebSocket says that the client understands "WEBSOCKET ws://127.0.0.1:1234/ws", too. Without
	// it the cases of that role are left out.
	WebSocket bool

	mu    sync.Mutex
	idle  []*process
	wrong error // why the command could not be started the last time
}

// A ClientFunc makes a request and tells what came of it. POST and PUT have the body "hello",
// other methods have none. Redirects are not followed.
type ClientFunc func(ctx context.Context, method, url string) *Reply

// A Reply is what a client has understood of a response, or why there is none. Its strings have one
// character for each byte.
type Reply struct {
	Status int                 `json:"status,omitempty"`
	Fields map[string][]string `json:"fields,omitempty"`
	Body   string              `json:"body,omitempty"`
	Error  string              `json:"error,omitempty"`

	// Messages are those of a WebSocket connection, in order. Without an Error they say that there
	// was one.
	Messages []Message `json:"messages,omitempty"`
}

// requestBody is the body of POST and PUT.
const requestBody = "hello"

// RoundTripper makes a ClientFunc of an http.RoundTripper.
func RoundTripper(rt http.RoundTripper) ClientFunc {
	return func(ctx context.Context, method, url string) *Reply {
		var body io.Reader
		if method == http.MethodPost || method == http.MethodPut {
			body = strings.NewReader(requestBody)
		}
		req, err := http.NewRequestWithContext(ctx, method, url, body)
		if err != nil {
			return &Reply{Error: err.Error()}
		}
		res, err := rt.RoundTrip(req)
		if err != nil {
			return &Reply{Error: err.Error()}
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return &Reply{Error: err.Error()}
		}
		return NewReply(res.StatusCode, res.Header, b)
	}
}

// NewReply makes a Reply, with a character for each byte.
func NewReply(status int, fields map[string][]string, body []byte) *Reply {
	r := &Reply{Status: status, Fields: make(map[string][]string), Body: toLatin1(body)}
	for name, values := range fields {
		for _, v := range values {
			name := toLatin1([]byte(name))
			r.Fields[name] = append(r.Fields[name], toLatin1([]byte(v)))
		}
	}
	return r
}

// ServeClient is the loop of a client's command: it calls do for each line of in, and writes what
// it returns to out, until in ends.
func ServeClient(ctx context.Context, in io.Reader, out io.Writer, do ClientFunc) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		method, url, _ := strings.Cut(lines.Text(), " ")
		b, err := json.Marshal(do(ctx, method, url))
		if err != nil {
			return err
		}
		if _, err := out.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Play plays a case with a client. The error says what kept it from being played; whatever the
// client does is a Result.
func (c *Client) Play(ctx context.Context, one *Case, d Delivery) (*Result, error) {
	return c.play(ctx, one, d, cmp.Or(c.Patience, defaultPatience))
}

// A patientClient is a client for which the kit waits longer.
type patientClient struct{ *Client }

func (c *Client) patient() subject       { return patientClient{c} }
func (c patientClient) patient() subject { return c }

func (c patientClient) Play(ctx context.Context, one *Case, d Delivery) (*Result, error) {
	return c.play(ctx, one, d, 3*cmp.Or(c.Patience, defaultPatience))
}

// play plays a case. One in which a request came that nobody asked the client for is played again: that
// may have been somebody else's, who takes the kit's port for one of his server's. It does not
// happen twice.
func (c *Client) play(ctx context.Context, one *Case, d Delivery, patience time.Duration) (*Result, error) {
	if one.Role() == WebSocketClientRole {
		return c.playWebSocket(ctx, one, d, patience)
	}
	res, strange, err := c.playOnce(ctx, one, d, patience)
	if err == nil && strange {
		res, _, err = c.playOnce(ctx, one, d, patience)
	}
	return res, err
}

func (c *Client) playOnce(ctx context.Context, one *Case, d Delivery, patience time.Duration) (res *Result, strange bool, err error) {
	a, err := c.take(ctx)
	if err != nil {
		return nil, false, err
	}
	x, err := listen(one, d, patience)
	if err != nil {
		c.give(a)
		return nil, false, err
	}
	defer x.close()
	stop := context.AfterFunc(ctx, x.close)
	defer stop()
	first := x.ask(ctx, a, x.request)
	var second *answerOf
	if first.how == "" {
		second = x.followUp(ctx, a)
	}
	c.give(a)
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	res, strange = x.result(first, second)
	return res, strange, nil
}

// An asker makes requests: a process, or a function. The error is errSilent if there was no
// reply in time, errCrashed if there will be none, and errLong if it has no end.
type asker interface {
	// ask gives the client a line, and returns the line that it replies.
	ask(ctx context.Context, line string, patience time.Duration) ([]byte, error)
}

var (
	errSilent  = errors.New("no reply in time")
	errCrashed = errors.New("the client has ended without a reply")
	errLong    = errors.New("the client has written a line of more than 8 MiB")
)

// maxLine is how long a client's line may be. A body of a case has less than 1 MiB, and JSON at most
// six characters for a byte of it.
const maxLine = 8 << 20

// check makes sure that the client can be asked at all: its command is started, and kept for the first
// case. Without that each case would find out for itself, and wait for it.
func (c *Client) check(ctx context.Context) error {
	c.mu.Lock()
	c.wrong = nil
	c.mu.Unlock()
	a, err := c.take(ctx)
	if err != nil {
		return err
	}
	c.give(a)
	return nil
}

// take returns a client that does nothing else in the meantime. A command that could not be started
// is not tried again, which may take long: it would not be another one now.
func (c *Client) take(ctx context.Context) (asker, error) {
	switch {
	case c.Func != nil:
		return c.Func, nil
	case c.Command == "":
		return nil, errors.New("there is neither a command nor a function to be the client")
	}
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		p := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return p, nil
	}
	wrong := c.wrong
	c.mu.Unlock()
	if wrong != nil {
		return nil, wrong
	}
	p, err := startProcess(ctx, c.Command, cmp.Or(c.Patience, defaultPatience))
	if err == nil {
		return p, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.wrong = err
	c.mu.Unlock()
	return nil, err
}

// give takes a client back for the next case, unless it has failed.
func (c *Client) give(a asker) {
	p, ok := a.(*process)
	if !ok {
		return
	}
	if p.failed {
		p.kill()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, p)
}

// Close ends the processes, all at the same time: each may take a while.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range c.idle {
		wg.Go(p.end)
	}
	wg.Wait()
	c.idle = nil
	return nil
}

// ask calls the function as a process is asked.
func (f ClientFunc) ask(ctx context.Context, line string, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	method, url, _ := strings.Cut(line, " ")
	replies := make(chan *Reply, 1)
	go func() {
		defer close(replies)
		defer func() {
			if r := recover(); r != nil { // no reply
				fmt.Fprintf(os.Stderr, "conformance: the client panics on %s: %v\n", line, r)
			}
		}()
		replies <- f(ctx, method, url)
	}()
	select {
	case r, ok := <-replies:
		if ctx.Err() != nil { // what it says then is that it was ended
			return nil, errSilent
		}
		if !ok {
			return nil, errCrashed
		}
		b, err := json.Marshal(r)
		if len(b) > maxLine {
			return nil, errLong
		}
		return b, err
	case <-ctx.Done():
		return nil, errSilent
	}
}

// A process is a client's command.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	lines  chan []byte   // is closed when it writes no more
	long   bool          // is why lines was closed
	gone   chan struct{} // is closed when it has ended
	failed bool          // it may not be asked any more
}

// startProcess starts a command, and has it make one request. What can't do that can't be tested, and
// what ends later has crashed.
func startProcess(ctx context.Context, command string, patience time.Duration) (*process, error) {
	p := &process{cmd: exec.Command("sh", "-c", command), lines: make(chan []byte, 1), gone: make(chan struct{})}
	procgroup.Set(p.cmd)
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.gone)
		defer func() { _ = p.cmd.Wait() }()
		defer close(p.lines)
		for r := bufio.NewReader(p.out); ; {
			line, err := readLine(r)
			if errors.Is(err, errLong) {
				p.long = true
				procgroup.Kill(p.cmd)
			}
			if err != nil {
				return
			}
			p.lines <- line
		}
	}()
	x, err := listen(nil, One, 3*patience) // starting may take a while
	if err != nil {
		p.kill()
		return nil, err
	}
	defer x.close()
	if a := x.ask(ctx, p, "GET http://"+x.host+nextTarget); a.how != "" || a.reply == nil {
		p.kill()
		return nil, fmt.Errorf("%s: asked for a page, the client wrote no line of JSON: %s", command, cmp.Or(a.wrong, a.how, printableQuoted(a.line)))
	}
	return p, nil
}

// readLine reads a line, and returns it without its end.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, errLong
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func (p *process) ask(ctx context.Context, line string, patience time.Duration) ([]byte, error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	// The client may be one that does not read. The write ends with kill, then.
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.in, line+"\n")
		written <- err
	}()
	for {
		var lines chan []byte // what comes before the client has the line is no reply to it
		if written == nil {
			lines = p.lines
		}
		select {
		case err := <-written:
			if err != nil {
				return p.fail(p.ended(ctx, t.C))
			}
			written = nil
		case reply, ok := <-lines:
			if !ok {
				return p.fail(p.ended(ctx, t.C))
			}
			return reply, nil
		case <-t.C:
			return p.fail(errSilent)
		case <-ctx.Done():
			return p.fail(ctx.Err())
		}
	}
}

// fail says that the process is not to be asked any more.
func (p *process) fail(err error) ([]byte, error) {
	p.failed = true
	return nil, err
}

// ended says why a process that takes no lines has ended. One that has only closed its input is taken
// for one that has ended, too.
func (p *process) ended(ctx context.Context, late <-chan time.Time) error {
	for {
		select {
		case _, ok := <-p.lines:
			if ok {
				continue
			}
			if p.long {
				return errLong
			}
		case <-late:
		case <-ctx.Done():
			return ctx.Err()
		}
		return errCrashed
	}
}

// kill ends the process the hard way.
func (p *process) kill() {
	procgroup.Kill(p.cmd)
	p.in.Close()
	p.out.Close() // where there are no groups, what it has started may hold the output
	p.drain()
	<-p.gone
}

// end ends the input of a process, and waits for the end of the process.
func (p *process) end() {
	p.in.Close()
	t := time.AfterFunc(5*time.Second, func() {
		procgroup.Kill(p.cmd)
		p.out.Close()
	})
	defer t.Stop()
	p.drain()
	<-p.gone
}

// drain reads what nobody has asked for.
func (p *process) drain() {
	for range p.lines { //nolint:revive // nobody wants it
	}
}
