package interop

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/conformance/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// conformancePage makes a page of net/http, and of a server that responds with markup to
// everything.
func conformancePage(t *testing.T) string {
	t.Helper()
	reference, err := conformance.LoadRecording("nng-1.5.2-patched")
	require.NoError(t, err)
	cases, err := conformance.Cases()
	require.NoError(t, err)
	var some []*conformance.Case
	for _, c := range cases {
		if c.Topic() == "hosts" || c.Topic() == "chunks" {
			some = append(some, c)
		}
	}
	good := httptest.NewUnstartedServer(conformance.Handler())
	good.Config.ErrorLog = log.New(io.Discard, "", 0)
	good.Start()
	t.Cleanup(good.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	bad := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, "</script><script>document.title = 'broken out'</script><img src=x onerror=alert(1)>\x00\xe9")
	})}
	go func() { _ = bad.Serve(l) }()
	t.Cleanup(func() { bad.Close() })
	var reports []*conformance.Report
	for name, url := range map[string]string{"net/http": good.URL, "<b>bad</b>": "http://" + l.Addr().String()} {
		rep, err := conformance.Run{Subject: name, Cases: some, Reference: reference, Deliveries: []conformance.Delivery{conformance.One},
			Server: &conformance.Server{URL: url}}.Do(t.Context())
		require.NoError(t, err)
		reports = append(reports, rep)
	}
	file := filepath.Join(t.TempDir(), "page.html")
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, report.HTML(f, reports...))
	require.NoError(t, f.Close())
	return file
}

// The page of the conformance kit as people see it, on a desktop and on a phone.
func TestConformancePage(t *testing.T) {
	program := need(t, "chromium", "chromium")
	url := "file://" + conformancePage(t)
	seen := new(watch) // a file has no host, and the page asks for nothing else
	ctx, cancel := context.WithTimeout(newBrowser(t, program, seen), 90*time.Second)
	defer cancel()
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		require.NoError(t, chromedp.Do(ctx, steps...), what)
	}
	number := func(expression string) int {
		t.Helper()
		n, err := chromedp.Run(ctx, chromedp.Evaluate[int](expression))
		require.NoError(t, err, expression)
		return n
	}
	text := func(selector string) string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector)))
		require.NoError(t, err, selector)
		return s
	}
	until := func(expression string) chromedp.Action[chromedp.Void] {
		return chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(30*time.Second))
	}
	const shown = `document.querySelectorAll(".cases > tbody > tr[id]:not([hidden])").length`
	const wide = `document.documentElement.scrollWidth - document.documentElement.clientWidth`

	do("loading the page", chromedp.EmulateViewport(1100, 900), chromedp.Navigate(url))
	all := number(shown)
	assert.Greater(t, all, 100)
	assert.Zero(t, number(wide), "wider than a desktop")

	// Filters.
	do("choosing a verdict", chromedp.Click(chromedp.CSS(`.chip[data-verdict=forbidden]`)))
	forbidden := number(shown)
	assert.True(t, 0 < forbidden && forbidden < all, "%d of %d", forbidden, all)
	assert.Equal(t, fmt.Sprintf("%d of %d cases", forbidden, all), text("#shown"))
	do("writing a text", chromedp.SendKeys(chromedp.CSS("#q"), "two-ports"), until(shown+` === 1`))
	do("showing all", chromedp.Click(chromedp.CSS("#all")), until(fmt.Sprintf(`%s === %d`, shown, all)))
	do("from the matrix to the cases", chromedp.Click(chromedp.CSS(`.matrix th a[data-topic=hosts]`)),
		until(`document.getElementById("topic").value === "hosts"`))
	assert.Less(t, number(shown), all)
	do("showing all again", chromedp.Click(chromedp.CSS("#all")))

	// A link to a case opens it, with the bytes of both sides and marks where they differ.
	do("following a link", chromedp.Navigate(url+"?again#hosts/host-with-two-ports@%3Cb%3Ebad%3C%2Fb%3E"),
		until(`document.querySelectorAll("tr.detail").length === 1`))
	assert.Contains(t, text(".detail .head.subject"), "<b>bad</b>: differs")
	assert.Contains(t, text(".detail .wire.sent"), `Host:`)
	assert.Contains(t, text(".detail .wire.subject"), `</script><script>document.title = 'broken out'</script>`)
	assert.Contains(t, text(".detail .wire.subject"), `\x00\xe9`)
	assert.Contains(t, text(".detail .wire.reference"), `HTTP/1.1 400 Bad Request\r\n`)
	assert.NotZero(t, number(`document.querySelectorAll(".detail .wire.subject mark").length`))
	assert.NotZero(t, number(`document.querySelectorAll(".detail .wire.reference mark").length`))
	assert.Zero(t, number(`document.querySelectorAll("img, b b, .detail script").length`))
	title, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.title`))
	require.NoError(t, err)
	assert.Equal(t, "Conformance with libnng", title)
	// The line of the case is in sight, under what stays at the top.
	assert.GreaterOrEqual(t, number(`document.querySelector("tr.open").getBoundingClientRect().top - document.querySelector(".cases thead th").getBoundingClientRect().bottom | 0`), -1)

	// Keys: to another cell, open it, close it.
	key := func(name string) chromedp.Action[chromedp.Void] {
		return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true, cancelable: true}))`, name))
	}
	do("closing", key("Escape"), until(`document.querySelectorAll("tr.detail").length === 0`))
	do("moving", key("ArrowDown"), key("ArrowRight"))
	assert.Equal(t, 1, number(`document.activeElement.matches(".cases td > a") ? 1 : 0`))
	do("to the text", key("/"), until(`document.activeElement.id === "q"`))

	// A phone.
	do("a phone", chromedp.EmulateViewport(390, 844), chromedp.Navigate(url+"?phone#hosts/host-with-two-ports"),
		until(`document.querySelectorAll("tr.detail").length === 1`))
	assert.LessOrEqual(t, number(wide), 0, "wider than a phone")

	seen.mu.Lock()
	defer seen.mu.Unlock()
	assert.Empty(t, seen.problems)
	assert.NotZero(t, seen.requests)
}

// TestConformancePicture makes the picture of the page that CONFORMANCE_PAGE names, for the
// documentation: the overview of implementations.
func TestConformancePicture(t *testing.T) {
	page := os.Getenv("CONFORMANCE_PAGE")
	if page == "" {
		t.Skip("CONFORMANCE_PAGE names no page")
	}
	page, err := filepath.Abs(filepath.Join(root(), page))
	require.NoError(t, err)
	program := need(t, "chromium", "chromium")
	ctx, cancel := context.WithTimeout(newBrowser(t, program, new(watch)), 90*time.Second)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(1100, 900), chromedp.Navigate("file://"+page)))
	height, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`Math.round(document.getElementById("matrix").getBoundingClientRect().top + scrollY) - 8`))
	require.NoError(t, err)
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(1100, height)))
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root(), "docs", "conformance.png"), picture, 0o644))
}
