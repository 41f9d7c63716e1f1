package grant

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var expiry = time.Date(2027, 1, 2, 3, 4, 5, 678, time.UTC)

// keeper answers with what it was given and remembers what it was asked.
type keeper struct {
	opened Opened
	err    error

	mu    sync.Mutex
	asked []string
}

func (k *keeper) note(call, id, client string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, call+" "+id+" "+client)
}

func (k *keeper) Open(_ context.Context, session, client string) (Opened, error) {
	k.note("open", session, client)
	return k.opened, k.err
}

func (k *keeper) Redeem(_ context.Context, id, client string) (Opened, error) {
	k.note("redeem", id, client)
	return k.opened, k.err
}

func (k *keeper) End(_ context.Context, id, client string) error {
	k.note("end", id, client)
	return k.err
}

// listen binds a new unix socket.
func listen(t testing.TB, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func socket(t testing.TB) string { return filepath.Join(t.TempDir(), "session.sock") }

// served gives a client of a handler behind a real socket.
func served(t testing.TB, h http.Handler) *Client {
	t.Helper()
	path := socket(t)
	serveAt(t, path, h)
	c := NewClient(path)
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func serveAt(t testing.TB, path string, h http.Handler) *http.Server {
	t.Helper()
	server, l := &http.Server{Handler: h, ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}, listen(t, path)
	var done sync.WaitGroup
	done.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { _ = server.Close(); done.Wait() })
	return server
}

// call makes one of the three calls.
func call(ctx context.Context, k Keeper, name string) (got Opened, err error) {
	switch name {
	case "open":
		return k.Open(ctx, "S", "C")
	case "redeem":
		return k.Redeem(ctx, "G", "C")
	default:
		return Opened{}, k.End(ctx, "G", "C")
	}
}

var calls = []string{"open", "redeem", "end"}

// logged is a log that tests read.
func logged() (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return slog.New(slog.NewTextHandler(&out, nil)), &out
}
