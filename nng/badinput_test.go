package nng_test

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A badInput is a call that must be refused.
type badInput struct {
	name string
	call func() error
	want error
}

// refused runs the calls: each gives a typed error that names the operation, and none
// crashes.
func refused(t *testing.T, calls []badInput) {
	t.Helper()
	for _, in := range calls {
		t.Run(in.name, func(t *testing.T) {
			var err error
			require.NotPanics(t, func() { err = in.call() })
			require.ErrorIs(t, err, in.want)
			var op *nng.OpError
			require.ErrorAs(t, err, &op)
			assert.NotEmpty(t, op.Op)
			assert.Less(t, len(err.Error()), 500, "a message is for people")
			for _, r := range err.Error() {
				require.False(t, r < ' ' || r == 0x7f, "a control character in %q", err)
			}
		})
	}
}

// textWith are texts with a byte that ends a line, a header or a C string.
var textWith = map[string]string{
	"NUL":       "a\x00b",
	"CR":        "a\rb",
	"LF":        "a\nb",
	"CRLF":      "a\r\nX-Injected: 1",
	"LF at end": "a\n",
	"escape":    "a\x1bb",
	"DEL":       "a\x7fb",
}

func TestBadHeaders(t *testing.T) {
	req, res := newRequest(t, "http://host/"), newResponse(t)
	var calls []badInput
	add := func(name, key, value string, want error) {
		for op, set := range map[string]func(string, string) error{
			"request set": req.SetHeader, "request add": req.AddHeader,
			"response set": res.SetHeader, "response add": res.AddHeader,
		} {
			calls = append(calls, badInput{op + "/" + name, func() error { return set(key, value) }, want})
		}
	}
	for name, value := range textWith {
		add("value with "+name, "X-One", value, nng.ErrInvalid)
		add("name with "+name, value, "1", nng.ErrInvalid)
	}
	add("value of 1 MiB", "X-One", strings.Repeat("x", 1<<20), nng.ErrTooLong)
	add("value of 64 KiB and one", "X-One", strings.Repeat("x", 64<<10+1), nng.ErrTooLong)
	for name, key := range map[string]string{
		"empty name": "", "blank": "a b", "blank behind": "a ", "tab": "a\tb", "colon": "a:", "quote": `"a"`,
		"parenthesis": "a(b)", "slash": "a/b", "not ASCII": "naïve", "name of 1 MiB": strings.Repeat("x", 1<<20),
	} {
		add(name, key, "1", nng.ErrInvalid)
		calls = append(calls,
			badInput{"request del/" + name, func() error { return req.DelHeader(key) }, nng.ErrInvalid},
			badInput{"response del/" + name, func() error { return res.DelHeader(key) }, nng.ErrInvalid})
		assert.Empty(t, req.Header(key), name)
		assert.Empty(t, res.Header(key), name)
	}
	refused(t, calls)
	assert.Empty(t, req.Header("X-One"), "nothing of it was set")
	assert.Empty(t, req.Header("X-Injected"))
	assert.Empty(t, res.Header("X-One"))
	assert.Empty(t, res.Header("X-Injected"))
}

