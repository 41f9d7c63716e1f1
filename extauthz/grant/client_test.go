package grant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheThreeCalls(t *testing.T) {
	k := &keeper{opened: Opened{Grant: "G", Expiry: expiry}}
	c := served(t, Handler(k, slog.New(slog.DiscardHandler)))
	opened, err := c.Open(t.Context(), "S", "C")
	redeemed, err2 := c.Redeem(t.Context(), "G", "C")
	if err := errors.Join(err, err2, c.End(t.Context(), "G", "C")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Opened{k.opened, k.opened}, []Opened{opened, redeemed}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"open S C", "redeem G C", "end G C"}, k.asked); diff != "" {
		t.Error(diff)
	}
}

// Whether there is none and whether it could be found out are two answers, on both sides of the socket.
func TestWhatTheKeeperSaysArrives(t *testing.T) {
	for name, tt := range map[string]struct {
		in         error
		none, well bool
	}{
		"well":           {nil, false, true},
		"none":           {ErrNone, true, false},
		"none, with why": {fmt.Errorf("keeper: %w", ErrNone), true, false},
		"a fault":        {errors.New("the disk is gone"), false, false},
		"another's none": {errors.New(ErrNone.Error()), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			log, out := logged()
			c := served(t, Handler(&keeper{opened: Opened{Grant: "G", Expiry: expiry}, err: tt.in}, log))
			for _, name := range calls {
				got, err := call(t.Context(), c, name)
				if (err == ErrNone) != tt.none || errors.Is(err, ErrNone) != tt.none || (err == nil) != tt.well {
					t.Errorf("%s: %v", name, err)
				}
				if err != nil && got != (Opened{}) {
					t.Errorf("%s: %+v beside an error", name, got)
				}
			}
			if faulty := !tt.none && !tt.well; strings.Count(out.String(), "cause=") != map[bool]int{true: len(calls)}[faulty] {
				t.Errorf("the log says: %s", out)
			}
		})
	}
}

// Whatever stands behind the socket: no answer is a grant, and none but 404 says that there is none.
func TestMisbehavingServers(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
	}
	good := `{"grant":"G","session_expiry":"2027-01-02T03:04:05Z"}`
	tests := []struct {
		name string
		in   http.HandlerFunc
		none bool
		ends bool // its answer to /end is good enough: nothing in it counts
	}{
		{"404", answer(404, "none"), true, false},
		{"404 with a grant", answer(404, good), true, false},
		{"400", answer(400, good), false, false},
		{"405", answer(405, good), false, false},
		{"500", answer(500, good), false, false},
		{"503", answer(503, good), false, false},
		{"201", answer(201, good), false, false},
		{"204", answer(204, ""), false, false},
		{"a redirect to a good answer", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/good" {
				answer(200, good)(w, r)
				return
			}
			http.Redirect(w, r, "/good", http.StatusTemporaryRedirect)
		}, false, false},
		{"nothing", answer(200, ""), false, true},
		{"garbage", answer(200, "<html>"), false, true},
		{"null", answer(200, "null"), false, true},
		{"an empty object", answer(200, "{}"), false, true},
		{"an empty grant", answer(200, `{"grant":"","session_expiry":"2027-01-02T03:04:05Z"}`), false, true},
		{"no expiry", answer(200, `{"grant":"G"}`), false, true},
		{"an expiry of another kind", answer(200, `{"grant":"G","session_expiry":1798859045}`), false, true},
		{"the zero expiry", answer(200, `{"grant":"G","session_expiry":"0001-01-01T00:00:00Z"}`), false, true},
		{"an unknown member", answer(200, `{"grant":"G","session_expiry":"2027-01-02T03:04:05Z","x":1}`), false, true},
		{"two objects", answer(200, good+good), false, true},
		{"cut short", answer(200, good[:30]), false, true},
		{"a huge grant", answer(200, `{"grant":"`+strings.Repeat("G", 1<<20)+`","session_expiry":"2027-01-02T03:04:05Z"}`), false, true},
		{"huge and blank", answer(200, strings.Repeat(" ", 1<<20)+good), false, true},
		{"a huge header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x", strings.Repeat("x", 1<<20))
			answer(200, good)(w, nil)
		}, false, false},
		{"closes", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, false},
		{"closes in the body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("content-length", "200")
			answer(200, good)(w, nil)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := served(t, tt.in)
			for _, name := range calls {
				got, err := call(t.Context(), c, name)
				if well := tt.ends && name == "end"; (err == nil) != well || got != (Opened{}) || errors.Is(err, ErrNone) != tt.none {
					t.Errorf("%s: %+v, %v", name, got, err)
				}
			}
		})
	}
}

