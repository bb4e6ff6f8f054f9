package nethttp

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// writeHead sends the head of the response, when the first part of the body is known (body), and
// decides how the body is framed (RFC 9112, section 6) and whether the connection lives on.
func (w *response) writeHead(body []byte) {
	w.headSent = true
	h := w.sent
	isHead := w.req.Method == http.MethodHead
	allowed := bodyAllowed(w.status)

	var trailers bool
	exclude := map[string]bool(nil)
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			if exclude == nil {
				exclude = make(map[string]bool)
			}
			exclude[name], trailers = true, true
		}
	}
	for name := range elements(h["Trailer"]) {
		trailers = true
		w.declareTrailer(name)
	}
	coding := first(h, "Transfer-Encoding")

	var set extraFields
	_, hasLength := h["Content-Length"]
	if w.done.Load() && !trailers && coding == "" && allowed && !hasLength && (!isHead || len(body) > 0) {
		w.length = int64(len(body))
		set.length = w.length
		set.hasLength = true
	}

	if !allowed {
		delete(h, "Content-Length") // also of a 304, as net/http does
		delete(h, "Transfer-Encoding")
		if w.status == http.StatusNotModified {
			delete(h, "Content-Type")
		}
	} else if len(body) > 0 && coding == "" && first(h, "Content-Encoding") == "" {
		if _, ok := h["Content-Type"]; !ok {
			set.contentType = http.DetectContentType(body)
		}
	}
	if w.length >= 0 && coding != "" && coding != "identity" {
		w.a.log().Error("nethttp: a handler has set both Transfer-Encoding and Content-Length; the length is ignored",
			"coding", coding, "length", w.length)
		delete(h, "Content-Length")
		w.length = -1
	}
	switch {
	case isHead || !allowed:
		delete(h, "Transfer-Encoding")
	case w.length >= 0:
		delete(h, "Transfer-Encoding")
	case !w.req.ProtoAtLeast(1, 1) || coding == "identity":
		w.closing = true // which ends the body
		delete(h, "Transfer-Encoding")
	default:
		w.writeChunks()
		set.chunked = true
		if coding == "chunked" {
			delete(h, "Transfer-Encoding")
		}
	}

	w.decideClose(h)
	if _, ok := h["Date"]; !ok {
		set.date = true
	}
	if w.closing && !isSwitch(w.status, h) && !hasToken(h["Connection"], "close") {
		delete(h, "Connection")
		set.close = true
	}
	w.writeStatus(w.status)
	_ = h.WriteSubset(w.out, exclude)
	set.write(w)
	_, _ = w.out.WriteString("\r\n")
}

// first is Header.Get for a key that is in canonical form, which to find out costs more than
// the rest. So does Header.Del.
func first(h http.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// decideClose finds out whether the connection ends with this response. To keep it, what
// the handler has left of the body is read now: a client may not look at the response
// before it has sent everything, and what stays unread would be taken for a request.
func (w *response) decideClose(h http.Header) {
	if w.req.Close || hasToken(h["Connection"], "close") || !w.a.keepAlive() || w.ctx.isSpent() {
		w.closing = true
	}
	if w.body != nil && !w.fullDuplex.Load() && !w.closing {
		w.closing = !w.body.discard()
		w.surprise = w.closing
	}
}

// isSwitch reports whether a response changes the protocol, which Connection tells.
func isSwitch(status int, h http.Header) bool {
	return status == http.StatusSwitchingProtocols && hasToken(h["Connection"], "upgrade")
}

func (w *response) writeStatus(status int) {
	version := "HTTP/1.1 "
	if !w.req.ProtoAtLeast(1, 1) {
		version = "HTTP/1.0 "
	}
	_, _ = w.out.WriteString(version)
	_, _ = w.out.WriteString(strconv.Itoa(status))
	_ = w.out.WriteByte(' ')
	reason := http.StatusText(status)
	if reason == "" {
		reason = "status code " + strconv.Itoa(status)
	}
	_, _ = w.out.WriteString(reason)
	_, _ = w.out.WriteString("\r\n")
}

// extraFields are what the adapter adds to the handler's fields.
type extraFields struct {
	contentType string
	length      int64
	hasLength   bool
	chunked     bool
	close       bool
	date        bool
}

func (f *extraFields) write(w *response) {
	if f.date {
		w.field("Date", now())
	}
	if f.hasLength {
		w.field("Content-Length", strconv.FormatInt(f.length, 10))
	}
	if f.contentType != "" {
		w.field("Content-Type", f.contentType)
	}
	if f.close && w.req.ProtoAtLeast(1, 1) {
		w.field("Connection", "close")
	}
	if f.chunked {
		w.field("Transfer-Encoding", "chunked")
	}
}

func (w *response) field(name, value string) {
	_, _ = w.out.WriteString(name)
	_, _ = w.out.WriteString(": ")
	_, _ = w.out.WriteString(value)
	_, _ = w.out.WriteString("\r\n")
}

// now returns the time for a Date field, which is made once a second.
func now() string {
	t := time.Now()
	if d := lastDate.Load(); d != nil && d.second == t.Unix() {
		return d.text
	}
	d := &date{t.Unix(), t.UTC().Format(http.TimeFormat)}
	lastDate.Store(d)
	return d.text
}

type date struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[date]

// refuse answers a request that is not served. The connection ends with it.
func (w *response) refuse(err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{http.StatusInternalServerError, "the request could not be read"}
	}
	w.status, w.closing, w.headSent = r.status, true, true
	text := r.Error()
	w.writeStatus(r.status)
	w.field("Date", now())
	w.field("Content-Type", "text/plain; charset=utf-8")
	w.field("Content-Length", strconv.Itoa(len(text)))
	w.field("Connection", "close")
	if r.status == http.StatusServiceUnavailable {
		w.field("Retry-After", "1")
	}
	_, _ = w.out.WriteString("\r\n")
	if w.req.Method != http.MethodHead {
		_, _ = w.out.WriteString(text)
	}
	_ = w.out.Flush()
}