func TestBadHead(t *testing.T) {
	req, res := newRequest(t, "http://host/path"), newResponse(t)
	var calls []badInput
	for name, s := range textWith {
		calls = append(calls,
			badInput{"method with " + name, func() error { return req.SetMethod(s) }, nng.ErrInvalid},
			badInput{"uri with " + name, func() error { return req.SetURI("/" + s) }, nng.ErrInvalid},
			badInput{"reason with " + name, func() error { return res.SetReason(s) }, nng.ErrInvalid},
			badInput{"request version with " + name, func() error { return req.SetVersion("HTTP/" + s) }, nng.ErrInvalid},
			badInput{"response version with " + name, func() error { return res.SetVersion("HTTP/" + s) }, nng.ErrInvalid})
	}
	for _, s := range []string{"GET POST", "GET ", "G(ET)", "MÉTHODE", strings.Repeat("X", 1025)} {
		calls = append(calls, badInput{"method " + s[:4], func() error { return req.SetMethod(s) }, nng.ErrInvalid})
	}
	for _, s := range []string{"1.1", "http/1.1", "HTTP 1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTP/1.1111111111111", "é"} {
		calls = append(calls,
			badInput{"request version " + s, func() error { return req.SetVersion(s) }, nng.ErrInvalid},
			badInput{"response version " + s, func() error { return res.SetVersion(s) }, nng.ErrInvalid})
	}
	for name, status := range map[string]int{
		"zero": 0, "two digits": 99, "four digits": 1000, "negative": -1, "wraps to 200": 1<<16 + 200, "wraps in 32 bits": 1<<32 + 200,
	} {
		calls = append(calls,
			badInput{"status " + name, func() error { return res.SetStatus(status) }, nng.ErrInvalid},
			badInput{"error response " + name, func() error { _, err := nng.NewErrorResponse(status); return err }, nng.ErrInvalid})
	}
	calls = append(calls,
		badInput{"uri empty", func() error { return req.SetURI("") }, nng.ErrInvalid},
		badInput{"uri with blank", func() error { return req.SetURI("/a b") }, nng.ErrInvalid},
		badInput{"uri with tab", func() error { return req.SetURI("/a\tb") }, nng.ErrInvalid},
		badInput{"uri of 1 MiB", func() error { return req.SetURI("/" + strings.Repeat("x", 1<<20)) }, nng.ErrTooLong},
		badInput{"reason of 1 MiB", func() error { return res.SetReason(strings.Repeat("x", 1<<20)) }, nng.ErrInvalid})
	refused(t, calls)
	assert.Equal(t, "GET", req.Method(), "nothing of it was set")
	assert.Equal(t, "/path", req.URI())
	assert.Equal(t, "HTTP/1.1", req.Version())
	assert.Equal(t, 200, res.Status())
	assert.Equal(t, "OK", res.Reason())
	assert.Equal(t, "HTTP/1.1", res.Version())
}

var badURLs = []string{
	" ", "http", "http:", "http:/", "//127.0.0.1:80", "127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80", "/path",
	"ftp://127.0.0.1:80", "tcp://127.0.0.1:80", "file:///etc/passwd", "inproc://name", "ipc:///tmp/socket", "mailto:a@b",
	"ht!tp://127.0.0.1", "htt p://127.0.0.1", "http:127.0.0.1", "http:%2f%2f127.0.0.1", "httpx://127.0.0.1", "http7://127.0.0.1",
	"http://127.0.0.1:65536", "http://127.0.0.1:99999", "http://127.0.0.1:99999999999999999999", "http://127.0.0.1:-1",
	"http://127.0.0.1:http", "http://127.0.0.1:0x50", "http://127.0.0.1:+80", "http://127.0.0.1: 80", "http://127.0.0.1:",
	"http://127.0.0.1:80:80", "http://[::1", "http://::1]:80", "http://[::1]80", "http://[::1]:", "http://[::1]x:80", "http://::1:80",
	"http://[::g]:80", "http://[]:80", "http://[127.0.0.1]:80", "http://a]b:80", "http://@@0", "http://a@b@c:80",
	"http://127.0.0.1/a b", "http://127.0.0.1/a\tb", "http://127.0.0.1/\r\nX: y", "http://127.0.0.1/\n", "http://127.0.0.1/a\x00b",
	"http://127.0.0.1\x00.example", "http://127.0.0.1/%zz", "http://127.0.0.1/%", "http://%00/", "\x00", "\xff",
	"http://127.0.0.1/" + strings.Repeat("x", 1<<20),
}

