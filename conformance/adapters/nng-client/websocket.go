package main

import (
	"context"
	"strings"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/nng"
)

// webSocket sends back what comes, until the connection ends. As in the reference in C the type of the
// messages is that of the path: a WSConn does not tell it.
func webSocket(ctx context.Context, url string) *conformance.Reply {
	name := "text"
	if strings.Contains(url, "/ws/binary") {
		name = "binary"
	}
	conn, err := dial(ctx, url, name == "text")
	if err != nil {
		return &conformance.Reply{Error: err.Error()}
	}
	defer conn.Close()
	r := new(conformance.Reply)
	for {
		message, err := conn.ReadMessage(ctx)
		if err != nil {
			return r
		}
		r.Messages = append(r.Messages, conformance.NewMessage(name, message))
		if conn.WriteMessage(ctx, message) != nil {
			return r
		}
	}
}

func dial(ctx context.Context, url string, text bool) (*nng.WSConn, error) {
	d, err := nng.NewWSDialer(url)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := d.SetSendText(text); err != nil {
		return nil, err
	}
	if err := d.SetRecvText(text); err != nil {
		return nil, err
	}
	if strings.Contains(url, "/ws/chat") {
		if err := d.SetProtocols("chat"); err != nil {
			return nil, err
		}
	}
	return d.Dial(ctx)
}
