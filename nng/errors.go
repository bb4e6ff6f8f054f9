package nng

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
)

// Errno is an error code of libnng, with the value of the C constant.
//
// It is comparable, so errors.Is(err, nng.ErrTimedOut) works through any
// wrapping. It also answers for Go's own errors that mean the same: see Is.
// Codes from 0x10000000 on carry an operating system error (NNG_ESYSERR), codes
// from 0x20000000 on a transport's (NNG_ETRANERR).
//
// Source: nng_strerror(3), enum nng_errno_enum in nng.h.
type Errno int

// The error codes of libnng, under the names that mangos gives them where it has
// one. The comment names the C constant.
const (
	ErrInterrupted  Errno = 1    // NNG_EINTR
	ErrNoMemory     Errno = 2    // NNG_ENOMEM
	ErrInvalid      Errno = 3    // NNG_EINVAL
	ErrBusy         Errno = 4    // NNG_EBUSY
	ErrTimedOut     Errno = 5    // NNG_ETIMEDOUT
	ErrConnRefused  Errno = 6    // NNG_ECONNREFUSED
	ErrClosed       Errno = 7    // NNG_ECLOSED
	ErrAgain        Errno = 8    // NNG_EAGAIN
	ErrNotSupported Errno = 9    // NNG_ENOTSUP
	ErrAddrInUse    Errno = 10   // NNG_EADDRINUSE
	ErrState        Errno = 11   // NNG_ESTATE
	ErrNotFound     Errno = 12   // NNG_ENOENT
	ErrProtocol     Errno = 13   // NNG_EPROTO
	ErrUnreachable  Errno = 14   // NNG_EUNREACHABLE
	ErrBadAddr      Errno = 15   // NNG_EADDRINVAL
	ErrPermission   Errno = 16   // NNG_EPERM
	ErrTooLong      Errno = 17   // NNG_EMSGSIZE
	ErrConnAborted  Errno = 18   // NNG_ECONNABORTED
	ErrConnReset    Errno = 19   // NNG_ECONNRESET
	ErrCanceled     Errno = 20   // NNG_ECANCELED
	ErrNoFiles      Errno = 21   // NNG_ENOFILES
	ErrNoSpace      Errno = 22   // NNG_ENOSPC
	ErrExists       Errno = 23   // NNG_EEXIST
	ErrReadOnly     Errno = 24   // NNG_EREADONLY
	ErrWriteOnly    Errno = 25   // NNG_EWRITEONLY
	ErrCrypto       Errno = 26   // NNG_ECRYPTO
	ErrPeerAuth     Errno = 27   // NNG_EPEERAUTH
	ErrNoArgument   Errno = 28   // NNG_ENOARG
	ErrAmbiguous    Errno = 29   // NNG_EAMBIGUOUS
	ErrBadType      Errno = 30   // NNG_EBADTYPE
	ErrConnShut     Errno = 31   // NNG_ECONNSHUT
	ErrInternal     Errno = 1000 // NNG_EINTERNAL

	ErrSystem    Errno = 0x10000000 // NNG_ESYSERR, plus an errno
	ErrTransport Errno = 0x20000000 // NNG_ETRANERR, plus a transport's code
)

// nng reports a failed name look-up as NNG_ESYSERR plus getaddrinfo's code, which
// is small and negative.
const errnoAddrInfo = ErrSystem - 256

var errnoText = map[Errno]string{
	ErrInterrupted:  "interrupted",
	ErrNoMemory:     "out of memory",
	ErrInvalid:      "invalid argument",
	ErrBusy:         "resource busy",
	ErrTimedOut:     "timed out",
	ErrConnRefused:  "connection refused",
	ErrClosed:       "object closed",
	ErrAgain:        "try again",
	ErrNotSupported: "not supported",
	ErrAddrInUse:    "address in use",
	ErrState:        "incorrect state",
	ErrNotFound:     "entry not found",
	ErrProtocol:     "protocol error",
	ErrUnreachable:  "destination unreachable",
	ErrBadAddr:      "address invalid",
	ErrPermission:   "permission denied",
	ErrTooLong:      "message too large",
	ErrConnAborted:  "connection aborted",
	ErrConnReset:    "connection reset",
	ErrCanceled:     "operation canceled",
	ErrNoFiles:      "out of files",
	ErrNoSpace:      "out of space",
	ErrExists:       "resource already exists",
	ErrReadOnly:     "read only resource",
	ErrWriteOnly:    "write only resource",
	ErrCrypto:       "cryptographic error",
	ErrPeerAuth:     "peer could not be authenticated",
	ErrNoArgument:   "option requires argument",
	ErrAmbiguous:    "ambiguous option",
	ErrBadType:      "incorrect type",
	ErrConnShut:     "connection shut down",
	ErrInternal:     "internal error detected",
}

