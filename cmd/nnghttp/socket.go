package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const (
	maxMessage = 16 << 20
	// maxParts is how many frames a message may have. Empty ones cost no bytes of
	// maxMessage, and a message of them need never end.
	maxParts = 100_000
	// writeTime is how long one frame may take to be sent.
	writeTime = time.Minute
	// closeTime is how long the other side has to answer a close frame.
	closeTime = time.Second
)

// A socket speaks WebSocket over a connection, on either side of it. One goroutine
// reads; any may write.
type socket struct {
	conn   net.Conn
	side   ws.State
	reader wsutil.Reader
	parts  int           // of the message that is being read
	idle   time.Duration // how long each read may take, 0: forever

	mu     sync.Mutex // one frame at a time
	out    *bufio.Writer
	closed atomic.Bool // a close frame was sent, so nothing else may be
}

// newSocket makes a socket. r is where to read from: conn, with what has been read of
// it already in front.
func newSocket(conn net.Conn, r io.Reader, side ws.State) *socket {
	s := &socket{conn: conn, side: side, out: bufio.NewWriter(conn)}
	s.reader = wsutil.Reader{
		Source:         patient{s, r},
		State:          side,
		CheckUTF8:      true,
		MaxFrameSize:   maxMessage,
		MaxMessageSize: maxMessage,
		OnIntermediate: s.control,
		OnContinuation: s.part,
	}
	return s
}

// A patient reader gives the other side the time of idle for its next bytes, until a close
// frame was sent: then another deadline holds.
type patient struct {
	s *socket
	r io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if p.s.idle > 0 && !p.s.closed.Load() {
		_ = p.s.conn.SetReadDeadline(time.Now().Add(p.s.idle))
		if p.s.closed.Load() { // just now, so that this may have replaced the other deadline
			_ = p.s.conn.SetReadDeadline(time.Now().Add(closeTime))
		}
	}
	return p.r.Read(b)
}

var errTooManyParts = fmt.Errorf("a message of more than %d frames", maxParts)

// part counts the frames of a message.
func (s *socket) part(ws.Header, io.Reader) error {
	if s.parts++; s.parts > maxParts {
		return errTooManyParts
	}
	return nil
}

// read returns the next message. It answers pings and close frames, and tells the
// other side what it has done wrong. After the other side's close frame the error is
// a wsutil.ClosedError.
func (s *socket) read() (op ws.OpCode, p []byte, err error) {
	for {
		hdr, err := s.reader.NextFrame()
		if err != nil {
			return 0, nil, s.fail(err)
		}
		if hdr.OpCode.IsControl() {
			if err := s.control(hdr, &s.reader); err != nil {
				return 0, nil, s.fail(err)
			}
			continue
		}
		s.parts = 1
		var message bytes.Buffer
		if _, err := message.ReadFrom(&s.reader); err != nil {
			return 0, nil, s.fail(err)
		}
		return hdr.OpCode, message.Bytes(), nil
	}
}

// control handles a control frame, also one amidst the parts of a message.
func (s *socket) control(hdr ws.Header, r io.Reader) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch hdr.OpCode {
	case ws.OpPing:
		return s.write(ws.OpPong, p)
	case ws.OpClose:
		if len(p) == 0 {
			s.sendClose(nil)
			return wsutil.ClosedError{Code: ws.StatusNoStatusRcvd}
		}
		if len(p) == 1 {
			return ws.ErrProtocolStatusCodeNotInUse
		}
		code, why := ws.ParseCloseFrameData(p)
		if err := ws.CheckCloseFrameData(code, why); err != nil {
			return err
		}
		s.sendClose(ws.NewCloseFrameBody(code, ""))
		return wsutil.ClosedError{Code: code, Reason: why}
	}
	return nil
}

// fail tells the other side why its frames are not acceptable, if that is what err is
// about.
func (s *socket) fail(err error) error {
	var protocol ws.ProtocolError
	switch {
	case errors.Is(err, wsutil.ErrInvalidUTF8):
		s.close(ws.StatusInvalidFramePayloadData, "text that is not UTF-8")
	case errors.Is(err, wsutil.ErrFrameTooLarge), errors.Is(err, wsutil.ErrMessageTooLarge):
		s.close(ws.StatusMessageTooBig, "a message has at most 16 MiB")
	case errors.Is(err, errTooManyParts):
		s.close(ws.StatusMessageTooBig, err.Error())
	case errors.As(err, &protocol),
		errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		s.close(ws.StatusProtocolError, err.Error())
	}
	return err
}

// write sends a message or a control frame.
func (s *socket) write(op ws.OpCode, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return net.ErrClosed
	}
	return s.frame(op, p)
}

// close sends a close frame, unless one was sent already.
func (s *socket) close(code ws.StatusCode, why string) {
	s.sendClose(ws.NewCloseFrameBody(code, why))
}

func (s *socket) sendClose(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.CompareAndSwap(false, true) {
		_ = s.frame(ws.OpClose, body) // the connection ends either way
	}
}

// frame writes one frame. The lock is held.
func (s *socket) frame(op ws.OpCode, p []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	f := ws.NewFrame(op, true, p)
	if s.side.ClientSide() {
		f = ws.MaskFrame(f)
	}
	if err := ws.WriteFrame(s.out, f); err != nil {
		return err
	}
	return s.out.Flush()
}

// end closes the connection after the last read. What is still arriving is thrown away
// for a moment: closed on unread bytes, TCP would take our close frame back.
func (s *socket) end(err error) {
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) {
		_ = s.conn.SetReadDeadline(time.Now().Add(closeTime))
		_, _ = io.Copy(io.Discard, s.conn)
	}
	_ = s.conn.Close()
}
