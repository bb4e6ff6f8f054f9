package interop

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.nanomsg.org/mangos/v3"
	"go.nanomsg.org/mangos/v3/protocol/bus"
	"go.nanomsg.org/mangos/v3/protocol/pair"
	"go.nanomsg.org/mangos/v3/protocol/pub"
	"go.nanomsg.org/mangos/v3/protocol/pull"
	"go.nanomsg.org/mangos/v3/protocol/push"
	"go.nanomsg.org/mangos/v3/protocol/rep"
	"go.nanomsg.org/mangos/v3/protocol/req"
	"go.nanomsg.org/mangos/v3/protocol/respondent"
	"go.nanomsg.org/mangos/v3/protocol/sub"
	"go.nanomsg.org/mangos/v3/protocol/surveyor"
	"go.nanomsg.org/mangos/v3/transport/ws"
)

// mountSocket makes a mangos socket listen on our server. It returns the socket and its URL.
func mountSocket(t *testing.T, newSocket func() (mangos.Socket, error)) (mangos.Socket, string) {
	t.Helper()
	s := openSocket(t, newSocket)
	mux := http.NewServeMux()
	url := "ws://" + mount(t, mux) + "/sp"
	l, err := s.NewListener(url, nil)
	require.NoError(t, err)
	h, err := l.GetOption(ws.OptionWebSocketHandler) // before Listen, which does not listen then
	require.NoError(t, err)
	mux.Handle("/sp", h.(http.Handler))
	require.NoError(t, l.Listen())
	return s, url
}

func openSocket(t *testing.T, newSocket func() (mangos.Socket, error)) mangos.Socket {
	t.Helper()
	s, err := newSocket()
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	for _, option := range []string{mangos.OptionRecvDeadline, mangos.OptionSendDeadline} {
		if err := s.SetOption(option, soon); err != mangos.ErrBadOption { // it sends, or receives, only
			require.NoError(t, err)
		}
	}
	return s
}

// connected returns a channel that is closed when s has its first peer.
func connected(s mangos.Socket) <-chan struct{} {
	attached := make(chan struct{})
	first := true // the hook is called by one goroutine at a time
	s.SetPipeEventHook(func(e mangos.PipeEvent, _ mangos.Pipe) {
		if e == mangos.PipeEventAttached && first {
			first = false
			close(attached)
		}
	})
	return attached
}

// nngcat, libnng's command, dials our server.
func TestMangosNngcat(t *testing.T) {
	nngcat := need(t, "nngcat", "nng-utils")
	t.Parallel()

	t.Run("req", func(t *testing.T) { // nngcat asks
		s, url := mountSocket(t, rep.NewSocket)
		go func() {
			for {
				m, err := s.Recv()
				if err != nil {
					return
				}
				_ = s.Send(append([]byte("you said "), m...))
			}
		}()
		for i := range 3 {
			r := command(t, "", nngcat, "--req", "--dial", url, "--data", fmt.Sprint("hello ", i), "--ascii", "--recv-timeout", "10").succeed(t)
			assert.Equal(t, fmt.Sprint("you said hello ", i), strings.TrimSpace(r.stdout))
		}
	})

	t.Run("rep", func(t *testing.T) { // Go asks, nngcat answers
		s, url := mountSocket(t, req.NewSocket)
		attached := connected(s)
		start(t, nngcat, "--rep", "--dial", url, "--data", "the answer")
		happens(t, attached, "nngcat has connected")
		for range 100 {
			require.NoError(t, s.Send([]byte("a question")))
			m, err := s.Recv()
			require.NoError(t, err)
			require.Equal(t, "the answer", string(m))
		}
	})

	t.Run("sub", func(t *testing.T) { // Go publishes
		s, url := mountSocket(t, pub.NewSocket)
		attached := connected(s)
		out := start(t, nngcat, "--sub", "--subscribe", "topic", "--dial", url, "--ascii", "--count", "3", "--recv-timeout", "10")
		happens(t, attached, "nngcat has connected")
		for i := range 3 {
			require.NoError(t, s.Send([]byte("other")))
			require.NoError(t, s.Send([]byte(fmt.Sprint("topic ", i))))
		}
		assert.Equal(t, "topic 0topic 1topic 2", strings.ReplaceAll(out(), "\n", ""))
	})

	t.Run("pub", func(t *testing.T) { // nngcat publishes
		s, url := mountSocket(t, sub.NewSocket)
		require.NoError(t, s.SetOption(mangos.OptionSubscribe, []byte("from")))
		start(t, nngcat, "--pub", "--dial", url, "--data", "from nngcat", "--interval", "1", "--delay", "1")
		for range 2 {
			m, err := s.Recv()
			require.NoError(t, err)
			assert.Equal(t, "from nngcat", string(m))
		}
	})

	t.Run("push", func(t *testing.T) {
		s, url := mountSocket(t, pull.NewSocket)
		large := strings.Repeat("0123456789", 10_000)
		command(t, large, nngcat, "--push", "--dial", url, "--file", "-", "--delay", "1").succeed(t)
		m, err := s.Recv()
		require.NoError(t, err)
		assert.Equal(t, large, string(m))
	})

	t.Run("mismatch", func(t *testing.T) { // the handshake is refused: the protocols do not fit
		_, url := mountSocket(t, pub.NewSocket)
		r := command(t, "", nngcat, "--push", "--dial", url, "--data", "x")
		assert.NotZero(t, r.code)
	})
}

