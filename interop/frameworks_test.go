package interop

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/rs/cors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compare sends requests to h on our server and on net/http: the responses are the same.
// It returns them.
func compare(t *testing.T, h http.Handler, all ...probe) []outcome {
	t.Helper()
	host := mount(t, h)
	std := httptest.NewServer(h)
	t.Cleanup(std.Close)
	c := newClient(t)
	var outcomes []outcome
	for _, p := range all {
		want := p.send(t, c, std.Listener.Addr().String(), false)
		got := p.send(t, c, host, false)
		assert.Equal(t, want, got, "%v", p)
		outcomes = append(outcomes, got)
	}
	return outcomes
}

func get(target string, header ...string) probe {
	return probe{method: "GET", target: target, header: with(header...)}
}

func post(target, contentType, body string) probe {
	return probe{method: "POST", target: target, header: with("Content-Type", contentType), body: body}
}

func gunzip(t *testing.T, s string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(s))
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(b)
}

func TestChi(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Use(middleware.RequestSize(1000), middleware.CleanPath, middleware.GetHead)
	r.Get("/users/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "user %s from %s", chi.URLParam(r, "id"), chi.RouteContext(r.Context()).RoutePattern())
	})
	r.Post("/users/*", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintln(w, chi.URLParam(r, "*"), len(b), err)
	})
	r.Route("/sub", func(r chi.Router) {
		r.Mount("/deep", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	})
	long := strings.Repeat("compress me, ", 1000)
	r.With(middleware.Compress(5, "text/plain")).Get("/compressed", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, long)
		w.(http.Flusher).Flush()
		io.WriteString(w, "the end")
	})
	r.With(middleware.Recoverer).Get("/panic", func(http.ResponseWriter, *http.Request) { panic("on purpose") })
	r.With(middleware.Timeout(50*time.Millisecond)).Get("/timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r.With(middleware.SetHeader("X-A", "b"), middleware.NoCache).Get("/headers", func(http.ResponseWriter, *http.Request) {})

	// The body that is too large is larger than what both servers skip. After smaller ones
	// net/http closes the connection, because http.MaxBytesReader tells it, by a method
	// that others cannot have; we skip them and keep the connection.
	out := compare(t, r, get("/users/42"), get("/users/x"), get("//users///7"), probe{method: "HEAD", target: "/users/1"},
		post("/users/a/b", "text/plain", "body"), post("/users/c", "text/plain", strings.Repeat("x", 400_000)),
		probe{method: "DELETE", target: "/users/1"}, get("/sub/deep/er?q"), get("/compressed"),
		get("/compressed", "Accept-Encoding", "gzip"), get("/panic"), get("/timeout"), get("/headers"))
	assert.Equal(t, "user 42 from /users/{id:[0-9]+}", out[0].body)
	assert.Equal(t, long+"the end", gunzip(t, out[9].body))
	assert.Equal(t, "500 Internal Server Error", out[10].status)
	assert.Equal(t, "504 Gateway Timeout", out[11].status)
}

// chi's Throttle lets two requests through, keeps one waiting, and refuses the others.
func TestChiThrottle(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	r := chi.NewRouter()
	r.With(middleware.ThrottleBacklog(2, 1, soon)).Get("/", func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-leave
		io.WriteString(w, "served")
	})
	url := "http://" + mount(t, r) + "/"
	c := newClient(t)
	statuses := make(chan int, 10)
	for range 6 {
		go func() {
			res, err := c.Get(url)
			if err != nil {
				statuses <- 0
				return
			}
			res.Body.Close()
			statuses <- res.StatusCode
		}()
	}
	for range 3 {
		assert.Equal(t, http.StatusTooManyRequests, <-statuses)
	}
	<-entered
	<-entered
	assert.Empty(t, entered)
	close(leave)
	for range 3 {
		assert.Equal(t, http.StatusOK, <-statuses)
	}
}

func TestGin(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.TestMode)
	r := gin.New()
	r.Use(gin.RecoveryWithWriter(io.Discard))
	r.GET("/users/:id/*rest", func(c *gin.Context) {
		c.JSON(200, gin.H{"id": c.Param("id"), "rest": c.Param("rest"), "q": c.Query("q")})
	})
	type thing struct {
		Name string `form:"name" json:"name" xml:"name" binding:"required"`
		N    int    `form:"n" json:"n" xml:"n" binding:"max=10"`
	}
	r.POST("/bind", func(c *gin.Context) {
		var v thing
		if err := c.ShouldBind(&v); err != nil {
			c.String(http.StatusBadRequest, "%v", err)
			return
		}
		c.XML(http.StatusCreated, v)
	})
	r.POST("/upload", func(c *gin.Context) {
		f, err := c.FormFile("file")
		if err != nil {
			c.AbortWithStatus(http.StatusBadRequest)
			return
		}
		c.String(200, "%s %d", f.Filename, f.Size)
	})
	r.GET("/stream", func(c *gin.Context) {
		i := 0
		c.Stream(func(w io.Writer) bool {
			i++
			c.SSEvent("tick", i)
			return i < 5
		})
	})
	r.GET("/panic", func(*gin.Context) { panic("on purpose") })
	r.GET("/redirect", func(c *gin.Context) { c.Redirect(http.StatusFound, "/elsewhere") })
	file := filepath.Join(t.TempDir(), "file.txt")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("0123456789", 10_000)), 0o600))
	r.StaticFile("/file", file)

	var upload strings.Builder
	m := multipart.NewWriter(&upload)
	w, err := m.CreateFormFile("file", "name.bin")
	require.NoError(t, err)
	_, _ = w.Write(make([]byte, 100_000))
	require.NoError(t, m.Close())

	out := compare(t, r, get("/users/7/a/b?q=x"), get("/none"), post("/bind", "application/json", `{"name":"a","n":3}`),
		post("/bind", "application/json", `{"n":30}`), post("/bind", "application/x-www-form-urlencoded", "name=b&n=1"),
		post("/bind", "application/xml", "<thing><name>c</name></thing>"), post("/upload", m.FormDataContentType(), upload.String()),
		get("/stream"), get("/panic"), get("/redirect"), get("/file"), get("/file", "Range", "bytes=-5"), probe{method: "HEAD", target: "/file"})
	assert.Equal(t, "name.bin 100000", out[6].body)
	assert.Contains(t, out[7].body, "event:tick\ndata:5\n")
	assert.Equal(t, "206 Partial Content", out[11].status)
}

