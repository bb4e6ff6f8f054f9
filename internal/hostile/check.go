package hostile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Exchange is what a client has sent to a server, and what came back.
type Exchange struct {
	Sent, Got []byte
	Ended     bool // the server has closed the connection
}

// sentinel is a good request that follows every script after which the server must still
// listen.
const sentinel = "GET /raw/collect/sentinel HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

// Patience is how long a server may take to answer or to close.
const Patience = 20 * time.Second

// A collector keeps what a connection brings.
type collector struct {
	mu    sync.Mutex
	got   []byte
	ended chan struct{}
	err   error
}

func collect(c net.Conn) *collector {
	k := &collector{ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		buf := make([]byte, 16<<10)
		for {
			n, err := c.Read(buf)
			k.mu.Lock()
			if len(k.got) < 8<<20 {
				k.got = append(k.got, buf[:n]...)
			}
			k.mu.Unlock()
			if err != nil {
				k.err = err
				return
			}
		}
	}()
	return k
}

func (k *collector) received() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.got[:len(k.got):len(k.got)]
}

// Attack plays a script against a door of the target, and checks what the server does: it
// must answer what RFC 9112 lets it answer and nothing else, and end the connection when
// the client has.
func (t *Target) Attack(door int, script []byte, p Player) error {
	c, err := t.Dial(door)
	if err != nil {
		return err
	}
	defer c.Close()
	in := collect(c)
	p.Received = in.received
	x := Exchange{}
	sent, end := Sent(script)
	x.Sent = sent
	if !p.Play(c, script) {
		<-in.ended
		x.Got = in.received()
		return x.Check(door)
	}
	wanted, more := Requests(x.Sent)
	if more && end != 'c' && end != 'r' && door != Garbled {
		if _, err := io.WriteString(c, sentinel); err == nil {
			x.Sent = append(x.Sent, sentinel...)
			in.wait(func(got []byte) bool {
				for _, last := range []string{"/sentinel", "X-Taken", " 101 ", "onnection: close"} {
					if bytes.Contains(got, []byte(last)) {
						return true
					}
				}
				return false
			}, p.Patience)
		}
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	patience := Patience + time.Duration(len(wanted))*20*time.Millisecond
	_ = c.SetDeadline(time.Now().Add(patience + 10*time.Second))
	select {
	case <-in.ended:
		x.Ended = !isTimeout(in.err)
	case <-time.After(patience):
		_ = c.Close()
		<-in.ended
	}
	x.Got = in.received()
	if !x.Ended {
		return fmt.Errorf("the server holds the connection %v after the client has ended it, %d requests, got %.300q", patience, len(wanted), x.Got)
	}
	return x.Check(door)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// wait waits until what was received is enough, the connection ends, or for a while.
func (k *collector) wait(enough func([]byte) bool, patience time.Duration) bool {
	if patience == 0 {
		patience = Patience
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
		if enough(k.received()) {
			return true
		}
		select {
		case <-k.ended:
			return true
		default:
		}
	}
	return false
}

// Check compares the responses with what a strict reader makes of the requests.
func (x *Exchange) Check(door int) error {
	if door == Garbled {
		return nil // what comes is TLS, or nothing, or a 400
	}
	wanted, _ := Requests(x.Sent)
	r := bufio.NewReader(bytes.NewReader(x.Got))
	last := "" // why there must be nothing more
	for i := 0; ; {
		if _, err := r.Peek(1); err != nil {
			return nil
		}
		if last != "" {
			rest, _ := io.ReadAll(r)
			return x.fault("after %s more came: %.200q", last, rest)
		}
		method := http.MethodGet
		if i < len(wanted) {
			method = wanted[i].Method
		}
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil // cut
		} else if err != nil {
			return x.fault("response %d is none: %v", i, err)
		}
		if res.StatusCode/100 == 1 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		said := res.Header.Get(Saw)
		if i >= len(wanted) {
			if said != "" || res.StatusCode < 400 {
				return x.fault("request %d was served, %d %s, and is none that may be", i, res.StatusCode, said)
			}
			last = fmt.Sprintf("the answer %d to what is no request", res.StatusCode)
		} else if want := saw(wanted[i].Method, wanted[i].Target); said != "" && said != want {
			return x.fault("request %d was served as %s, and is %s", i, said, want)
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return x.checkEcho(wanted[i].End, r)
		}
		if res.Header.Get("X-Taken") != "" {
			return nil // what follows is no HTTP
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return nil // cut
		}
		switch {
		case said != "" || last != "":
		case res.StatusCode == 400 || res.StatusCode == 408 || res.StatusCode == 413 || res.StatusCode == 414 || res.StatusCode == 431 || res.StatusCode == 501 || res.StatusCode == 505:
			last = fmt.Sprintf("nng's own %d", res.StatusCode)
		}
		if res.Close && last == "" {
			last = "Connection: close"
		}
		i++
	}
}

// checkEcho compares the messages that a WSListener has sent back with those that a strict
// reader finds in what was sent to it after the handshake.
func (x *Exchange) checkEcho(from int, r io.Reader) error {
	frames, _ := io.ReadAll(r)
	wanted := Messages(x.Sent[from:], true)
	for i, m := range Messages(frames, false) {
		if i >= len(wanted) || !bytes.Equal(m, wanted[i]) {
			return x.fault("message %d, %.60q, is none that was sent", i, m)
		}
	}
	return nil
}

func (x *Exchange) fault(format string, args ...any) error {
	return fmt.Errorf("%s\nsent: %s\ngot: %s", fmt.Sprintf(format, args...), short(x.Sent), short(x.Got))
}

// short quotes bytes, without most of long ones.
func short(b []byte) string {
	if len(b) > 3000 {
		return strconv.Quote(string(b[:1500])) + " … " + strconv.Quote(string(b[len(b)-1500:])) + " (" + strconv.Itoa(len(b)) + " bytes)"
	}
	return strings.ReplaceAll(strconv.Quote(string(b)), `\n`, "\\n\n")
}

// Moments are when time-outs of a Target's server end: the time that nng reads on after an
// answer of its own.
func (t *Target) Moments() []time.Duration { return []time.Duration{500 * time.Millisecond} }

// Storm plays one script on many connections at a time, each a little later than the one
// before in relation to the moments of the time-outs, from 1 ms before them to 4 ms after.
func (t *Target) Storm(door int, script []byte, conns int) error {
	errs := make(chan error, conns)
	for i := range conns {
		go func() {
			p := Player{Moments: t.Moments(), Jitter: 5*time.Millisecond*time.Duration(i)/time.Duration(conns) - time.Millisecond}
			errs <- t.Attack(door, script, p)
		}()
	}
	var first error
	for range conns {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
