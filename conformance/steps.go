package conformance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Steps are the words of Step.Do, and what they mean.
var Steps = map[string]string{
	"half-close": "the client ends its direction: by FIN, over TLS by close_notify",
	"fin":        "the client ends its direction by FIN, also over TLS, where it says nothing",
	"reset":      "the client resets the connection",
	"stop":       "the server is asked to stop, and does not accept connections any more",
	"running":    "a handler of /slow runs",
	"read":       "the client reads on",
	"await-end":  "the connection has ended",
}

// ownRecords reports whether a case makes records of TLS itself.
func (c *Case) ownRecords() bool {
	return slices.ContainsFunc(c.Then, func(s Step) bool { return s.Record != nil })
}

// stops reports whether the case stops its server.
func (c *Case) stops() bool {
	return slices.ContainsFunc(c.Then, func(s Step) bool { return s.Do == "stop" })
}

// checkSteps says what is wrong with the steps of a case, and with how it sets TLS up.
func (c *Case) checkSteps() error {
	last := 1 // connection
	for _, s := range c.Then {
		set := 0
		for _, is := range []bool{s.Send != "", s.Await != 0, s.AwaitData != "", s.Do != "", s.On != 0, s.Pause != 0, s.Record != nil} {
			if is {
				set++
			}
		}
		if set != 1 {
			return errors.New("each step has one field")
		}
		if s.Record != nil && !c.topic.TLS {
			return errors.New("a record is for a topic on TLS")
		}
		if s.Do != "" && Steps[s.Do] == "" {
			return fmt.Errorf("%q is nothing that a step does", s.Do)
		}
		if s.On > last+1 || s.On < 0 {
			return fmt.Errorf("connection %d comes before its turn", s.On)
		}
		last = max(last, s.On)
		if s.Pause > 100*time.Millisecond || s.Pause < 0 {
			return fmt.Errorf("a pause of %v", s.Pause)
		}
		texts := []string{s.Send, s.AwaitData}
		if s.Record != nil {
			texts = append(texts, s.Record.Data)
		}
		for _, text := range texts {
			if _, err := expand(text, "host"); err != nil {
				return err
			}
		}
	}
	if c.TLS != nil && !c.topic.TLS {
		return errors.New("how TLS is set up is for a topic on TLS")
	}
	return c.TLS.apply(new(tls.Config))
}

var dataPattern = regexp.MustCompile(`data\(([^()]*\$\{[^}]*\}[^()]*)\)`)

// expandData writes the data of a pattern as an outcome does: data(${ab*9}c).
func expandData(pattern string) string {
	return dataPattern.ReplaceAllStringFunc(pattern, func(s string) string {
		b, err := expand(dataPattern.FindStringSubmatch(s)[1], "host")
		if err != nil {
			return s // which is no pattern
		}
		return "data(" + printableQuoted(toLatin1(b)) + ")"
	})
}

// keeping returns the server with the process that its cases share, if it has to be started.
func (s *Server) keeping(ctx context.Context) (*Server, error) {
	again := *s
	if s.Start == nil || s.URL != "" {
		return &again, nil
	}
	again.keep = &keeper{start: s.Start}
	_, err := again.keep.get(ctx)
	return &again, err
}

// steps does what a case does after its first bytes, and returns the connection that it ends
// with. What is awaited in vain ends it.
func (p *player) steps(ctx context.Context, steps []Step) *player {
	now := p
	for _, s := range steps {
		if ctx.Err() != nil {
			break
		}
		if s.On > 0 {
			now = p.connection(ctx, s.On)
			continue
		}
		if !now.step(ctx, s) {
			break
		}
		p.stopped = p.stopped || now.stopped
	}
	return now
}

// connection returns a connection of the case, and makes it if it is not there.
func (p *player) connection(ctx context.Context, n int) *player {
	if n == 1 {
		return p
	}
	if n-2 < len(p.others) {
		return p.others[n-2]
	}
	o := &player{server: p.server, at: p.at, c: p.c}
	if err := o.dial(ctx); err != nil {
		o.refused, o.end = "refused", "closed"
	}
	p.mu.Lock()
	p.others = append(p.others, o)
	p.mu.Unlock()
	return o
}

// step reports false if what it awaits has not come.
func (p *player) step(ctx context.Context, s Step) bool {
	switch {
	case s.Send != "":
		b, _ := expand(s.Send, p.host) // checkSteps has tried it
		p.send(b)
	case s.Record != nil:
		data, _ := expand(s.Record.Data, p.host)
		if p.own != nil && p.refused == "" {
			p.ended(fmt.Sprintf("a record of type %d with %d bytes by the client", s.Record.Type, len(data)))
			_ = p.own.record(p.raw, *s.Record, data)
		}
	case s.Await > 0:
		return p.awaitStatus(s.Await)
	case s.AwaitData != "":
		data, _ := expand(s.AwaitData, p.host)
		return p.awaitThat(func(all []byte) bool { return bytes.Contains(all, data) })
	case s.Pause > 0:
		time.Sleep(s.Pause)
	default:
		return p.do(ctx, s.Do)
	}
	return true
}

