package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newEcho starts a WSListener on the port of a running server (newServer) and answers
// each message with itself, and "bye" by closing. It returns its URL.
func newEcho(t *testing.T, httpURL, path string, set func(*nng.WSListener) error) (url string) {
	t.Helper()
	l, err := nng.NewWSListener(strings.Replace(httpURL, "http", "ws", 1) + path)
	require.NoError(t, err)
	require.NoError(t, set(l))
	require.NoError(t, l.Listen())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				assert.ErrorIs(t, err, nng.ErrClosed)
				return
			}
			all.Go(func() {
				defer c.Close()
				for {
					message, err := c.ReadMessage(context.Background())
					if err != nil || string(message) == "bye" {
						return
					}
					if c.WriteMessage(context.Background(), message) != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		all.Wait()
	})
	return l.URL()
}

// textEcho has the sub-protocol echo.v1 and sends text.
func textEcho(l *nng.WSListener) error {
	for _, err := range []error{l.SetProtocols("echo.v0", "echo.v1"), l.SetSendText(true), l.SetRecvText(true)} {
		if err != nil {
			return err
		}
	}
	return nil
}

// npm's ws as a client of nng.WSListener.
func TestNodeStreamClient(t *testing.T) {
	node := need(t, "node", "nodejs")
	installWS(t)
	url := newEcho(t, newServer(t, nil), "/stream", textEcho)
	r := command(t, "", node, filepath.Join("testdata", "node", "streams.js"), "client", url).succeed(t)
	// nng 1.5.2 does not answer a close frame (W6): then ws sees 1006.
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	require.Len(t, lines, 5, r.stdout)
	assert.Contains(t, []string{"we closed: 1006", "we closed: 1000"}, lines[0])
	assert.Equal(t, []string{"the server closed: 1000", "refused: 400", "refused: 400", "refused: 404"}, lines[1:])
}

// streamPeer starts a program that prints its port first. The function it returns gives
// the next line of its output, until the program ends.
func streamPeer(t *testing.T, program string, args ...string) (port string, next func() string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		late.Stop()
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewReader(stdout)
	next = func() string {
		line, _ := lines.ReadString('\n')
		return strings.TrimSpace(line)
	}
	port = next()
	require.NotEmpty(t, port)
	return port, next
}

