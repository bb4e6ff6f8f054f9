// Package nng binds the HTTP library of libnng (nanomsg next generation, the C
// library, release 1.x): its server, client, and what makes it worth having, the
// taking over of a connection inside a handler to speak another protocol on it.
//
// Each C type has a Go type, and each C function a method or function whose comment
// names it:
//
//	nng_http_server      Server      HoldServer, AddHandler, Start, Stop, Close
//	nng_http_handler     Handler     NewHandler and its kin
//	nng_http_conn        Conn        a net.Conn; Hijack, OnData, ReadReq, WriteRes, Transact
//	nng_http_req         Request
//	nng_http_res         Response
//	nng_http_client      Client      Connect, Transact
//	nng_tls_config       TLSConfig
//	nng_stream_listener  WSListener  WebSockets on a Server's port: Listen, Accept
//	nng_stream_dialer    WSDialer    Dial
//	nng_stream           WSConn      ReadMessage, WriteMessage
//	nng_aio              (inside)    operations that wait take a context
//	error codes          Errno       ErrClosed, ErrTimedOut, … inside *OpError
//
// # Who owns what
//
// Whatever a New function, HoldServer, Client.Connect, Hold or TLS returns belongs to
// the caller, who calls Close. What a handler is given is borrowed and ends when it
// returns, unless it hijacks the connection. What a handler returns, and a handler
// that is added to a server, belong to the server. After Close every method answers
// ErrClosed, or the zero value if it returns no error. So do the zero values of these types:
// make each with its New function, HoldServer, Connect or Accept. (Those of Limits and other
// plain structs are as good as any.)
//
// # Threads
//
// Every method of every type may be called from several goroutines at once. Handlers
// run in goroutines. No goroutine holds an operating system thread while it waits.
//
// While there is something that can make events, one goroutine does the work of nng's threads
// for what belongs to this package. Other C code in the process that uses libnng does not
// notice: its sockets, callbacks and handlers stay with nng's own threads. With libraries
// other than the one that this module builds, and on systems without epoll, those do all the
// work.
//
// # Errors
//
// Errors are *OpError, which names the operation, around an Errno, which is the code
// of C. errors.Is finds both nng's names (ErrConnRefused) and Go's
// (syscall.ECONNREFUSED, net.ErrClosed, os.ErrDeadlineExceeded, context.Canceled).
// Input that C would truncate or misread is refused before C sees it.
package nng

import (
	"strconv"
	"strings"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// Bounds on what is handed to C. nng keeps sizes in 32 bits when it writes
// Content-Length, and reads no header line longer than 8 KiB itself (64 KiB with
// our patches); other peers accept more.
const (
	maxData        = 1<<32 - 1
	maxHeaderValue = 64 << 10
	maxToken       = 1 << 10
)

// cstring returns s with a NUL behind it, in Go memory, for a call that does not
// keep it.
func cstring(s string) *C.char {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return (*C.char)(unsafe.Pointer(&b[0]))
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}

// hasControl reports whether s has a byte that would end a header line or a C
// string, or that HTTP forbids in a field value (RFC 9110, section 5.5).
func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// hasSpaceOrControl is hasControl for places where blanks are not allowed either.
func hasSpaceOrControl(s string) bool {
	return strings.IndexByte(s, ' ') >= 0 || strings.IndexByte(s, '\t') >= 0 || hasControl(s)
}

// hasAbove127 reports whether s has a byte that no URI has (RFC 3986, section 2).
func hasAbove127(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] > 0x7f {
			return true
		}
	}
	return false
}

func checkHeaderName(kind, op, name string) error {
	if !isToken(name) {
		return refuse(kind+" "+op, strconv.Quote(short(name)), ErrInvalid, "a header name is a token of letters, digits and !#$%&'*+-.^_`|~")
	}
	return nil
}

func checkHeader(kind, op, name, value string) error {
	if err := checkHeaderName(kind, op, name); err != nil {
		return err
	}
	if hasControl(value) {
		return refuse(kind+" "+op, name, ErrInvalid, "a header value holds no control characters (CR, LF, NUL, …)")
	}
	if len(value) > maxHeaderValue {
		return refuse(kind+" "+op, name, ErrTooLong, "a header value has at most "+strconv.Itoa(maxHeaderValue)+" bytes")
	}
	return nil
}

func checkData(kind, op string, n int) error {
	if uint64(n) > maxData {
		return refuse(kind+" "+op, "", ErrTooLong, "nng counts a body in 32 bits; send larger ones in pieces with Conn.Write")
	}
	return nil
}

// short keeps an error message readable when the input is not.
func short(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
