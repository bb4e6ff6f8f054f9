package nng_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goErrnos reads the constants of type Errno from errors.go: the C name, which the
// comment behind each gives, and the value. Read, not listed, so that none is
// forgotten here.
func goErrnos(t *testing.T) map[string]int64 {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.ParseComments)
	require.NoError(t, err)
	found := make(map[string]int64)
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, s := range gen.Specs {
			v := s.(*ast.ValueSpec)
			if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Errno" {
				continue
			}
			name := v.Names[0].Name
			require.NotNil(t, v.Comment, "%s has no comment with the name of its C constant", name)
			c, _, _ := strings.Cut(strings.TrimSpace(v.Comment.Text()), ",")
			require.Regexp(t, `^NNG_E[A-Z]+$`, c, "the comment of %s", name)
			require.NotContains(t, found, c, "a second constant for %s", c)
			n, err := strconv.ParseInt(v.Values[0].(*ast.BasicLit).Value, 0, 64)
			require.NoError(t, err)
			found[c] = n
		}
	}
	return found
}

// cErrnos reads enum nng_errno_enum from nng.h.
func cErrnos(t *testing.T) map[string]int64 {
	t.Helper()
	_, enum, ok := strings.Cut(header(t, "nng/nng.h"), "enum nng_errno_enum {")
	require.True(t, ok, "nng.h has no enum nng_errno_enum")
	enum, _, ok = strings.Cut(enum, "}")
	require.True(t, ok)
	found := make(map[string]int64)
	for line := range strings.SplitSeq(enum, "\n") {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		m := regexp.MustCompile(`^(NNG_\w+)\s*=\s*(\w+),?$`).FindStringSubmatch(line)
		require.NotNil(t, m, "cannot read the line %q", line)
		n, err := strconv.ParseInt(m[2], 0, 64)
		require.NoError(t, err)
		found[m[1]] = n
	}
	return found
}

func TestErrnoConstants(t *testing.T) {
	want := cErrnos(t)
	require.GreaterOrEqual(t, len(want), 34)
	assert.Equal(t, want, goErrnos(t))
}

func TestErrnoText(t *testing.T) {
	seen := make(map[string]string)
	for name, n := range goErrnos(t) {
		text := nng.Errno(n).Error()
		assert.True(t, strings.HasPrefix(text, "nng: "), "%s: %q", name, text)
		assert.NotContains(t, text, "unknown error", name)
		assert.Empty(t, seen[text], "%s and %s read the same", name, seen[text])
		seen[text] = name
	}
	for e, want := range map[nng.Errno]string{
		nng.ErrTimedOut: "nng: timed out",
		nng.ErrClosed:   "nng: object closed",
		nng.ErrSystem + nng.Errno(syscall.EISDIR):     "nng: " + syscall.EISDIR.Error(),
		nng.ErrSystem + nng.Errno(syscall.ECONNRESET): "nng: " + syscall.ECONNRESET.Error(),
		nng.ErrTransport + 7:                          "nng: transport error 7",
		nng.ErrSystem - 2:                             "nng: name resolution failed (getaddrinfo -2)",
		nng.ErrSystem - 11:                            "nng: name resolution failed (getaddrinfo -11)",
		nng.ErrSystem - 1000:                          "nng: unknown error " + strconv.Itoa(0x10000000-1000),
		999:                                           "nng: unknown error 999",
		0:                                             "nng: unknown error 0",
		-1:                                            "nng: unknown error -1",
	} {
		assert.Equal(t, want, e.Error(), "%d", int(e))
	}
}