func TestEcho(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.Use(echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{DisablePrintStack: true, LogLevel: 7}), echomiddleware.BodyLimit("10K"),
		echomiddleware.GzipWithConfig(echomiddleware.GzipConfig{Skipper: func(c echo.Context) bool { return c.Path() == "/hijack" }}))
	e.GET("/users/:id", func(c echo.Context) error { return c.JSONPretty(200, map[string]string{"id": c.Param("id")}, " ") })
	e.POST("/users", func(c echo.Context) error {
		var v struct {
			Name string `json:"name" form:"name"`
		}
		if err := c.Bind(&v); err != nil {
			return err
		}
		return c.String(http.StatusCreated, v.Name)
	})
	e.GET("/stream", func(c echo.Context) error {
		c.Response().WriteHeader(200)
		for i := range 5 {
			fmt.Fprintln(c.Response(), i)
			c.Response().Flush()
		}
		return nil
	})
	e.GET("/blob", func(c echo.Context) error {
		return c.Stream(200, "application/octet-stream", strings.NewReader(strings.Repeat("b", 50_000)))
	})
	e.GET("/none", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	e.GET("/error", func(echo.Context) error { return echo.NewHTTPError(http.StatusTeapot, "short and stout") })
	e.GET("/panic", func(echo.Context) error { panic("on purpose") })
	e.GET("/hijack", func(c echo.Context) error {
		conn, rw, err := c.Response().Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		io.WriteString(rw, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhijacked")
		return rw.Flush()
	})

	out := compare(t, e, get("/users/3"), get("/nowhere"), probe{method: "PUT", target: "/users"}, post("/users", "application/json", `{"name":"n"}`),
		post("/users", "application/json", `{"name":`), post("/users", "application/x-www-form-urlencoded", "name=f"),
		post("/users", "application/json", strings.Repeat(" ", 20_000)), get("/stream"), get("/stream", "Accept-Encoding", "gzip"), get("/blob"),
		get("/blob", "Accept-Encoding", "gzip"), get("/none"), get("/error"), get("/panic"), get("/hijack"))
	assert.Equal(t, "0\n1\n2\n3\n4\n", gunzip(t, out[8].body))
	assert.Len(t, gunzip(t, out[10].body), 50_000)
	assert.Equal(t, "hijacked", out[14].body)
}

func TestCORS(t *testing.T) {
	t.Parallel()
	h := cors.New(cors.Options{AllowedOrigins: []string{"http://good.example"}, AllowedMethods: []string{"GET", "PUT"},
		AllowedHeaders: []string{"X-A", "X-B"}, AllowCredentials: true, MaxAge: 60}).
		Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") }))
	preflight := func(origin, method string) probe {
		return probe{method: "OPTIONS", target: "/", header: with("Origin", origin, "Access-Control-Request-Method", method,
			"Access-Control-Request-Headers", "x-a,x-b")}
	}
	out := compare(t, h, get("/", "Origin", "http://good.example"), get("/", "Origin", "http://bad.example"), get("/"),
		preflight("http://good.example", "PUT"), preflight("http://good.example", "DELETE"), preflight("http://bad.example", "PUT"))
	assert.Equal(t, "http://good.example", out[3].header.Get("Access-Control-Allow-Origin"))
	assert.Empty(t, out[5].header.Get("Access-Control-Allow-Origin"))
}

// A client that goes ends the request's context, under any framework.
func TestClientGoes(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.TestMode)
	ended := make(chan struct{}, 1)
	wait := func(w http.ResponseWriter, ctx context.Context) {
		fmt.Fprintln(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-ctx.Done()
		ended <- struct{}{}
	}
	g := gin.New()
	g.GET("/", func(c *gin.Context) { wait(c.Writer, c.Request.Context()) })
	e := echo.New()
	e.GET("/", func(c echo.Context) error {
		wait(c.Response(), c.Request().Context())
		return nil
	})
	r := chi.NewRouter()
	r.Use(middleware.Timeout(time.Minute), middleware.Compress(5))
	r.Get("/", func(w http.ResponseWriter, r *http.Request) { wait(w, r.Context()) })
	for _, framework := range []struct {
		name string
		h    http.Handler
	}{
		{"net/http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wait(w, r.Context()) })},
		{"gin", g}, {"echo", e}, {"chi", r},
	} {
		t.Run(framework.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "GET", "http://"+mount(t, framework.h)+"/", nil)
			require.NoError(t, err)
			res, err := newClient(t).Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			line, err := bufio.NewReader(res.Body).ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, "begun\n", line)
			cancel()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Fatal("the handler still waits")
			}
		})
	}
}
