package conformance_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/gonng/nnghttp/conformance"
)

// A server that listens on a net.Listener is tested in the process of the test. Start returns how to stop
// it; the kit calls it for the server that the cases share, again after a crash, and for each case that
// stops its server.
func ExampleTestServer() {
	start := func(context.Context) (*conformance.Process, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0") // yours, such as a listener of your own protocol stack
		if err != nil {
			return nil, err
		}
		server := &http.Server{Handler: conformance.Handler()} // has the routes of the contract
		go func() { _ = server.Serve(l) }()

		gone := make(chan struct{})
		var once sync.Once
		kill := func() {
			server.Close()
			once.Do(func() { close(gone) })
		}
		return &conformance.Process{
			URL: "http://" + l.Addr().String(),
			// Stop must not wait: the kit looks at the connections while the server ends.
			Stop: func() {
				go func() {
					_ = server.Shutdown(context.Background())
					kill()
				}()
			},
			// Kill is called in any case, also after Stop. It may not be nil.
			Kill: kill,
			// Gone tells the kit that the server has ended. If it is closed before Stop was
			// called, the server has crashed.
			Gone: gone,
			Err:  func() error { return nil },
		}, nil
	}

	var t *testing.T                                           // that of your test
	known, err := conformance.LoadKnown("testdata/known.yaml") // see the example of Known
	if err != nil {
		t.Fatal(err)
	}
	conformance.TestServer(t, conformance.Server{Start: start}, "nng-1.5.2-patched", known)
}

// A file of known differences is made from the report of a run: play, Update, Save. From then on
// TestServer fails only for what is not in the file, has changed, or is gone.
// "nngconform run --known FILE --fix" writes the same file.
func ExampleKnown() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: conformance.Handler()}
	defer server.Close()
	go func() { _ = server.Serve(l) }()

	reference, err := conformance.LoadRecording("nng-1.5.2-patched")
	if err != nil {
		log.Fatal(err)
	}
	run := conformance.Run{
		Server:    &conformance.Server{URL: "http://" + l.Addr().String()},
		Reference: reference,
		Cases:     only("request-line/get", "chunks/control-character-in-a-chunk-extension"), // nil: all
	}
	report, err := run.Do(context.Background())
	if err != nil {
		log.Fatal(err)
	}

	dir, err := os.MkdirTemp("", "known")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "known.yaml")
	known := make(conformance.Known) // or LoadKnown(file), to update a file that is there
	known.Update(report)
	if err := known.Save(file); err != nil {
		log.Fatal(err)
	}

	if known, err = conformance.LoadKnown(file); err != nil {
		log.Fatal(err)
	}
	for id, outcome := range known {
		fmt.Println(id+":", outcome)
	}
	fmt.Println("news:", len(known.News(report)))
	// Output:
	// chunks/control-character-in-a-chunk-extension: 200 echo(POST / body="abc"), follow-up
	// news: 0
}

// only returns the cases with these ids.
func only(ids ...string) (some []*conformance.Case) {
	all, err := conformance.Cases()
	if err != nil {
		log.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(c *conformance.Case) bool { return !slices.Contains(ids, c.ID) })
}
