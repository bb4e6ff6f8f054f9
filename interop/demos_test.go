package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// peer returns one of nng's demos, built unmodified.
func peer(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(root(), "build", "peers", name)
	if _, err := os.Stat(file); err != nil {
		missing(t, "nng's demo %s is not built; run make peers", name)
	}
	return file
}

// nng's demo/http_client gets a page.
func TestDemoHTTPClient(t *testing.T) {
	client := peer(t, "http_client")
	url := newServer(t, nil)
	r := command(t, "", client, url+"/hello").succeed(t)
	assert.Equal(t, "hello\n", r.stdout)
	assert.Empty(t, r.stderr)

	r = command(t, "", client, url+"/nowhere").succeed(t)
	assert.Contains(t, r.stderr, "HTTP Server Responded: 404 Not Found")

	page := command(t, "", client, serve(t, "--listen", "http://127.0.0.1:0")+"/").succeed(t)
	assert.Contains(t, page.stdout, "</html>")
	assert.Empty(t, page.stderr)
}

// startREST starts nng's demo/rest, a REST server in C which answers with the rot13 of
// what it gets, and returns its address. It takes no port 0, so one is looked for that
// is free; should another program be quicker, the next one will do.
func startREST(t *testing.T) (addr string) {
	t.Helper()
	server := peer(t, "rest-server")
	for range 5 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr = free.Addr().String()
		port := free.Addr().(*net.TCPAddr).Port
		free.Close()
		if tryREST(t, server, addr, port) {
			return addr
		}
	}
	t.Fatal("nng's rest-server does not start")
	return ""
}

func tryREST(t *testing.T, server, addr string, port int) bool {
	t.Helper()
	cmd := exec.Command(server)
	cmd.Env = append(os.Environ(), "PORT="+strconv.Itoa(port))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // it knows no other end
		<-ended
	})
	// It says nothing when it is ready.
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Logf("rest-server on port %d: %s", port, &out)
			return false
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return true
		}
	}
	return false
}

func rot13(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, s)
}

func TestDemoREST(t *testing.T) {
	url := "http://" + startREST(t) + "/api/rest/rot13"
	cli, err := nng.NewClient(url)
	require.NoError(t, err)
	defer cli.Close()
	long := strings.Repeat("The quick brown fox. ", 3000) // 63 KB, it takes 128 KiB

	t.Run("Transact", func(t *testing.T) {
		for _, text := range []string{"TEST", long} {
			status, body, err := transact(t, cli, url, "POST", text)
			require.NoError(t, err)
			assert.Equal(t, 200, status)
			assert.True(t, rot13(text) == body, "%d bytes came back as %d others", len(text), len(body))
		}
	})
	t.Run("WriteReq and ReadRes", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		conn, err := cli.Connect(ctx)
		require.NoError(t, err)
		defer conn.Close()
		res, err := nng.NewResponse()
		require.NoError(t, err)
		defer res.Close()
		for _, text := range []string{"TEST", long, "again"} { // on one connection
			req, err := newRequest(url, "POST", text)
			require.NoError(t, err)
			defer req.Close()
			require.NoError(t, conn.WriteReq(ctx, req))
			require.NoError(t, conn.ReadRes(ctx, res))
			assert.Equal(t, 200, res.Status())
			n, err := strconv.Atoi(res.Header("Content-Length"))
			require.NoError(t, err)
			body := make([]byte, n)
			require.NoError(t, conn.ReadAll(ctx, body))
			assert.True(t, rot13(text) == string(body), "%d bytes came back as %d others", len(text), n)
		}
	})
	t.Run("wrong method", func(t *testing.T) {
		status, _, err := transact(t, cli, url, "GET", "")
		require.NoError(t, err)
		assert.Equal(t, 405, status)
	})
	t.Run("20 at once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				text := fmt.Sprintf("Message %d", i)
				_, body, err := transact(t, cli, url, "POST", text)
				assert.NoError(t, err)
				assert.Equal(t, rot13(text), body)
			})
		}
		all.Wait()
	})
	t.Run("curl", func(t *testing.T) {
		assert.Equal(t, "GRFG", curl(t, "", "--data", "TEST", url).succeed(t).stdout)
	})
}

// newRequest may be called from any goroutine.
func newRequest(url, method, body string) (*nng.Request, error) {
	req, err := nng.NewRequest(url)
	if err != nil {
		return nil, err
	}
	if err = req.SetMethod(method); err == nil && body != "" {
		err = req.CopyData([]byte(body))
	}
	if err != nil {
		req.Close()
		return nil, err
	}
	return req, nil
}

func transact(t *testing.T, cli *nng.Client, url, method, body string) (status int, reply string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := newRequest(url, method, body)
	if err != nil {
		return 0, "", err
	}
	defer req.Close()
	res, err := nng.NewResponse()
	if err != nil {
		return 0, "", err
	}
	defer res.Close()
	if err := cli.Transact(ctx, req, res); err != nil {
		return 0, "", err
	}
	return res.Status(), string(res.Data()), nil
}
