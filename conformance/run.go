package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Run is a run of cases against a server or a client.
type Run struct {
	// Server is what the cases of a server's roles are played with, or nil.
	Server *Server
	// Client is what the cases of a client's roles are played with, or nil.
	Client *Client
	// Subject names what is tested, for reports.
	Subject string
	// Cases are those to play, all if it is nil. Those of a role that nothing is there for are
	// left out.
	Cases []*Case
	// Reference is what to compare with; without one the rules alone count.
	Reference *Recording
	// Deliveries are those to try, all if it is nil.
	Deliveries []Delivery
	// Parallel is how many connections there are at a time, 16 if it is 0.
	Parallel int
	// Progress, if it is set, is called after each case, by one goroutine at a time.
	Progress func(done, all int, f *Finding)
}

// A subject is what cases are played with.
type subject interface {
	// Play plays a case. The error says what kept it from being played.
	Play(context.Context, *Case, Delivery) (*Result, error)
	// patient returns the same with three times the patience.
	patient() subject
}

// subject returns what a case is played with, or nil.
func (r Run) subject(c *Case) subject {
	switch {
	case c.Role().ofServer() && r.Server != nil && (r.Server.WebSocket || !c.Role().webSocket()):
		return r.Server
	case !c.Role().ofServer() && r.Client != nil && (r.Client.WebSocket || !c.Role().webSocket()):
		return r.Client
	}
	return nil
}

