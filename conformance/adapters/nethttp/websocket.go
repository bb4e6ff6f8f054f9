package main

import (
	"errors"
	"io"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// maxMessage is what the contract wants of a message.
const maxMessage = 1 << 20

// webSocket serves a WebSocket route on a connection that is taken over, with gobwas/ws.
func webSocket(w http.ResponseWriter, r *http.Request) {
	u := ws.HTTPUpgrader{Protocol: func(name string) bool { return r.URL.Path == "/ws/chat" && name == "chat" }}
	conn, brw, _, err := u.Upgrade(r, w)
	if conn != nil {
		defer conn.Close()
	}
	if err != nil {
		return // the upgrader has responded
	}
	code := echoMessages(struct {
		io.Reader
		io.Writer
	}{brw, conn}, r.URL.Path == "/ws/binary")
	if code != 0 {
		_ = ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
	}
}

// echoMessages sends messages back until something is wrong, and returns the code to close with, 0
// for none.
func echoMessages(rw io.ReadWriter, binary bool) ws.StatusCode {
	control := wsutil.ControlFrameHandler(rw, ws.StateServerSide)
	rd := &wsutil.Reader{Source: rw, State: ws.StateServerSide, CheckUTF8: true, MaxFrameSize: maxMessage, OnIntermediate: control}
	for {
		h, err := rd.NextFrame()
		var message []byte
		switch {
		case err != nil:
		case h.OpCode.IsControl():
			err = control(h, rd)
		default:
			message, err = io.ReadAll(io.LimitReader(rd, maxMessage+1))
		}
		var closed wsutil.ClosedError
		switch {
		case errors.As(err, &closed), err != nil && h.OpCode == ws.OpClose:
			return 0 // the handler has responded
		case errors.Is(err, wsutil.ErrInvalidUTF8):
			return ws.StatusInvalidFramePayloadData
		case errors.Is(err, wsutil.ErrFrameTooLarge), len(message) > maxMessage:
			return ws.StatusMessageTooBig
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return 0
		case err != nil:
			return ws.StatusProtocolError
		case h.OpCode.IsControl():
			continue
		case binary && h.OpCode == ws.OpText:
			return ws.StatusUnsupportedData
		}
		if wsutil.WriteServerMessage(rw, h.OpCode, message) != nil {
			return 0
		}
	}
}
