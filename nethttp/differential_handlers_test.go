package nethttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing/iotest"
	"time"
)

// handlers are those that the field Do of a request can ask for.
var handlers = map[string]http.HandlerFunc{
	"nothing": func(http.ResponseWriter, *http.Request) {},
	"skip":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "body unread") },
	"part": func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 3)
		n, err := io.ReadFull(r.Body, b)
		fmt.Fprintf(w, "%q %v", b[:n], err)
	},
	"empty write":  func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) },
	"small":        func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>hello") },
	"2048 bytes":   writes(2048),
	"2049 bytes":   writes(2049),
	"100000 bytes": writes(100000),
	"two writes":   writes(1500, 1500),
	"flush": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		io.WriteString(w, "two")
	},
	"flush first": func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, "<html>late")
	},
	"flush only": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
	"flush at the end": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "all")
		w.(http.Flusher).Flush()
	},
	"length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "12345")
	},
	"length and flush": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.(http.Flusher).Flush()
		io.WriteString(w, "12345")
	},
	"length too large": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9")
		io.WriteString(w, "12345")
	},
	"length too small": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		_, err1 := io.WriteString(w, "123")
		_, err2 := io.WriteString(w, "45")
		if err1 != nil || !errors.Is(err2, http.ErrContentLength) {
			panic("no http.ErrContentLength")
		}
	},
	"length with one write too many": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "12345")
	},
	"length without body": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "4") },
	"length of zero":      func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") },
	"bad length":          sets("Content-Length", "five"),
	"negative length":     sets("Content-Length", "-1"),
	"length +11":          sets("Content-Length", "+11"),
	"two lengths":         sets("Content-Length", "4", "4"),
	"content type":        sets("Content-Type", "text/x"),
	"no content type":     sets("Content-Type"),
	"empty type":          sets("Content-Type", ""),
	"content encoding":    sets("Content-Encoding", "gzip"),
	"own date":            sets("Date", "yesterday"),
	"no date":             sets("Date"),
	"close":               sets("Connection", "close"),
	"Close":               sets("Connection", "Close"),
	"close in a list":     sets("Connection", "x, close"),
	"keep-alive":          sets("Connection", "keep-alive"),
	"empty connection":    sets("Connection", ""),
	"chunked":             sets("Transfer-Encoding", "chunked"),
	"identity":            sets("Transfer-Encoding", "identity"),
	"gzip coding":         sets("Transfer-Encoding", "gzip"),
	"length and chunked": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Transfer-Encoding", "chunked")
		io.WriteString(w, "12345")
	},
	"cookies":   sets("Set-Cookie", "a=1", "b=2"),
	"line ends": sets("X-Split", "a\r\nY: b", "c\nd"),
	"odd field name": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["A B"] = []string{"1"}
		io.WriteString(w, "x")
	},
	"lower-case field": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["x-lower"] = []string{"1"}
		io.WriteString(w, "x")
	},
	"204":        status(204),
	"204 body":   status(204, "no"),
	"204 length": statusLength(204),
	"304":        status(304),
	"304 body":   status(304, "no"),
	"304 length": statusLength(304),
	"304 type": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "a/b")
		w.WriteHeader(304)
	},
	"205":         status(205, "reset"),
	"299":         status(299, "odd"),
	"404":         status(404, "not found"),
	"500":         status(500),
	"999":         status(999),
	"status 99":   status(99),
	"status 1000": status(1000),
	"101":         status(101),
	"upgrade": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "upgrade")
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(101)
	},
	"twice": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(202)
		w.WriteHeader(500)
		io.WriteString(w, "x")
	},
	"late field": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.Header().Set("X-Late", "1")
		io.WriteString(w, "x")
	},
	"late field behind write": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "x")
		w.Header().Set("X-Late", "1")
	},
	"header kept from before": func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("X-Early", "1")
		w.WriteHeader(200)
		h.Set("X-Early", "2")
	},
	"103": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Set("Link", "</b>")
		w.WriteHeader(103)
		w.Header().Del("Link")
		io.WriteString(w, "done")
	},
	"102 length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(102)
		io.WriteString(w, "done")
	},
	"100": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(100)
		echo(w, r)
	},
	"1xx only": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103) },
	"trailer": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A, b")
		w.Header().Add("Trailer", "C")
		io.WriteString(w, "body")
		w.Header().Set("A", "1")
		w.Header()["B"] = []string{"2", "3"}
		w.Header().Set("D", "undeclared")
	},
	"trailers that may not be": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A, Content-Length, Trailer, Transfer-Encoding")
		io.WriteString(w, "body")
		w.Header().Set("A", "1")
		w.Header().Set("Content-Length", "1")
	},
	"trailer set before": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		w.Header().Set("A", "1")
		io.WriteString(w, "body")
		w.Header().Set("A", "2")
	},
	"trailer prefix": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"A", "1")
	},
	"trailer prefix, short body": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "body")
		w.Header().Set(http.TrailerPrefix+"A", "1")
	},
	"trailer prefix set before": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(http.TrailerPrefix+"A", "1")
		io.WriteString(w, "body")
	},
	"trailer, no body": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		w.WriteHeader(200)
		w.Header().Set("A", "1")
	},
	"trailer and length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		w.Header().Set("Content-Length", "4")
		io.WriteString(w, "body")
		w.Header().Set("A", "1")
	},
	"trailer with line ends": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "A")
		io.WriteString(w, "body")
		w.Header().Set("A", "1\r\n\r\nGET /")
	},
	"abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"abort behind write": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "gone")
		panic(http.ErrAbortHandler)
	},
	"abort behind flush": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "sent")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	},
	"abort behind 3000 bytes": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", 3000))
		panic(http.ErrAbortHandler)
	},
	"panic": func(w http.ResponseWriter, _ *http.Request) { panic("oh") },
	"copy":  func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("<html>copied")) },
	"copy in bytes": func(w http.ResponseWriter, _ *http.Request) {
		io.Copy(w, iotest.OneByteReader(strings.NewReader("<html>copied")))
	},
	"copy body": func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) },
	"copy body with length": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		io.Copy(w, r.Body)
	},
	"read behind write": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "written ")
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(b), err)
	},
	"read behind flush": func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(b), err)
	},
	"full duplex": func(w http.ResponseWriter, r *http.Request) {
		err := http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		b, e := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%v %d %v", err, len(b), e)
	},
	"full duplex, unread": func(w http.ResponseWriter, _ *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, "not read")
	},
	"close body": func(w http.ResponseWriter, r *http.Request) {
		err := r.Body.Close()
		n, e := r.Body.Read(make([]byte, 1))
		fmt.Fprintf(w, "%v %d %v %v", err, n, e, errors.Is(e, http.ErrBodyReadAfterClose))
	},
	"read twice": func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		n, err := r.Body.Read(make([]byte, 1))
		m, err2 := r.Body.Read(nil)
		fmt.Fprintf(w, "%d %v %d %v", n, err, m, err2)
	},
	"read nothing": func(w http.ResponseWriter, r *http.Request) {
		n, err := r.Body.Read(nil)
		fmt.Fprintf(w, "%d %v", n, err)
	},
	"max bytes": func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4))
		var tooLarge *http.MaxBytesError
		fmt.Fprintf(w, "%d %v", len(b), errors.As(err, &tooLarge))
	},
	"form": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%v %v", r.ParseForm(), r.Form)
	},
	"hijack": func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		line, err := buf.ReadString('\n') // of the body, or of the probe
		fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nConnection: close\r\nHandler: 1\r\n\r\n%q %v", line, err)
		_ = buf.Flush()
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = io.Copy(io.Discard, buf) // closing with bytes unread would be a reset
	},
	"continue, then read": func(w http.ResponseWriter, r *http.Request) { echo(w, r) },
	"context": func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%v %T", r.Context().Err(), r.Context().Value(http.ServerContextKey))
	},
	"methods of the writer": func(w http.ResponseWriter, r *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, from := w.(io.ReaderFrom)
		_, str := w.(io.StringWriter)
		fmt.Fprint(w, flusher, hijacker, from, str)
	},
	"write behind 204": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(204)
		if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic("no http.ErrBodyNotAllowed")
		}
	},
	"ServeContent": func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Unix(1, 0), strings.NewReader(strings.Repeat("0123456789", 500)))
	},
	"Redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusSeeOther) },
	"Error":    func(w http.ResponseWriter, r *http.Request) { http.Error(w, "teapot", http.StatusTeapot) },
}

func writes(sizes ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i, n := range sizes {
			io.WriteString(w, strings.Repeat(string(rune('a'+i)), n))
		}
	}
}

func sets(name string, values ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()[name] = values
		io.WriteString(w, "<html>hello")
	}
}

func status(code int, body ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		for _, b := range body {
			io.WriteString(w, b)
		}
	}
}

func statusLength(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(code)
	}
}
