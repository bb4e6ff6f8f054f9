package interop

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	neturl "net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watch notes what a page should not do: complain, or talk to others than its server.
type watch struct {
	host string

	mu       sync.Mutex
	problems []string
	sockets  int // WebSockets opened
	requests int
}

func (w *watch) event(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	problem := func(format string, args ...any) { w.problems = append(w.problems, fmt.Sprintf(format, args...)) }
	visit := func(raw string) {
		u, err := neturl.Parse(raw)
		if err != nil || u.Host != w.host && u.Scheme != "data" {
			problem("the page asks for %s", raw)
		}
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		w.requests++
		visit(e.Request.URL)
	case *network.EventWebSocketCreated:
		w.sockets++
		visit(e.URL)
	case *network.EventLoadingFailed:
		problem("loading failed: %s", e.ErrorText)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, arg := range e.Args {
				problem("console: %s: %s%s", e.Type, arg.Value, arg.Description)
			}
		}
	case *runtime.EventExceptionThrown:
		problem("exception: %s", e.ExceptionDetails.Text)
		if x := e.ExceptionDetails.Exception; x != nil {
			problem("exception: %s%s", x.Value, x.Description)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			problem("browser: %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	}
}

// newBrowser starts a headless Chromium with an empty profile and tells seen what
// happens in its tab.
func newBrowser(t *testing.T, program string, seen *watch) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], // headless, no first run, ...
		chromedp.ExecPath(program),
		chromedp.NoSandbox, // it does not run as root otherwise
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.WindowSize(1000, 900),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(seen.event))
	t.Cleanup(cancel)
	late := time.AfterFunc(time.Minute, cancel) // a time limit in ctx would end the browser too
	defer late.Stop()
	require.NoError(t, chromedp.Do(ctx), "starting Chromium")
	return ctx
}

// The demo page as people see it.
func TestBrowser(t *testing.T) {
	program := need(t, "chromium", "chromium")
	url := serve(t, "--listen", "http://127.0.0.1:0")
	u, err := neturl.Parse(url)
	require.NoError(t, err)
	seen := &watch{host: u.Host}
	ctx, cancel := context.WithTimeout(newBrowser(t, program, seen), 90*time.Second)
	defer cancel()
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		require.NoError(t, chromedp.Do(ctx, steps...), what)
	}
	// until waits for a JavaScript expression to be true.
	until := func(expression string, args ...any) chromedp.Action[chromedp.Void] {
		return chromedp.Poll[chromedp.Void](fmt.Sprintf(expression, args...), chromedp.WithPollingTimeout(30*time.Second))
	}
	const points = `((document.querySelector("#plot .series")?.getAttribute("d") ?? "").match(/[ML]/g) ?? []).length`

	do("loading the page", chromedp.Navigate(url+"/"))
	do("connecting", until(`document.getElementById("status").textContent === "connected"`))

	linked, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#linked")))
	require.NoError(t, err)
	assert.Contains(t, linked, "libnng ")

	// A message and its echo.
	const message = "grüße <b>from</b> the browser"
	do("sending a message",
		chromedp.Clear(chromedp.CSS("#message")),
		chromedp.SendKeys(chromedp.CSS("#message"), message),
		chromedp.Click(chromedp.CSS("#send")),
	)
	do("seeing its echo",
		until(`document.getElementById("log").textContent.includes(%q)`, message),
		until(`Number(document.getElementById("count").textContent) === 1`),
		until(points+` === 1`),
	)

	// The server's numbers.
	do("seeing the counts",
		until(`Number(document.getElementById("connections").textContent) === 1`),
		until(`Number(document.getElementById("requests").textContent) >= 2`),
	)

	// Round trips in the plot as they come.
	want := 20
	if os.Getenv("UPDATE_SCREENSHOT") == "1" {
		want = 100 // for the picture
	}
	do("pinging", chromedp.Click(chromedp.CSS("#ping")), until(points+` >= %d`, want))
	count, err := chromedp.Run(ctx, chromedp.Evaluate[int](`Number(document.getElementById("count").textContent)`))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, count, want)

	screenshot(t, ctx)

	seen.mu.Lock()
	defer seen.mu.Unlock()
	assert.Empty(t, seen.problems)
	assert.Equal(t, 1, seen.sockets)
	assert.NotZero(t, seen.requests) // or the test has watched nothing
}

// screenshot keeps a picture of the page: for the documentation if asked to.
func screenshot(t *testing.T, ctx context.Context) {
	t.Helper()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	_, err = png.DecodeConfig(bytes.NewReader(picture))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "page.png")
	if os.Getenv("UPDATE_SCREENSHOT") == "1" {
		file = filepath.Join(root(), "docs", "page.png")
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	}
	require.NoError(t, os.WriteFile(file, picture, 0o644))
	t.Log("screenshot:", file)
}