// Do plays the cases. It returns an error only when the context has ended or the cases cannot
// be read: what a server does wrong is in the report.
func (r Run) Do(ctx context.Context) (*Report, error) {
	cases := r.Cases
	if cases == nil {
		var err error
		if cases, err = Cases(); err != nil {
			return nil, err
		}
	}
	var crashes []string
	leftOut := make(map[string]int)
	if r.Server != nil {
		server, err := r.Server.keeping(ctx)
		if err != nil {
			return nil, err
		}
		if r.Server = server; server.keep != nil {
			defer server.keep.stop()
		}
	}
	asked := len(cases)
	cases = slices.DeleteFunc(slices.Clone(cases), func(c *Case) bool {
		if r.subject(c) == nil {
			return true
		}
		if r.Deliveries != nil && !slices.ContainsFunc(c.deliveries(), func(d Delivery) bool { return slices.Contains(r.Deliveries, d) }) {
			leftOut["they have none of these deliveries"]++
			return true
		}
		if !c.Role().ofServer() {
			return false
		}
		why := r.Server.leftOut(c)
		if why != "" {
			leftOut[why]++
		}
		return why != ""
	})
	if len(cases) == 0 {
		return nil, fmt.Errorf("none of the %d cases can be played%s", asked, reasons(leftOut))
	}
	if slices.ContainsFunc(cases, func(c *Case) bool { return !c.Role().ofServer() }) {
		if err := r.Client.check(ctx); err != nil {
			return nil, err
		}
	}
	parallel := r.Parallel
	if parallel <= 0 {
		parallel = 16
	}
	start := time.Now()
	findings := make([]Finding, len(cases))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var w waiting
	done := 0
	for range parallel {
		wg.Go(func() {
			for i := range next {
				findings[i] = r.play(ctx, cases[i], &w)
				mu.Lock()
				done++
				if r.Progress != nil {
					r.Progress(done, len(cases), &findings[i])
				}
				mu.Unlock()
			}
		})
	}
	for i := range cases {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	took := time.Since(start).Seconds()
	if r.Server != nil && r.Server.keep != nil {
		crashes = r.Server.keep.stop()
	}
	rep := &Report{Subject: r.Subject, Set: SetVersion, Started: start.UTC(), Cases: findings, LeftOut: leftOut, Crashes: crashes, Took: took}
	if r.Reference != nil {
		rep.Reference = r.Reference.Name
	}
	return rep, nil
}

// reasons says why cases were left out, each after a colon or a semicolon.
func reasons(leftOut map[string]int) string {
	if len(leftOut) == 0 {
		return ": there is no server, or no client, of their roles"
	}
	return ": " + strings.Join(slices.Sorted(maps.Keys(leftOut)), "; ")
}

// A waiting has what the cases share that are tried again.
type waiting struct {
	alone sync.RWMutex // such a case has the subject for itself
	// silent is how many were silent then, too, with none that was not since. A subject that
	// has stopped must not cost the patience of every case.
	silent atomic.Int32
}

// silentMost is how many cases are tried again in vain before none is any more.
const silentMost = 5

func (r Run) play(ctx context.Context, c *Case, w *waiting) Finding {
	f := Finding{ID: c.ID, Title: c.Title, Level: c.Level, Source: c.Source, Defect: c.Defect, Verdict: Same}
	subject := r.subject(c)
	start := time.Now()
	var recorded *Recorded
	if r.Reference != nil {
		recorded = r.Reference.Cases[c.ID]
	}
	for _, d := range c.deliveries() {
		if r.Deliveries != nil && !slices.Contains(r.Deliveries, d) {
			continue
		}
		o := Observed{Delivery: d}
		if recorded != nil {
			o.Reference = recorded.Outcome(d)
		}
		w.alone.RLock()
		res, err := subject.Play(ctx, c, d)
		w.alone.RUnlock()
		silent := err == nil && res.Outcome.timedOut() && (recorded == nil || res.Outcome != recorded.Outcome(d))
		if err != nil || silent && w.silent.Load() < silentMost {
			w.alone.Lock()
			if res2, err2 := subject.patient().Play(ctx, c, d); err2 == nil {
				res, err = res2, nil
			}
			w.alone.Unlock()
			if err == nil && res.Outcome.timedOut() {
				w.silent.Add(1)
			}
		}
		if err == nil && !res.Outcome.timedOut() {
			w.silent.Store(0)
		}
		if err != nil {
			o.Verdict, o.Error = NotPlayed, err.Error()
		} else {
			o.Outcome, o.Trace = res.Outcome, res.Trace
			o.Verdict, o.Why = c.Judge(res, recorded, d)
		}
		f.Verdict = worse(f.Verdict, o.Verdict)
		f.Deliveries = append(f.Deliveries, o)
	}
	f.Topic, f.Role, f.Allowed, f.Recorded = c.Topic(), c.Role(), c.Allowed, recorded
	f.Seconds = time.Since(start).Seconds()
	return f
}

// Record makes a recording of a server. Cases whose outcome changes from one of the rounds to
// the next are an error: nobody could be compared with that.
func (r Run) Record(ctx context.Context, name, library, from string, rounds int) (*Recording, error) {
	r.Reference = nil
	rec := &Recording{Name: name, Library: library, From: from, Date: time.Now().UTC().Format(time.DateOnly),
		Set: SetVersion, SetHash: SetHash(), Cases: make(map[string]*Recorded)}
	var unsteady []string
	for round := range rounds {
		rep, err := r.Do(ctx)
		if err != nil {
			return nil, err
		}
		for i := range rep.Cases {
			f := &rep.Cases[i]
			one, err := recorded(f)
			if err != nil {
				return nil, err
			}
			if round > 0 && !rec.Cases[f.ID].equal(one) {
				unsteady = append(unsteady, f.ID+": "+string(rec.Cases[f.ID].All)+" / "+f.Answer())
				continue
			}
			rec.Cases[f.ID] = one
		}
	}
	if unsteady != nil {
		return nil, errors.New("the outcome is not the same each time:\n" + strings.Join(unsteady, "\n"))
	}
	return rec, nil
}

func recorded(f *Finding) (*Recorded, error) {
	r := new(Recorded)
	for i, o := range f.Deliveries {
		if o.Error != "" {
			return nil, errors.New(f.ID + ": " + o.Error)
		}
		switch {
		case i == 0:
			r.All, r.Breaks = o.Outcome, o.Why
			r.Received = received(o.Trace)
		case o.Outcome != r.All:
			if r.Others == nil {
				r.Others = make(map[Delivery]Outcome)
			}
			r.Others[o.Delivery] = o.Outcome
		}
	}
	return r, nil
}

func (r *Recorded) equal(o *Recorded) bool {
	return r.All == o.All && maps.Equal(r.Others, o.Others)
}