func TestBadURLs(t *testing.T) {
	var calls []badInput
	for _, url := range append(badURLs, "") {
		name := url
		if len(name) > 40 {
			name = name[:40]
		}
		calls = append(calls,
			badInput{"hold/" + name, func() error {
				srv, err := nng.HoldServer(url)
				if err == nil {
					srv.Close()
				}
				return err
			}, nng.ErrBadAddr},
			badInput{"client/" + name, func() error {
				client, err := nng.NewClient(url)
				if err == nil {
					client.Close()
				}
				return err
			}, nng.ErrBadAddr})
		if url == "" {
			continue // a request without a URL is a request without one
		}
		calls = append(calls, badInput{"request/" + name, func() error {
			req, err := nng.NewRequest(url)
			if err == nil {
				req.Close()
			}
			return err
		}, nng.ErrBadAddr})
	}
	// Servers may leave the host out, others not.
	for _, url := range []string{"http://", "http:///path", "http://:80", "http://:80/", "http://*:80"} {
		calls = append(calls,
			badInput{"client without host/" + url, func() error {
				client, err := nng.NewClient(url)
				if err == nil {
					client.Close()
				}
				return err
			}, nng.ErrBadAddr},
			badInput{"request without host/" + url, func() error {
				req, err := nng.NewRequest(url)
				if err == nil {
					req.Close()
				}
				return err
			}, nng.ErrBadAddr})
	}
	refused(t, calls)
}

// Go's listener has the port, so nng cannot.
func TestBusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	srv, err := nng.HoldServer("http://" + l.Addr().String())
	require.NoError(t, err)
	defer srv.Close()
	for range 2 {
		err = srv.Start()
		require.ErrorIs(t, err, nng.ErrAddrInUse)
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		var op *nng.OpError
		require.ErrorAs(t, err, &op)
		assert.Equal(t, "start", op.Op)
		assert.Contains(t, op.URL, l.Addr().String())
	}
	_, err = srv.Addr()
	require.ErrorIs(t, err, nng.ErrState)
	require.ErrorIs(t, srv.Stop(background()), nng.ErrState)

	// Once the port is free the same server starts.
	require.NoError(t, l.Close())
	require.NoError(t, srv.AddHandler(newHandler(t, "/", text("free"))))
	require.NoError(t, srv.Start())
	assert.Equal(t, "free", get(t, httpURL(t, srv)+"/"))
}

// An address of another machine (RFC 5737) cannot be listened on.
func TestForeignAddress(t *testing.T) {
	srv, err := nng.HoldServer("http://192.0.2.1:0")
	require.NoError(t, err)
	defer srv.Close()
	refused(t, []badInput{{"start", srv.Start, nng.ErrBadAddr}})
}

func TestBadServer(t *testing.T) {
	srv := newServer(t)
	h := newHandler(t, "/x", text("x"))
	defer h.Close()
	missing := filepath.Join(t.TempDir(), "missing")
	refused(t, []badInput{
		{"add nil handler", func() error { return srv.AddHandler(nil) }, nng.ErrInvalid},
		{"del nil handler", func() error { return srv.DelHandler(nil) }, nng.ErrInvalid},
		{"del handler that is elsewhere", func() error { return srv.DelHandler(h) }, nng.ErrNotFound},
		{"start twice", srv.Start, nng.ErrState},
		{"res error of nil", func() error { return srv.ResError(nil) }, nng.ErrInvalid},
		{"error page empty", func() error { return srv.SetErrorPage(404, "") }, nng.ErrInvalid},
		{"error page with NUL", func() error { return srv.SetErrorPage(404, "a\x00b") }, nng.ErrInvalid},
		{"error page of status 0", func() error { return srv.SetErrorPage(0, "page") }, nng.ErrInvalid},
		{"error page of status that wraps", func() error { return srv.SetErrorPage(1<<16+404, "page") }, nng.ErrInvalid},
		{"error file without name", func() error { return srv.SetErrorFile(404, "") }, nng.ErrInvalid},
		{"error file with NUL", func() error { return srv.SetErrorFile(404, "a\x00b") }, nng.ErrInvalid},
		{"error file missing", func() error { return srv.SetErrorFile(404, missing) }, nng.ErrNotFound},
		{"error file that is a device", func() error { return srv.SetErrorFile(404, "/dev/zero") }, nng.ErrInvalid},
		{"error file of status 1000", func() error { return srv.SetErrorFile(1000, missing) }, nng.ErrInvalid},
		{"http server's tls", func() error { _, err := srv.TLS(); return err }, nng.ErrNotSupported},
	})
	require.NoError(t, srv.Stop(background()))
	refused(t, []badInput{
		{"start again", srv.Start, nng.ErrState},
		{"addr of a stopped server", func() error { _, err := srv.Addr(); return err }, nng.ErrState},
	})
}