// start runs a program for the length of a test. The function returned waits for its end
// and returns what it has printed.
func start(t *testing.T, program string, args ...string) (output func() string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", program, &out)
		}
	})
	return func() string {
		happens(t, ended, program+" has ended")
		return out.String()
	}
}

// mangos at both ends, our server in between: each pair of protocols.
func TestMangos(t *testing.T) {
	t.Parallel()
	dial := func(t *testing.T, newSocket func() (mangos.Socket, error), listener mangos.Socket, url string) mangos.Socket {
		t.Helper()
		s := openSocket(t, newSocket)
		here, there := connected(s), connected(listener)
		require.NoError(t, s.Dial(url))
		happens(t, here, "connecting")
		happens(t, there, "being connected")
		return s
	}
	exchange := func(t *testing.T, from, to mangos.Socket, message string) {
		t.Helper()
		require.NoError(t, from.Send([]byte(message)))
		m, err := to.Recv()
		require.NoError(t, err)
		require.Equal(t, message, string(m))
	}
	large := strings.Repeat("x", 200_000)
	for _, c := range []struct {
		name              string
		listening, dialed func() (mangos.Socket, error)
		oneWay            bool // from the listening socket
	}{
		{"pair", pair.NewSocket, pair.NewSocket, false},
		{"req", req.NewSocket, rep.NewSocket, false},
		{"push", push.NewSocket, pull.NewSocket, true},
		{"bus", bus.NewSocket, bus.NewSocket, false},
		{"survey", surveyor.NewSocket, respondent.NewSocket, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, url := mountSocket(t, c.listening)
			b := dial(t, c.dialed, a, url)
			for i := range 200 {
				exchange(t, a, b, fmt.Sprint(i))
				if !c.oneWay {
					exchange(t, b, a, fmt.Sprint("back ", i))
				}
			}
			exchange(t, a, b, large)
		})
	}

	t.Run("reconnecting", func(t *testing.T) {
		a, url := mountSocket(t, pair.NewSocket)
		for i := range 5 {
			left := make(chan struct{})
			b := dial(t, pair.NewSocket, a, url)
			a.SetPipeEventHook(func(e mangos.PipeEvent, _ mangos.Pipe) {
				if e == mangos.PipeEventDetached {
					close(left)
				}
			})
			exchange(t, b, a, fmt.Sprint("number ", i))
			b.Close()
			happens(t, left, "mangos sees that its peer has gone")
			a.SetPipeEventHook(nil)
			time.Sleep(time.Millisecond)
		}
	})
}
