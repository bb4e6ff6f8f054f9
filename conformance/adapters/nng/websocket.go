package main

import (
	"context"
	"strings"

	"github.com/gonng/nnghttp/nng"
)

// listen serves the WebSocket routes, on the port of the server with the URL. As in the reference
// in C each has one type of message: a WSConn does not tell which one came.
func listen(url string) error {
	for _, r := range []struct {
		path      string
		text      bool
		protocols []string
	}{
		{"/ws", true, nil}, {"/ws/binary", false, nil}, {"/ws/chat", true, []string{"chat"}},
	} {
		l, err := nng.NewWSListener("ws" + strings.TrimPrefix(url, "http") + r.path)
		if err != nil {
			return err
		}
		if err := l.SetSendText(r.text); err != nil {
			return err
		}
		if err := l.SetRecvText(r.text); err != nil {
			return err
		}
		if err := l.SetProtocols(r.protocols...); err != nil {
			return err
		}
		if err := l.Listen(); err != nil {
			return err
		}
		go func() {
			for {
				conn, err := l.Accept(context.Background())
				if err != nil {
					return
				}
				go echoMessages(conn)
			}
		}()
	}
	return nil
}

func echoMessages(conn *nng.WSConn) {
	defer conn.Close()
	for {
		message, err := conn.ReadMessage(context.Background())
		if err != nil || conn.WriteMessage(context.Background(), message) != nil {
			return
		}
	}
}
