package session

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"isogate/extauthz/kv"
)

var start = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

func (c *clock) add(d time.Duration) { c.set(c.now().Add(d)) }

const (
	issues = "issues.acme.example"
	wiki   = "wiki.acme.example"
)

var (
	limits   = Limits{Idle: 30 * time.Minute, Absolute: 12 * time.Hour}
	believed = map[string][]string{"main": {"acme.example"}}
	usual    = Policies{Believed: believed, Default: limits}
	ada      = Identity{User: "ada", Provider: "main", Email: "ada@acme.example", Groups: []string{"staff"}, AuthTime: start}
)

// world is a store file, a clock, and sessions over both.
type world struct {
	*Stored
	t    testing.TB
	file string
	time *clock
	bolt *kv.Bolt
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, file: filepath.Join(t.TempDir(), "sessions"), time: &clock{at: start}}
	w.start()
	t.Cleanup(func() { _ = w.bolt.Close() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	bolt, err := kv.OpenBolt(w.file, w.time.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.bolt, w.Stored = bolt, NewStored(bolt, w.time.now)
}

// restart is a new process over the same file. What the old one had not written is lost, as in a crash.
func (w *world) restart() {
	w.t.Helper()
	if err := w.bolt.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

// open gives a new session of ada's and a handle to it at the host of the issues.
func (w *world) open() (Session, Handle) {
	w.t.Helper()
	s, err := w.Open(w.t.Context(), ada, limits)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, w.handle(s, issues)
}

func (w *world) handle(s Session, host string) Handle {
	w.t.Helper()
	h, err := w.Handle(w.t.Context(), s, host, limits)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// lives says whether a handle opens the session at its host under the usual limits.
func (w *world) lives(host string, h Handle) bool {
	w.t.Helper()
	return w.livesUnder(host, h, usual)
}

func (w *world) livesUnder(host string, h Handle, p Policies) bool {
	w.t.Helper()
	switch _, err := w.Living(context.Background(), host, h, p); err {
	case nil:
		return true
	case ErrNone:
		return false
	default:
		w.t.Fatal(err)
		return false
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
