package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Handler serves the routes of the contract (docs/conformance-contract.md): what to give a
// server that takes an http.Handler.
func Handler() http.Handler {
	var running atomic.Int32 // handlers of /slow
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		code, isStatus := strings.CutPrefix(path, "/status/")
		status, _ := strconv.Atoi(code)
		switch {
		case path == "/unread": // the body is left
			w.WriteHeader(http.StatusOK)
			return
		case path == "/hijack":
			echoBytes(w, r, nil)
			return
		}
		if path == "/small" {
			r.Body = http.MaxBytesReader(w, r.Body, 16)
		}
		body, err := io.ReadAll(r.Body)
		switch {
		case errors.As(err, new(*http.MaxBytesError)):
			http.Error(w, "large body", http.StatusRequestEntityTooLarge)
		case err != nil:
			http.Error(w, "bad body", http.StatusBadRequest)
		case path == "/hijack/body":
			echoBytes(w, r, body)
		case path == "/slow":
			running.Add(1)
			time.Sleep(time.Duration(number(r, "ms", 5000)) * time.Millisecond)
			running.Add(-1)
			_, _ = io.WriteString(w, "slow\n")
		case path == "/running":
			_, _ = fmt.Fprintln(w, running.Load())
		case path == "/big":
			b := bytes.Repeat([]byte("b"), number(r, "n", 16<<20))
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b)
		case isStatus && status >= 200 && status <= 599:
			w.WriteHeader(status)
			if status != http.StatusNoContent && status != http.StatusNotModified {
				_, _ = io.WriteString(w, "status\n")
			}
		case path == "/empty":
			w.WriteHeader(http.StatusOK)
		case path == "/last":
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, "last\n")
		case path == "/static":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "static\n")
		case path == "/get" && r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
		case path == "/late":
			time.Sleep(lateness)
			_, _ = io.WriteString(w, "late\n")
		case path == "/moved":
			w.Header().Set("Location", "/static")
			w.WriteHeader(http.StatusMovedPermanently)
		case path == "/virtual" && hostName(r.Host) == "virtual.example":
			_, _ = io.WriteString(w, "virtual\n")
		case path == "/error":
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "<p>error</p>\n")
		case path == "/gone":
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, "<p>gone</p>\n")
		case path == "/fail":
			w.Header().Set("Connection", "close")
			http.Error(w, "failed", http.StatusInternalServerError)
		case path == "/fields":
			w.Header()["X-A"] = []string{"1", "2"}
			_, _ = io.WriteString(w, "fields\n")
		case strings.HasPrefix(path, "/files/"):
			writeFile(w, r, strings.TrimPrefix(path, "/files/"))
		default:
			writeEcho(w, r, body)
		}
	})
}

// The route /late takes so long.
const lateness = 300 * time.Millisecond

// hostName is a host without its port, and without the dot that a name may end in.
func hostName(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// The files of the route /files/, by name. An empty name is the folder itself.
var served = map[string]string{"": "index\n", "a.txt": "a\n", "empty.txt": ""}

func writeFile(w http.ResponseWriter, r *http.Request, name string) {
	if decoded, err := url.PathUnescape(name); err == nil {
		name = decoded
	}
	content, ok := served[name]
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case name == "":
		w.Header().Set("Content-Type", "text/html")
	default:
		w.Header().Set("Content-Type", "text/plain")
	}
	_, _ = io.WriteString(w, content)
}

func writeEcho(w http.ResponseWriter, r *http.Request, body []byte) {
	e := Echo{Method: toLatin1([]byte(r.Method)), Target: toLatin1([]byte(r.RequestURI)), Fields: map[string][]string{"Host": {toLatin1([]byte(r.Host))}}, Body: toLatin1(body)}
	if length := r.ContentLength; length >= 0 && r.Header.Get("Content-Length") == "" {
		e.Fields["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	for name, values := range r.Header {
		for _, v := range values {
			e.Fields[name] = append(e.Fields[name], toLatin1([]byte(v)))
		}
	}
	b, _ := json.Marshal(e) // strings alone
	w.Header().Set("Conformance", "echo")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

// number returns a parameter of the query that is a number.
func number(r *http.Request, name string, most int) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return max(0, min(n, most))
}

// hello is what a handler of /hijack sends first.
func hello(query string) string {
	const upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	switch query {
	case "raw":
		return ""
	case "tunnel":
		return "HTTP/1.1 200 OK\r\n\r\n"
	case "bye":
		return upgrade + "bye\n"
	}
	return upgrade
}

// echoBytes takes the connection over and sends back what comes, after the body of the request
// if that was read.
func echoBytes(w http.ResponseWriter, r *http.Request, body []byte) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	query := r.URL.RawQuery
	if _, err := conn.Write(append([]byte(hello(query)), body...)); err == nil && query != "bye" {
		_, _ = io.Copy(conn, rw)
	}
}
