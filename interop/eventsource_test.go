package interop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"
)

// An event as the page has seen it, or as it should.
type event struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	Data string `json:"data"`
}

// A feed keeps its events, for those who come late.
type feed interface {
	http.Handler
	publish(t *testing.T, e event)
}

// A plainFeed writes events as a handler would without a library.
type plainFeed struct {
	mu     sync.Mutex
	events []event
	more   chan struct{} // closed when there are more
}

func (f *plainFeed) publish(_ *testing.T, e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
	close(f.more)
	f.more = make(chan struct{})
}

// after returns the events behind the one with that id.
func (f *plainFeed) after(id string) (events []event, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, e := range f.events {
		if e.ID == id {
			return f.events[i+1:], f.more
		}
	}
	return f.events, f.more
}

func (f *plainFeed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	send := func(s string) {
		if _, err := io.WriteString(w, s); err == nil {
			_ = control.Flush()
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send("retry: 50\n: a comment\n\n")
	last := r.Header.Get("Last-Event-ID")
	for {
		events, more := f.after(last)
		for _, e := range events {
			var b strings.Builder
			if e.Name != "message" {
				fmt.Fprintf(&b, "event: %s\n", e.Name)
			}
			fmt.Fprintf(&b, "id: %s\n", e.ID)
			for line := range strings.SplitSeq(e.Data, "\n") {
				fmt.Fprintf(&b, "data: %s\n", line)
			}
			s := b.String() + "\n"
			cut := strings.IndexFunc(s, func(r rune) bool { return r > 0x7f }) + 1 // within a character
			send(s[:cut])
			send(s[cut:])
			last = e.ID
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

// A libraryFeed is go-sse's server.
type libraryFeed struct {
	sse.Server
}

func (f *libraryFeed) publish(t *testing.T, e event) {
	m := &sse.Message{ID: sse.ID(e.ID), Retry: 50 * time.Millisecond}
	if e.Name != "message" {
		m.Type = sse.Type(e.Name)
	}
	m.AppendData(e.Data)
	require.NoError(t, f.Publish(m))
}

// A pageServer is a feed with a page that listens to it. It notes who comes, and can let
// them wait and drop them.
type pageServer struct {
	feed

	mu    sync.Mutex
	came  []string          // each one's Last-Event-ID
	open  chan struct{}     // closed unless those who come have to wait
	drops map[*dropped]bool // of those who are there
	ended chan time.Time    // told when a context has ended without a drop
}

// A dropped is how one response ends.
type dropped struct {
	end   context.CancelFunc
	abort bool // in the middle
	now   bool
}

const eventPage = `<!DOCTYPE html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>events</title>
<script>
const events = [], source = new EventSource("/events");
let opened = 0, dropped = 0;
for (const name of ["message", "update", "grüße"])
	source.addEventListener(name, e => events.push({name: e.type, id: e.lastEventId, data: e.data}));
source.onopen = () => opened++;
source.onerror = () => dropped++;
</script>`

func (s *pageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/events" {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, eventPage)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	d := &dropped{end: cancel}
	s.mu.Lock()
	id := r.Header.Get("Last-Event-ID")
	s.came = append(s.came, id)
	open := s.open
	s.drops[d] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.drops, d)
		now, abort := d.now, d.abort
		s.mu.Unlock()
		if !now {
			s.ended <- time.Now()
		}
		if abort {
			panic(http.ErrAbortHandler)
		}
	}()
	select {
	case <-open:
	case <-ctx.Done():
		return
	}
	r = r.WithContext(ctx)
	if id == "" {
		r.Header.Set("Last-Event-ID", "start") // the library sends nothing old otherwise
	}
	s.feed.ServeHTTP(w, r)
}

// close lets those who come wait until the returned function is called.
func (s *pageServer) close() (reopen func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := make(chan struct{})
	s.open = gate
	return func() { close(gate) }
}

// drop ends all responses, as they should end or in their middle, and tells how many.
func (s *pageServer) drop(abort bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range s.drops {
		d.now, d.abort = true, abort
		d.end()
	}
	return len(s.drops)
}

func (s *pageServer) visitors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.came...)
}

// A browser's EventSource gets each event when it is written, comes back when it is
// dropped, with the id of the last event, and misses none; and the handler learns that it
// has gone.
func TestEventSource(t *testing.T) {
	program := need(t, "chromium", "chromium")
	t.Parallel()
	browser := newBrowser(t, program, &watch{})
	for _, kind := range []struct {
		name string
		feed func(t *testing.T) feed
	}{
		{"plain", func(*testing.T) feed { return &plainFeed{more: make(chan struct{})} }},
		{"go-sse", func(t *testing.T) feed {
			replay, err := sse.NewFiniteReplayer(100, false)
			require.NoError(t, err)
			f := &libraryFeed{sse.Server{Provider: &sse.Joe{Replayer: replay}}}
			t.Cleanup(func() { _ = f.Shutdown(context.Background()) })
			return f
		}},
	} {
		for _, end := range []struct {
			name  string
			leave func(t *testing.T, tab context.Context)
			wait  time.Duration // before it
		}{
			{"closed", closeSource, 1500 * time.Millisecond},
			{"closed at once", closeSource, 0},
			{"tab closed", func(t *testing.T, tab context.Context) { require.NoError(t, chromedp.Cancel(tab)) }, 0},
		} {
			t.Run(kind.name+"/"+end.name, func(t *testing.T) {
				tab, cancel := chromedp.NewContext(browser)
				defer cancel()
				eventSource(t, tab, kind.feed(t), end.leave, end.wait)
			})
		}
	}
}

func closeSource(t *testing.T, tab context.Context) {
	_, err := chromedp.Run(tab, chromedp.Evaluate[int](`source.close(), 0`))
	require.NoError(t, err)
}

func eventSource(t *testing.T, tab context.Context, f feed, leave func(*testing.T, context.Context), wait time.Duration) {
	s := &pageServer{feed: f, open: make(chan struct{}), drops: make(map[*dropped]bool), ended: make(chan time.Time, 10)}
	close(s.open)
	host := mount(t, s)
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	until := func(what, expression string, args ...any) {
		t.Helper()
		require.NoError(t, chromedp.Do(ctx, chromedp.Poll[chromedp.Void](fmt.Sprintf(expression, args...),
			chromedp.WithPollingInterval(10*time.Millisecond), chromedp.WithPollingTimeout(soon))), what)
	}
	seen := func() []event {
		t.Helper()
		events, err := chromedp.Run(ctx, chromedp.Evaluate[[]event](`events`))
		require.NoError(t, err)
		return events
	}
	f.publish(t, event{"message", "start", "not for you"})
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate("http://"+host+"/")))

	// One by one: the next event is not there yet, and the response has not ended.
	var want []event
	publish := func(e event) {
		t.Helper()
		f.publish(t, e)
		want = append(want, e)
	}
	for i, e := range []event{
		{"message", "1", "the first"},
		{"update", "2", "two\n  lines and\n\nan empty one: not the end"},
		{"grüße", "3", "日本語 🎈 ü"},
		{"message", "4-ü", strings.Repeat("a long line, ", 20_000)},
		{"update", "5-é", "{\"json\": [1, 2]}"},
	} {
		publish(e)
		until("an event while the handler runs", `events.length > %d`, i)
	}
	require.Equal(t, want, seen())
	require.Equal(t, []string{""}, s.visitors(), "it has come more than once")
	until("the response goes on", `opened === 1 && dropped === 0 && source.readyState === EventSource.OPEN`)

	// It is dropped, misses two events, and comes back for them.
	for i, abort := range []bool{false, true} {
		reopen := s.close()
		require.Equal(t, 1, s.drop(abort))
		until("it sees the drop", `dropped === %d`, i+1)
		last := want[len(want)-1].ID
		publish(event{"message", fmt.Sprint("missed-ü-", i), "missed"})
		publish(event{"update", fmt.Sprint("also missed-", i), "missed, too"})
		require.Eventually(t, func() bool { return len(s.visitors()) == i+2 }, soon, 10*time.Millisecond, "it does not come back")
		assert.Equal(t, last, s.visitors()[i+1], "the last event's id")
		reopen()
		until("the missed events", `opened === %d && events.length >= %d`, i+2, len(want))
		publish(event{"message", fmt.Sprint("afterwards-", i), "not missed"})
		until("a new event", `events.length >= %d`, len(want))
		require.Equal(t, want, seen())
	}

	// The page lets it go; nothing is written, and still the handler learns of it.
	time.Sleep(wait)
	require.Empty(t, s.ended, "the context has ended while the page was listening")
	left := time.Now()
	leave(t, tab)
	select {
	case at := <-s.ended:
		t.Logf("the context ended %v after the page let go", at.Sub(left).Round(time.Millisecond))
		assert.Less(t, at.Sub(left), 5*time.Second)
	case <-time.After(soon):
		t.Fatal("the context goes on although the page has gone")
	}
	assert.Len(t, s.visitors(), 3, "it has come back")
}
