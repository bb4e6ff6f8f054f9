package nng_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"go.uber.org/goleak"
)

// TestMain runs the tests that fit the library, and fails when they leave anything
// behind: a C object, one that only the garbage collector freed, or a goroutine.
func TestMain(m *testing.M) {
	flag.Parse()
	if !nng.LinkInfo().HTTP {
		fmt.Printf("%v: only the tests TestNoHTTP* can run\n", nng.LinkInfo())
		if err := flag.Set("test.run", "^TestNoHTTP"); err != nil {
			panic(err)
		}
	}
	left.Setup()
	code := m.Run()
	if code == 0 {
		if left := leftovers(); len(left) > 0 {
			fmt.Println("FAIL: the tests have left behind:")
			for _, l := range left {
				fmt.Println("  " + l)
			}
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers lists what is still there. Some things go in the background, so it looks
// again for a while.
func leftovers() (left []string) {
	for end := time.Now().Add(10 * time.Second); ; {
		http.DefaultClient.CloseIdleConnections()
		for range 3 {
			runtime.GC() // for objects that nobody has closed
		}
		left = nil
		objects := nng.LiveObjects()
		for _, kind := range slices.Sorted(maps.Keys(objects)) {
			if n := objects[kind]; n != 0 {
				left = append(left, fmt.Sprintf("%s: %d", kind, n))
			}
		}
		if err := goleak.Find(); err != nil {
			left = append(left, err.Error())
		}
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}