func TestBadMessages(t *testing.T) {
	conn, _ := wire(t)
	client := newClient(t, "http://127.0.0.1:1")
	req, res := newRequest(t, "http://host/"), newResponse(t)
	ctx := timeout(t, 5*time.Second)
	refused(t, []badInput{
		{"write nil request", func() error { return conn.WriteReq(ctx, nil) }, nng.ErrInvalid},
		{"write nil response", func() error { return conn.WriteRes(ctx, nil) }, nng.ErrInvalid},
		{"read nil request", func() error { return conn.ReadReq(ctx, nil) }, nng.ErrInvalid},
		{"read nil response", func() error { return conn.ReadRes(ctx, nil) }, nng.ErrInvalid},
		{"transact nil request", func() error { return conn.Transact(ctx, nil, res) }, nng.ErrInvalid},
		{"transact nil response", func() error { return conn.Transact(ctx, req, nil) }, nng.ErrInvalid},
		{"client transact nil request", func() error { return client.Transact(ctx, nil, res) }, nng.ErrInvalid},
		{"client transact nil response", func() error { return client.Transact(ctx, req, nil) }, nng.ErrInvalid},
		{"negative max body", func() error { return conn.SetMaxBody(-1) }, nng.ErrInvalid},
		{"client negative max body", func() error { return client.SetMaxBody(-1) }, nng.ErrInvalid},
	})
}

// A request without a target never reaches C, which would answer a stopped aio
// (defect CL21).
func TestWriteReqWithoutURI(t *testing.T) {
	conn, _ := wire(t)
	err := conn.WriteReq(timeout(t, 10*time.Second), newRequest(t, ""))
	require.ErrorIs(t, err, nng.ErrInvalid)
	var op *nng.OpError
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "write req", op.Op)
}

func TestBadHandlers(t *testing.T) {
	fn := text("x")
	h := newHandler(t, "/x", fn)
	defer h.Close()
	made := func(h *nng.Handler, err error) error {
		if err == nil {
			h.Close()
		}
		return err
	}
	calls := []badInput{
		{"nil function", func() error { return made(nng.NewHandler("/", nil)) }, nng.ErrInvalid},
		{"file without name", func() error { return made(nng.NewFileHandler("/", "")) }, nng.ErrInvalid},
		{"file with NUL", func() error { return made(nng.NewFileHandler("/", "a\x00b")) }, nng.ErrInvalid},
		{"directory without name", func() error { return made(nng.NewDirectoryHandler("/", "")) }, nng.ErrInvalid},
		{"directory with NUL", func() error { return made(nng.NewDirectoryHandler("/", "a\x00b")) }, nng.ErrInvalid},
		{"redirect nowhere", func() error { return made(nng.NewRedirectHandler("/", 301, "")) }, nng.ErrInvalid},
		{"redirect with status 200", func() error { return made(nng.NewRedirectHandler("/", 200, "/there")) }, nng.ErrInvalid},
		{"redirect with status 400", func() error { return made(nng.NewRedirectHandler("/", 400, "/there")) }, nng.ErrInvalid},
		{"redirect with status that wraps", func() error { return made(nng.NewRedirectHandler("/", 1<<16+301, "/there")) }, nng.ErrInvalid},
		{"redirect with status -1", func() error { return made(nng.NewRedirectHandler("/", -1, "/there")) }, nng.ErrInvalid},
		{"redirect to a blank", func() error { return made(nng.NewRedirectHandler("/", 301, "/a b")) }, nng.ErrInvalid},
		{"collect -2", func() error { return h.CollectBody(true, -2) }, nng.ErrInvalid},
		{"collect least", func() error { return h.CollectBody(false, -1<<63) }, nng.ErrInvalid},
		{"host with blank", func() error { return h.SetHost("a b") }, nng.ErrInvalid},
		{"host with tab", func() error { return h.SetHost("a\tb") }, nng.ErrInvalid},
		{"host of 1 MiB", func() error { return h.SetHost(strings.Repeat("x", 1<<20)) }, nng.ErrInvalid},
		{"method with blank", func() error { return h.SetMethod("GET ") }, nng.ErrInvalid},
		{"method of 1 MiB", func() error { return h.SetMethod(strings.Repeat("X", 1<<20)) }, nng.ErrInvalid},
	}
	for name, s := range textWith {
		calls = append(calls,
			badInput{"host with " + name, func() error { return h.SetHost(s) }, nng.ErrInvalid},
			badInput{"method with " + name, func() error { return h.SetMethod(s) }, nng.ErrInvalid},
			badInput{"redirect to " + name, func() error { return made(nng.NewRedirectHandler("/", 301, "/"+s)) }, nng.ErrInvalid},
			badInput{"type with " + name, func() error { return made(nng.NewStaticHandler("/", nil, "text/"+s)) }, nng.ErrInvalid})
	}
	for name, path := range map[string]string{
		"relative": "x", "relative with slash": "x/", "blank before": " /x", "star": "*", "URL": "http://host/", "NUL": "/\x00",
		"CR LF": "/\r\n", "1 MiB": "/" + strings.Repeat("x", 1<<20),
	} {
		calls = append(calls,
			badInput{"path/function/" + name, func() error { return made(nng.NewHandler(path, fn)) }, nng.ErrInvalid},
			badInput{"path/file/" + name, func() error { return made(nng.NewFileHandler(path, "x")) }, nng.ErrInvalid},
			badInput{"path/static/" + name, func() error { return made(nng.NewStaticHandler(path, nil, "")) }, nng.ErrInvalid},
			badInput{"path/redirect/" + name, func() error { return made(nng.NewRedirectHandler(path, 0, "/there")) }, nng.ErrInvalid},
			badInput{"path/directory/" + name, func() error { return made(nng.NewDirectoryHandler(path, ".")) }, nng.ErrInvalid})
	}
	refused(t, calls)
}