// A redemption is answered with the grant that was asked about.
func TestAnotherGrantIsNoAnswer(t *testing.T) {
	c := served(t, Handler(&keeper{opened: Opened{Grant: "H", Expiry: expiry}}, slog.New(slog.DiscardHandler)))
	if got, err := c.Redeem(t.Context(), "G", "C"); err == nil || errors.Is(err, ErrNone) || got != (Opened{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRawGarbageIsNoAnswer(t *testing.T) {
	for name, raw := range map[string]string{
		"no HTTP": "hello\r\n\r\n", "only a status": "HTTP/1.1 200 OK\r\n", "HTTP/2": "PRI * HTTP/2.0\r\n\r\n", "zeroes": strings.Repeat("\x00", 9000),
		"a bad length": "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}", "a bad chunk": "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
		"informed for ever": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 3000),
	} {
		t.Run(name, func(t *testing.T) {
			path := socket(t)
			go speak(listen(t, path), raw)
			got, err := NewClient(path).Open(t.Context(), "S", "C")
			if err == nil || errors.Is(err, ErrNone) || got != (Opened{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// speak answers each connection with the same bytes and closes it.
func speak(l net.Listener, raw string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, raw)
		}()
	}
}

func TestAHangingServerIsLeft(t *testing.T) {
	release := make(chan struct{})
	hang := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redeem" { // the answer begins and never ends
			_, _ = io.WriteString(w, `{"grant":`)
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	}
	c := served(t, http.HandlerFunc(hang))
	t.Cleanup(func() { close(release) })
	if c.http.Timeout != 3*time.Second {
		t.Errorf("a call may take %s", c.http.Timeout)
	}
	c.http.Timeout = 50 * time.Millisecond
	for _, name := range calls {
		if got, err := call(t.Context(), c, name); err == nil || errors.Is(err, ErrNone) || got != (Opened{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	c.http.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := call(ctx, c, "open"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's own limit: %v", err)
	}
}

// Neither a socket that is not there yet nor one that nobody serves any more says that there is no grant; no fault shows an id.
func TestADownSocketIsNotNone(t *testing.T) {
	path := socket(t)
	c := NewClient(path)
	down := func(when string) {
		for _, name := range calls {
			_, err := call(t.Context(), c, name)
			if err == nil || errors.Is(err, ErrNone) || !strings.HasPrefix(err.Error(), "grant: ") {
				t.Errorf("%s, %s: %v", when, name, err)
			}
		}
		if _, err := c.Redeem(t.Context(), "secret-id", "C"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", when, err)
		}
	}
	h := Handler(&keeper{opened: Opened{Grant: "G", Expiry: expiry}}, slog.New(slog.DiscardHandler))
	down("before")
	for range 3 { // each one a new process: it recovers by itself, also where its idle connection has just closed
		server := serveAt(t, path, h)
		for range 2 {
			if _, err := call(t.Context(), c, "open"); err != nil {
				t.Fatal(err)
			}
		}
		_ = server.Close()
	}
	down("after")
}

// A server that restarts closes a connection on which a call is being made: the call is made again.
func TestACallOutlivesAnIdleConnection(t *testing.T) {
	path := socket(t)
	l := listen(t, path)
	var conns atomic.Int32
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go once(conn)
		}
	}()
	c := NewClient(path)
	for range 2 {
		if _, err := c.Open(t.Context(), "S", "C"); err != nil {
			t.Error(err)
		}
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections", conns.Load())
	}
}

// once answers the first call of a connection and closes it at the second, unanswered.
func once(conn net.Conn) {
	defer conn.Close()
	const body = `{"grant":"G","session_expiry":"2027-01-02T03:04:05Z"}`
	buffer := make([]byte, 4096)
	_, _ = conn.Read(buffer)
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(body), body)
	_, _ = conn.Read(buffer)
}

// Calls share few connections, whatever their answers are, and each gets its own answer.
func TestParallelCalls(t *testing.T) {
	c := served(t, Handler(echo{}, slog.New(slog.DiscardHandler)))
	var fresh atomic.Int32
	transport := c.http.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		fresh.Add(1)
		return dial(ctx, network, address)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				id := fmt.Sprintf("G-%d-%d", i, j)
				if got, err := c.Redeem(t.Context(), id, "C"); err != nil || got.Grant != id {
					t.Errorf("%+v, %v", got, err)
				}
				if err := c.End(t.Context(), id, "C"); err != ErrNone {
					t.Errorf("%v", err)
				}
			}
		})
	}
	all.Wait()
	if n := fresh.Load(); n > 40 {
		t.Errorf("%d connections for 800 calls", n)
	}
}

// echo redeems everything and ends nothing.
type echo struct{}

func (echo) Open(context.Context, string, string) (Opened, error) { return Opened{}, ErrNone }
func (echo) End(context.Context, string, string) error            { return ErrNone }
func (echo) Redeem(_ context.Context, id, _ string) (Opened, error) {
	return Opened{Grant: id, Expiry: expiry}, nil
}