// Error returns the meaning of the code in words. It needs no call into C.
func (e Errno) Error() string {
	if s, ok := errnoText[e]; ok {
		return "nng: " + s
	}
	switch {
	case e >= ErrTransport:
		return "nng: transport error " + strconv.Itoa(int(e-ErrTransport))
	case e >= ErrSystem:
		return "nng: " + syscall.Errno(e-ErrSystem).Error()
	case e >= errnoAddrInfo:
		return "nng: name resolution failed (getaddrinfo " + strconv.Itoa(int(e-ErrSystem)) + ")"
	}
	return "nng: unknown error " + strconv.Itoa(int(e))
}

// errnoMeans lists, for each code, the errors of Go's own packages that mean the
// same.
var errnoMeans = map[Errno][]error{
	ErrInterrupted:  {syscall.EINTR},
	ErrNoMemory:     {syscall.ENOMEM},
	ErrInvalid:      {fs.ErrInvalid, syscall.EINVAL},
	ErrBusy:         {syscall.EBUSY},
	ErrTimedOut:     {os.ErrDeadlineExceeded, context.DeadlineExceeded, syscall.ETIMEDOUT},
	ErrConnRefused:  {syscall.ECONNREFUSED},
	ErrClosed:       {net.ErrClosed, fs.ErrClosed},
	ErrAgain:        {syscall.EAGAIN},
	ErrNotSupported: {errors.ErrUnsupported, syscall.ENOTSUP},
	ErrAddrInUse:    {syscall.EADDRINUSE},
	ErrNotFound:     {fs.ErrNotExist, syscall.ENOENT},
	ErrProtocol:     {syscall.EPROTO},
	ErrUnreachable:  {syscall.EHOSTUNREACH},
	ErrBadAddr:      {syscall.EADDRNOTAVAIL},
	ErrPermission:   {fs.ErrPermission, syscall.EPERM, syscall.EACCES},
	ErrTooLong:      {syscall.EMSGSIZE},
	ErrConnAborted:  {syscall.ECONNABORTED},
	ErrConnReset:    {syscall.ECONNRESET},
	ErrCanceled:     {context.Canceled, syscall.ECANCELED},
	ErrNoFiles:      {syscall.EMFILE, syscall.ENFILE},
	ErrNoSpace:      {syscall.ENOSPC},
	ErrExists:       {fs.ErrExist, syscall.EEXIST},
	ErrConnShut:     {syscall.EPIPE},
}

// Is reports whether target means the same as the code, so that errors.Is works
// with net.ErrClosed, os.ErrDeadlineExceeded, context.Canceled,
// context.DeadlineExceeded, errors.ErrUnsupported, fs.ErrNotExist,
// fs.ErrPermission, syscall.ECONNREFUSED and the like.
func (e Errno) Is(target error) bool {
	for _, same := range errnoMeans[e] {
		if same == target {
			return true
		}
	}
	if e >= ErrSystem && e < ErrTransport {
		code := syscall.Errno(e - ErrSystem)
		return target == ErrSystem || errors.Is(code, target)
	}
	return e > ErrTransport && target == ErrTransport
}

// Timeout reports whether the code means that time ran out.
func (e Errno) Timeout() bool { return e == ErrTimedOut }

// Temporary reports whether the same call may succeed later.
func (e Errno) Temporary() bool {
	switch e {
	case ErrInterrupted, ErrAgain, ErrTimedOut, ErrNoFiles, ErrBusy:
		return true
	}
	return false
}

// OpError is the error type of this package. It names the operation that failed.
type OpError struct {
	// Op is what was being done: "hold", "start", "read", "set header", …
	Op string
	// URL is the address, path or name that it was done to; may be empty.
	URL string
	// Detail says what was wrong and what to do about it; may be empty.
	Detail string
	// Err is the reason, an Errno wherever libnng gave one.
	Err error
}

// Error describes the operation, its object and the reason.
func (e *OpError) Error() string {
	s := e.Op
	if e.URL != "" {
		s += " " + e.URL
	}
	if e.Detail != "" {
		return fmt.Sprintf("%s: %v: %s", s, e.Err, e.Detail)
	}
	return fmt.Sprintf("%s: %v", s, e.Err)
}

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }

// Timeout reports whether time ran out; part of net.Error.
func (e *OpError) Timeout() bool {
	t, ok := e.Err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// Temporary reports whether the same call may succeed later; part of net.Error.
func (e *OpError) Temporary() bool {
	t, ok := e.Err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

var _ net.Error = (*OpError)(nil)

// check turns a result of C into an error.
func check(op, url string, rv int) error {
	if rv == 0 {
		return nil
	}
	return &OpError{Op: op, URL: url, Err: Errno(rv)}
}

// refuse is the answer to bad input and to calls that come at the wrong time:
// it names the operation and says what to do.
func refuse(op, url string, reason Errno, detail string) error {
	return &OpError{Op: op, URL: url, Detail: detail, Err: reason}
}

func closedError(op string) error { return &OpError{Op: op, Err: ErrClosed} }

// contextErrno is the code for a context that has ended.
func contextErrno(ctx context.Context) Errno {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ErrTimedOut
	}
	return ErrCanceled
}
