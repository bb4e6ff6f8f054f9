package hostile

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"
)

// target starts the server once for all inputs of a process. It lives as long as that.
var target = sync.OnceValues(func() (*Target, error) { return NewTarget(io.Discard) })

func live(tb testing.TB) *Target {
	tb.Helper()
	t, err := target()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// FuzzServer plays scripts of clients against every kind of handler. The seeds are in
// testdata; seeds.go has them with names.
func FuzzServer(f *testing.F) {
	srv := live(f)
	f.Fuzz(func(t *testing.T, door byte, script []byte) {
		d := int(door) % Doors
		if err := srv.Quick(d); err != nil {
			t.Error(err)
		}
		if err := srv.Attack(d, script, Player{}); err != nil {
			t.Error(err)
		}
	})
}

// FuzzServerTime plays one script on 64 connections that come to the moment of a time-out
// one after the other.
func FuzzServerTime(f *testing.F) {
	srv := live(f)
	f.Fuzz(func(t *testing.T, door byte, script []byte) {
		d := int(door) % Doors
		t.Parallel()
		if err := srv.Storm(d, script, 64); err != nil {
			t.Error(err)
		}
		if err := srv.Quick(d); err != nil {
			t.Error(err)
		}
	})
}

// upstream is started once, as target is.
var upstream = sync.OnceValues(NewUpstream)

func hostileServer(tb testing.TB) *Upstream {
	tb.Helper()
	u, err := upstream()
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// clientKind makes a kind of client of any number.
func clientKind(n byte) int { return int(n&^OverTLS)%Clients | int(n&OverTLS) }

// FuzzClient plays scripts of servers to every kind of client.
func FuzzClient(f *testing.F) {
	u := hostileServer(f)
	f.Fuzz(func(t *testing.T, kind byte, script []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := u.Ask(ctx, clientKind(kind), script, Player{}); err != nil {
			t.Error(err)
		}
	})
}

// FuzzClientTime plays one script to 64 clients that give up one after the other, and then
// looks whether a good server is still understood.
func FuzzClientTime(f *testing.F) {
	u := hostileServer(f)
	f.Fuzz(func(t *testing.T, kind byte, script []byte) {
		t.Parallel()
		if err := u.Storm(clientKind(kind), script, 64); err != nil {
			t.Error(err)
		}
		if err := u.Good(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
