package interop

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const outsideProgram = `package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/gonng/nnghttp/nng"
)

func hello(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	return res, res.CopyData([]byte("you asked for " + req.URI()))
}

func main() {
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	check(err)
	defer srv.Close()
	h, err := nng.NewHandler("/outside", hello)
	check(err)
	check(srv.AddHandler(h))
	check(srv.Start())
	addr, err := srv.Addr()
	check(err)

	web := &http.Client{Transport: &http.Transport{}} // without a proxy
	res, err := web.Get("http://" + addr.String() + "/outside")
	check(err)
	body, err := io.ReadAll(res.Body)
	check(err)
	fmt.Printf("%d %s\n%v\n", res.StatusCode, body, nng.LinkInfo())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
`

// A module of somebody else, in a folder with a blank in its name, builds and runs
// against this one.
func TestOutsideModule(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "some body", "their module")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("main.go", outsideProgram)
	write("go.mod", "module example.test/outside\n\ngo 1.26.0\n\n"+ // tidy adds what is required
		"replace github.com/gonng/nnghttp => "+strconv.Quote(root())+"\n")

	run := func(args ...string) result {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // cgo may have to compile
		defer cancel()
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+dir)
		return execute(t, cmd).succeed(t)
	}
	run("mod", "tidy")
	got := strings.Split(strings.TrimSpace(run("run", ".").stdout), "\n")
	assert.Equal(t, []string{"200 you asked for /outside", nng.LinkInfo().String()}, got)
}