func TestBadTLS(t *testing.T) {
	needTLS(t)
	cert, key, other := testCert().cert, testCert().key, otherCert().key
	dir := t.TempDir()
	file := func(name, content string) string {
		writeFile(t, filepath.Join(dir, name), content)
		return filepath.Join(dir, name)
	}
	missing := filepath.Join(dir, "missing")
	garbage := "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n"
	garbageFile, wrongFile, emptyFile := file("garbage", garbage), file("wrong", cert+other), file("empty", "")
	certOnly := file("cert", cert)
	cfg, client := serverTLS(t), clientTLS(t)
	plain := newClient(t, "http://127.0.0.1:1")
	srv := newServer(t)
	refused(t, []badInput{
		{"mode 2", func() error { _, err := nng.NewTLSConfig(2); return err }, nng.ErrInvalid},
		{"mode -1", func() error { _, err := nng.NewTLSConfig(-1); return err }, nng.ErrInvalid},
		{"mode that wraps", func() error { _, err := nng.NewTLSConfig(1 << 32); return err }, nng.ErrInvalid},
		{"auth mode 3", func() error { return cfg.SetAuthMode(3) }, nng.ErrInvalid},
		{"auth mode -1", func() error { return cfg.SetAuthMode(-1) }, nng.ErrInvalid},
		{"server name empty", func() error { return client.SetServerName("") }, nng.ErrInvalid},
		{"server name with NUL", func() error { return client.SetServerName("good\x00.evil") }, nng.ErrInvalid},
		{"server name with LF", func() error { return client.SetServerName("a\nb") }, nng.ErrInvalid},
		{"server name with blank", func() error { return client.SetServerName("a b") }, nng.ErrInvalid},
		{"server name of 1 MiB", func() error { return client.SetServerName(strings.Repeat("x", 1<<20)) }, nng.ErrInvalid},
		{"CA empty", func() error { return client.SetCAChain("", "") }, nng.ErrInvalid},
		{"CA with NUL", func() error { return client.SetCAChain(cert+"\x00", "") }, nng.ErrInvalid},
		{"CA no PEM", func() error { return client.SetCAChain("garbage", "") }, nng.ErrCrypto},
		{"CA garbage", func() error { return client.SetCAChain(garbage, "") }, nng.ErrCrypto},
		{"CA a key", func() error { return client.SetCAChain(key, "") }, nng.ErrCrypto},
		{"CRL garbage", func() error { return client.SetCAChain(cert, "garbage") }, nng.ErrCrypto},
		{"CRL with NUL", func() error { return client.SetCAChain(cert, "\x00") }, nng.ErrInvalid},
		{"CA file without name", func() error { return client.SetCAFile("") }, nng.ErrInvalid},
		{"CA file with NUL", func() error { return client.SetCAFile("a\x00b") }, nng.ErrInvalid},
		{"CA file missing", func() error { return client.SetCAFile(missing) }, nng.ErrNotFound},
		{"CA file garbage", func() error { return client.SetCAFile(garbageFile) }, nng.ErrCrypto},
		{"CA file a directory", func() error { return client.SetCAFile(dir) }, nng.ErrSystem},
		{"CA file empty", func() error { return client.SetCAFile(emptyFile) }, nng.ErrCrypto},
		{"own cert empty", func() error { return cfg.SetOwnCert("", "", "") }, nng.ErrInvalid},
		{"own cert without key", func() error { return cfg.SetOwnCert(cert, "", "") }, nng.ErrCrypto},
		{"own cert with NUL", func() error { return cfg.SetOwnCert(cert, key+"\x00", "") }, nng.ErrInvalid},
		{"own cert password with NUL", func() error { return cfg.SetOwnCert(cert, key, "\x00") }, nng.ErrInvalid},
		{"own cert garbage", func() error { return cfg.SetOwnCert(garbage, key, "") }, nng.ErrCrypto},
		{"own key garbage", func() error { return cfg.SetOwnCert(cert, "garbage", "") }, nng.ErrCrypto},
		{"own key of another certificate", func() error { return cfg.SetOwnCert(cert, other, "") }, nng.ErrCrypto},
		{"cert key file without name", func() error { return cfg.SetCertKeyFile("", "") }, nng.ErrInvalid},
		{"cert key file with NUL", func() error { return cfg.SetCertKeyFile("a\x00b", "") }, nng.ErrInvalid},
		{"cert key file password with NUL", func() error { return cfg.SetCertKeyFile(certOnly, "\x00") }, nng.ErrInvalid},
		{"cert key file missing", func() error { return cfg.SetCertKeyFile(missing, "") }, nng.ErrNotFound},
		{"cert key file garbage", func() error { return cfg.SetCertKeyFile(garbageFile, "") }, nng.ErrCrypto},
		{"cert key file without key", func() error { return cfg.SetCertKeyFile(certOnly, "") }, nng.ErrCrypto},
		{"cert key file with another key", func() error { return cfg.SetCertKeyFile(wrongFile, "") }, nng.ErrCrypto},
		{"key empty", func() error { return cfg.SetKey(nil) }, nng.ErrInvalid},
		{"pass with NUL", func() error { return cfg.SetPass("\x00") }, nng.ErrInvalid},
		{"versions unknown", func() error { return cfg.SetVersion(1, 2) }, nng.ErrNotSupported},
		{"versions that wrap", func() error { return cfg.SetVersion(1<<32|nng.TLS12, 1<<32|nng.TLS12) }, nng.ErrNotSupported},
		{"client with nil", func() error { return newClient(t, "https://127.0.0.1:1").SetTLS(nil) }, nng.ErrInvalid},
		{"http client", func() error { return plain.SetTLS(client) }, nng.ErrNotSupported},
		{"http client's", func() error { _, err := plain.TLS(); return err }, nng.ErrNotSupported},
		{"http server, started", func() error { return srv.SetTLS(cfg) }, nng.ErrBusy},
	})

	held, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer held.Close()
	refused(t, []badInput{
		{"http server", func() error { return held.SetTLS(cfg) }, nng.ErrNotSupported},
		{"https server on an http address", func() error { _, err := nng.HoldServer("https://127.0.0.1:0"); return err }, nng.ErrAddrInUse},
	})
	secure, err := nng.HoldServer("https://localhost:0")
	require.NoError(t, err)
	defer secure.Close()
	refused(t, []badInput{{"server with nil", func() error { return secure.SetTLS(nil) }, nng.ErrInvalid}})
}
