package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gonng/nnghttp/internal/hostile"
)

// FuzzGet lets `nnghttp get` fetch from a hostile server. What it takes for a whole
// response is one for net/http, too, with the same body.
func FuzzGet(f *testing.F) {
	for _, s := range hostile.AnswerSeeds() {
		if s.Kind&^hostile.OverTLS != hostile.ReadRes {
			continue
		}
		f.Add([]byte(s.Script))
	}
	u, err := hostile.NewUpstream()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(u.Close)
	out := filepath.Join(f.TempDir(), "body")
	f.Fuzz(func(t *testing.T, script []byte) {
		url, done := u.Stage("http", script, hostile.Player{})
		defer done()
		get := getCmd{URL: url, Output: out, clientFlags: clientFlags{Timeout: 300 * time.Millisecond}}
		start := time.Now()
		err := get.Run(context.Background())
		if took := time.Since(start); took > hostile.Patience {
			t.Errorf("get took %v", took)
		}
		var exit *exitError
		if err != nil && (!errors.As(err, &exit) || exit.code != 4 && exit.code != 5) {
			return
		}
		sent, end := hostile.Sent(script)
		wanted := hostile.Answers(sent, end == 'r', false)
		if hostile.Beyond(wanted[0].Err) {
			return
		}
		body, rerr := os.ReadFile(out)
		if rerr != nil {
			t.Fatal(rerr)
		}
		status := 0
		if exit != nil {
			status = exit.code
		}
		if w := wanted[0]; w.Err != nil || status != 0 && w.Status/100 != status || !bytes.Equal(body, w.Body) {
			t.Errorf("get has exit code %d and a body of %d bytes, %.100q; net/http reads %v\nsent: %.2000q", status, len(body), body, w, sent)
		}
	})
}