// sameErrors are the pairs that Errno.Is promises.
var sameErrors = []struct {
	code nng.Errno
	is   []error
}{
	{nng.ErrInterrupted, []error{syscall.EINTR}},
	{nng.ErrNoMemory, []error{syscall.ENOMEM}},
	{nng.ErrInvalid, []error{fs.ErrInvalid, os.ErrInvalid, syscall.EINVAL}},
	{nng.ErrBusy, []error{syscall.EBUSY}},
	{nng.ErrTimedOut, []error{os.ErrDeadlineExceeded, context.DeadlineExceeded, syscall.ETIMEDOUT}},
	{nng.ErrConnRefused, []error{syscall.ECONNREFUSED}},
	{nng.ErrClosed, []error{net.ErrClosed, fs.ErrClosed, os.ErrClosed}},
	{nng.ErrAgain, []error{syscall.EAGAIN}},
	{nng.ErrNotSupported, []error{errors.ErrUnsupported, syscall.ENOTSUP}},
	{nng.ErrAddrInUse, []error{syscall.EADDRINUSE}},
	{nng.ErrNotFound, []error{fs.ErrNotExist, os.ErrNotExist, syscall.ENOENT}},
	{nng.ErrProtocol, []error{syscall.EPROTO}},
	{nng.ErrUnreachable, []error{syscall.EHOSTUNREACH}},
	{nng.ErrBadAddr, []error{syscall.EADDRNOTAVAIL}},
	{nng.ErrPermission, []error{fs.ErrPermission, os.ErrPermission, syscall.EPERM, syscall.EACCES}},
	{nng.ErrTooLong, []error{syscall.EMSGSIZE}},
	{nng.ErrConnAborted, []error{syscall.ECONNABORTED}},
	{nng.ErrConnReset, []error{syscall.ECONNRESET}},
	{nng.ErrCanceled, []error{context.Canceled, syscall.ECANCELED}},
	{nng.ErrNoFiles, []error{syscall.EMFILE, syscall.ENFILE}},
	{nng.ErrNoSpace, []error{syscall.ENOSPC}},
	{nng.ErrExists, []error{fs.ErrExist, os.ErrExist, syscall.EEXIST}},
	{nng.ErrConnShut, []error{syscall.EPIPE}},
	// A code of the operating system is that error, and what Go takes it for.
	{nng.ErrSystem + nng.Errno(syscall.EISDIR), []error{nng.ErrSystem, syscall.EISDIR}},
	{nng.ErrSystem + nng.Errno(syscall.ENOENT), []error{nng.ErrSystem, syscall.ENOENT, fs.ErrNotExist}},
	{nng.ErrSystem + nng.Errno(syscall.EACCES), []error{nng.ErrSystem, syscall.EACCES, fs.ErrPermission}},
	{nng.ErrTransport + 7, []error{nng.ErrTransport}},
}

func TestErrnoIs(t *testing.T) {
	for _, same := range sameErrors {
		for _, wrapped := range []error{
			same.code,
			&nng.OpError{Op: "test", Err: same.code},
			fmt.Errorf("outer: %w", &nng.OpError{Op: "test", URL: "http://host", Err: same.code}),
			errors.Join(errors.New("other"), &nng.OpError{Op: "test", Err: same.code}),
		} {
			assert.ErrorIs(t, wrapped, same.code)
			for _, is := range same.is {
				assert.ErrorIs(t, wrapped, is)
			}
			assert.NotErrorIs(t, wrapped, nng.ErrInternal)
			assert.NotErrorIs(t, wrapped, syscall.EXDEV)
		}
	}
}

// Each error of Go's own means one code, so that a chain of errors.Is does not
// depend on its order.
func TestErrnoIsUnambiguous(t *testing.T) {
	owner := make(map[error]nng.Errno)
	for _, same := range sameErrors {
		if same.code >= nng.ErrSystem {
			continue
		}
		for _, is := range same.is {
			if other, ok := owner[is]; ok {
				assert.Equal(t, other, same.code, "%v", is)
			}
			owner[is] = same.code
		}
	}
	for is, code := range owner {
		for _, n := range goErrnos(t) {
			if e := nng.Errno(n); e != code {
				assert.NotErrorIs(t, e, is)
			}
		}
	}
}

func TestErrnoTimeoutTemporary(t *testing.T) {
	temporary := []nng.Errno{nng.ErrInterrupted, nng.ErrAgain, nng.ErrTimedOut, nng.ErrNoFiles, nng.ErrBusy}
	for name, n := range goErrnos(t) {
		e := nng.Errno(n)
		assert.Equal(t, e == nng.ErrTimedOut, e.Timeout(), name)
		found := false
		for _, tmp := range temporary {
			found = found || tmp == e
		}
		assert.Equal(t, found, e.Temporary(), name)
	}
}

func TestOpError(t *testing.T) {
	err := error(&nng.OpError{Op: "connect", URL: "http://host", Err: nng.ErrTimedOut})
	assert.EqualError(t, err, "connect http://host: nng: timed out")
	var ne net.Error
	require.ErrorAs(t, fmt.Errorf("outer: %w", err), &ne)
	assert.True(t, ne.Timeout())
	assert.True(t, os.IsTimeout(err))

	err = &nng.OpError{Op: "start", Err: nng.ErrState, Detail: "hold a new one"}
	assert.EqualError(t, err, "start: nng: incorrect state: hold a new one")
	require.ErrorAs(t, err, &ne)
	assert.False(t, ne.Timeout())
	var code nng.Errno
	require.ErrorAs(t, err, &code)
	assert.Equal(t, nng.ErrState, code)

	for e, want := range map[error]bool{nng.ErrAgain: true, nng.ErrClosed: false, errors.New("other"): false} {
		assert.Equal(t, want, (&nng.OpError{Op: "test", Err: e}).Temporary(), "%v", e)
		assert.False(t, (&nng.OpError{Op: "test", Err: e}).Timeout(), "%v", e)
	}
}