func dialStream(t *testing.T, url string, set ...func(*nng.WSDialer) error) *nng.WSConn {
	t.Helper()
	d, err := nng.NewWSDialer(url)
	require.NoError(t, err)
	defer d.Close()
	for _, s := range set {
		require.NoError(t, s(d))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := d.Dial(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// echoed sends a message and waits for as many bytes. Byte streams may send them in
// several messages.
func echoed(t *testing.T, c *nng.WSConn, message []byte) (messages int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- c.WriteMessage(ctx, message) }()
	var got []byte
	for len(got) < len(message) || messages == 0 {
		part, err := c.ReadMessage(ctx)
		require.NoError(t, err)
		got = append(got, part...)
		messages++
	}
	require.NoError(t, <-sent)
	require.True(t, bytes.Equal(message, got), "%d bytes came back as %d others", len(message), len(got))
	return messages
}

func randomMessage(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// npm's ws as the server of nng.WSDialer.
func TestNodeStreamServer(t *testing.T) {
	node := need(t, "node", "nodejs")
	installWS(t)
	port, next := streamPeer(t, node, filepath.Join("testdata", "node", "streams.js"), "server")
	set := func(d *nng.WSDialer) error {
		if err := d.SetHeader("X-From", "nng"); err != nil {
			return err
		}
		return d.SetProtocols("echo.v2", "echo.v1")
	}
	url := "ws://127.0.0.1:" + port + "/path?query"
	c := dialStream(t, url, set)
	assert.Equal(t, "echo.v1", c.SubProtocol())
	assert.Equal(t, "nng /path?query", c.ResponseHeader("X-Seen"))
	assert.Empty(t, c.ResponseHeader("Sec-WebSocket-Extensions"))
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		assert.Equal(t, 1, echoed(t, c, randomMessage(size)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, c.WriteMessage(ctx, []byte("split")))
	got, err := c.ReadMessage(ctx)
	require.NoError(t, err)
	assert.Equal(t, "in parts", string(got))
	assert.Equal(t, "pong between", next())
	require.NoError(t, c.Close())
	assert.Equal(t, "closed 1000", next())

	c = dialStream(t, url, set)
	require.NoError(t, c.WriteMessage(ctx, []byte("bye")))
	_, err = c.ReadMessage(ctx)
	require.ErrorIs(t, err, nng.ErrConnShut)
	require.NoError(t, c.Close())
	assert.Contains(t, []string{"closed 1006", "closed 1000"}, next()) // W6

	text := dialStream(t, url, set, func(d *nng.WSDialer) error { return d.SetSendText(true) },
		func(d *nng.WSDialer) error { return d.SetRecvText(true) })
	echoed(t, text, []byte("grüße"))

	_, err = func() (*nng.WSConn, error) { // it makes no choice
		d, err := nng.NewWSDialer(url)
		require.NoError(t, err)
		defer d.Close()
		require.NoError(t, d.SetProtocols("other"))
		return d.Dial(ctx)
	}()
	require.ErrorIs(t, err, nng.ErrProtocol)
}

// compile builds a program of testdata/c with our libnng.
func compile(t *testing.T, name string) string {
	t.Helper()
	cc := need(t, "cc", "gcc")
	prefix := filepath.Join(root(), "build", "nng")
	out := filepath.Join(t.TempDir(), name)
	command(t, "", cc, "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-I", filepath.Join(prefix, "include"),
		"-o", out, filepath.Join("testdata", "c", name+".c"), filepath.Join(prefix, "lib", "libnng.a"),
		"-lmbedtls", "-lmbedx509", "-lmbedcrypto", "-lpthread").succeed(t)
	return out
}

// A C program with nng_stream_dialer as a client of nng.WSListener.
func TestCStreamClient(t *testing.T) {
	client := compile(t, "ws_client")
	url := newEcho(t, newServer(t, nil), "/c", func(l *nng.WSListener) error { return l.SetProtocols("c") })
	r := command(t, "", client, url).succeed(t)
	assert.Equal(t, "all echoed\n", r.stdout)
	assert.Empty(t, r.stderr)
}

// A C program with nng_stream_listener as the server of nng.WSDialer.
func TestCStreamServer(t *testing.T) {
	port, next := streamPeer(t, compile(t, "ws_server"), "ws://127.0.0.1:0/c")
	c := dialStream(t, "ws://127.0.0.1:"+port+"/c")
	for _, size := range []int{1, 125, 126, 65535, 65536, 300000} {
		echoed(t, c, randomMessage(size))
	}
	require.NoError(t, c.Close())
	assert.Equal(t, "Object closed", next())
}

// Chromium: the page comes from a Go handler, and the page's sockets go to a WSListener
// on the same port.
func TestBrowserStream(t *testing.T) {
	program := need(t, "chromium", "chromium")
	page, err := nng.NewHandler("/", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := reply([]byte(streamPage))
		if err != nil {
			return nil, err
		}
		return res, res.SetHeader("Content-Type", "text/html; charset=utf-8")
	})
	require.NoError(t, err)
	starting.Lock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, srv.AddHandler(page))
	require.NoError(t, srv.Start())
	starting.Unlock()
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	addr, err := srv.Addr()
	require.NoError(t, err)
	newEcho(t, "http://"+addr.String(), "/stream", textEcho)

	u, err := neturl.Parse("http://" + addr.String())
	require.NoError(t, err)
	seen := &watch{host: u.Host}
	ctx, cancel := context.WithTimeout(newBrowser(t, program, seen), 90*time.Second)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(u.String()+"/"),
		chromedp.Poll[chromedp.Void](`document.title !== "running"`, chromedp.WithPollingTimeout(30*time.Second))))
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.title`))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(got, "done"), got)
	t.Log("close codes:", got)
	var ours, theirs int
	_, err = fmt.Sscanf(got, "done %d %d", &ours, &theirs)
	require.NoError(t, err)
	assert.Contains(t, []int{1000, 1005, 1006}, ours) // W6
	assert.Equal(t, 1000, theirs)
	seen.mu.Lock()
	defer seen.mu.Unlock()
	assert.Empty(t, seen.problems)
	assert.Equal(t, 2, seen.sockets)
}

const streamPage = `<!DOCTYPE html><link rel="icon" href="data:,"><title>running</title><script>
(async () => {
  const open = () => new Promise((resolve, reject) => {
    const socket = new WebSocket("ws://" + location.host + "/stream", "echo.v1");
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject("no connection");
  });
  const next = (socket, event) => new Promise((resolve) => { socket["on" + event] = resolve; });
  const socket = await open();
  if (socket.protocol !== "echo.v1") throw "protocol " + socket.protocol;
  for (const text of ["hello", "", "gr\u00fc\u00dfe \u2603", "x".repeat(1 << 20)]) {
    const answer = next(socket, "message");
    socket.send(text);
    const { data } = await answer;
    if (data !== text) throw "the echo of " + text.length + " characters differs";
  }
  socket.onerror = null;
  let closed = next(socket, "close");
  socket.close(1000);
  const ours = (await closed).code;
  const other = await open();
  other.onerror = null;
  closed = next(other, "close");
  other.send("bye");
  document.title = "done " + ours + " " + (await closed).code;
})().catch((error) => { document.title = "failed: " + error; });
</script>`