// awaitStatus awaits a response with a status.
func (p *player) awaitStatus(status int) bool {
	method, _ := requestLine(p.first)
	return p.awaitThat(func(all []byte) bool {
		return slices.ContainsFunc(responses(all, false, []string{method}).all, func(r *Response) bool { return r.Status == status })
	})
}

// awaitThat awaits that what has come is enough.
func (p *player) awaitThat(enough func(all []byte) bool) bool {
	p.await(p.patience, func(all []byte, _ bool) bool { return enough(all) })
	return enough(p.receivedSoFar())
}

// awaitFollowUp awaits the response to the follow-up. Over TLS it does not ask for the end of the
// connection, which is a matter of its own there (see topic tls-ends): the client ends it.
func (p *player) awaitFollowUp() bool {
	p.readOn()
	method, _ := requestLine(p.first)
	return p.awaitThat(func(all []byte) bool {
		return slices.ContainsFunc(responses(all, false, []string{method}).all, func(r *Response) bool {
			e := r.echo()
			return e != nil && e.followUp()
		})
	})
}

func (p *player) receivedSoFar() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.received
}

func (p *player) do(ctx context.Context, what string) bool {
	switch what {
	case "half-close":
		p.halfClose()
	case "fin":
		p.ended("FIN by the client")
		_ = p.raw.CloseWrite()
	case "reset":
		p.mu.Lock()
		p.reset = true
		p.mu.Unlock()
		p.ended("reset by the client")
		_ = p.raw.SetLinger(0)
		p.raw.Close()
	case "read":
		p.readOn()
	case "await-end":
		p.await(p.patience, func([]byte, bool) bool { return false })
	case "running":
		return p.awaitRunning(ctx)
	case "stop":
		p.stop()
	}
	return true
}

// halfClose ends the client's direction.
func (p *player) halfClose() {
	p.ended("half-close by the client")
	switch t, ok := p.conn.(*tls.Conn); {
	case p.refused != "":
	case p.own != nil:
		_ = p.own.record(p.raw, Record{Type: 21}, []byte{1, 0})
	case ok:
		_ = t.CloseWrite()
	default:
		_ = p.raw.CloseWrite()
	}
}

// readOn reads on after the first byte.
func (p *player) readOn() {
	if p.gate == nil || p.refused != "" {
		return
	}
	select {
	case <-p.gate:
	default:
		_ = p.raw.SetReadBuffer(1 << 20)
		close(p.gate)
	}
}

// stop asks the server to stop. What happens after that is not to depend on how long it takes to
// hear it: so it does not listen any more, and a connection that it closes at once has ended.
func (p *player) stop() {
	p.ended("the server is stopped")
	p.stopped = true
	p.at.proc.Stop()
	for end := time.Now().Add(p.patience); time.Now().Before(end) && !p.at.proc.gone() && listens(p.at.url); {
		time.Sleep(2 * time.Millisecond)
	}
	p.await(apartLatest, func([]byte, bool) bool { return false })
}

// awaitRunning awaits that a handler of /slow runs, which the server tells with /running.
func (p *player) awaitRunning(ctx context.Context) bool {
	u, err := url.Parse(p.at.url)
	if err != nil {
		return false
	}
	u.Path = "/running"
	cfg := p.server.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is HTTP that is tested
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: cfg}, Timeout: p.patience}
	for end := time.Now().Add(p.patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		res, err := client.Get(u.String())
		if err != nil {
			return false
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return false
		}
		if n := strings.TrimSpace(string(b)); n != "" && n != "0" {
			return true
		}
	}
	return false
}

// endOf is how a connection has ended, in a word.
func (p *player) endOf(err error) string {
	if n, ok := remoteAlert(err); ok {
		return fmt.Sprintf("alert(%d)", n)
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "local error": // crypto/tls does not take what has come
		return "malformed(record)"
	case errors.Is(err, io.EOF):
		return "closed"
	case errors.Is(err, errFIN), errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	}
	return "reset"
}

// toldEnd is the end of a connection over TLS. The lock is held.
func (p *player) toldEnd() string {
	switch p.end {
	case "closed":
		return "close-notify"
	case "reset":
		return "cut"
	}
	return p.end
}

// ended adds to a result what became of a server that was stopped.
func (pl *place) ended(p *player, res *Result) {
	p.close()
	if !pl.proc.waitGone(cmp.Or(p.patience, defaultPatience)) {
		res.Outcome += ", " + stays
		return
	}
	if pl.proc.Crashed != nil && pl.proc.Crashed() {
		*res = *crashed(pl.proc, res.Trace)
		return
	}
	res.Outcome += ", gone"
}
