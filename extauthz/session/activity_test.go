package session

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"isogate/extauthz/kv"
)

func TestActivityIsWrittenBehind(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	w.time.add(20 * time.Minute)
	w.Touch(s, limits)
	w.must(w.Flush(t.Context()))
	w.restart()
	w.time.add(20 * time.Minute)
	if !w.lives(issues, h) {
		t.Error("activity that was flushed is lost")
	}
}

// A crash loses the activity that was not written, and nothing else.
func TestACrashLosesUnwrittenActivityAndNoSession(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	w.time.add(10 * time.Minute)
	w.Touch(s, limits)
	w.must(w.Flush(t.Context()))
	w.time.add(10 * time.Minute)
	w.Touch(s, limits)
	w.restart()
	found, err := w.Living(t.Context(), issues, h, usual)
	w.must(err)
	if !found.Active.Equal(start.Add(10 * time.Minute)) {
		t.Errorf("active at %s", found.Active)
	}
	w.time.set(start.Add(40 * time.Minute))
	if w.lives(issues, h) {
		t.Error("lives by activity that was lost")
	}
}

// A late note of activity, or a late flush of one, cannot bring back a session that has ended.
func TestALateTouchCannotRevive(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	w.must(w.End(t.Context(), s.ID))
	w.Touch(s, limits)
	for range 2 {
		if w.lives(issues, h) {
			t.Error("an ended session was revived")
		}
		w.must(w.Flush(t.Context()))
	}
	w.restart()
	if w.lives(issues, h) {
		t.Error("an ended session was revived after a restart")
	}
	if _, err := w.Renew(t.Context(), s.ID, ada, limits); err != ErrNone {
		t.Errorf("renewing it: %v", err)
	}
}

// Whoever reads while a flush is being written must see the activity, or an active person would be signed out.
func TestActivityIsSeenDuringAFlush(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	hooked := &hook{Records: w.bolt}
	w.Stored = NewStored(hooked, w.time.now)
	w.time.add(29 * time.Minute)
	w.Touch(s, limits)
	w.time.add(2 * time.Minute)
	asked := false
	hooked.put = func() {
		asked = true
		if !w.lives(issues, h) {
			t.Error("the session seemed idle while its activity was being written")
		}
	}
	w.must(w.Flush(t.Context()))
	if !asked {
		t.Fatal("nothing was flushed")
	}
}

// hook calls back before each write.
type hook struct {
	Records
	put func()
}

func (h *hook) Put(ctx context.Context, items ...kv.Item) error {
	if h.put != nil {
		h.put()
	}
	return h.Records.Put(ctx, items...)
}

func TestAFailedFlushIsMadeUpFor(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	faulty := &flaky{Records: w.bolt}
	w.Stored = NewStored(faulty, w.time.now)
	w.time.add(20 * time.Minute)
	w.Touch(s, limits)
	faulty.fail.Store(true)
	if err := w.Flush(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "session: ") {
		t.Errorf("a flush that failed: %v", err)
	}
	faulty.fail.Store(false)
	w.must(w.Flush(t.Context()))
	w.restart()
	w.time.add(20 * time.Minute)
	if !w.lives(issues, h) {
		t.Error("the activity of a failed flush is lost")
	}
}

func TestNewerActivityOutlivesAFlush(t *testing.T) {
	w := newWorld(t)
	s, _ := w.open()
	hooked := &hook{Records: w.bolt}
	w.Stored = NewStored(hooked, w.time.now)
	w.Touch(s, limits)
	hooked.put = func() { w.time.add(time.Minute); w.Touch(s, limits); hooked.put = nil }
	w.must(w.Flush(t.Context()))
	w.must(w.Flush(t.Context()))
	if len(w.active) != 0 {
		t.Errorf("%d activities are kept after they were written", len(w.active))
	}
	w.restart()
	found, err := w.ByID(t.Context(), s.ID, usual)
	w.must(err)
	if !found.Active.Equal(start.Add(time.Minute)) {
		t.Errorf("active at %s", found.Active)
	}
}

// flaky fails to write while it is told to.
type flaky struct {
	Records
	fail atomic.Bool
}

func (f *flaky) Put(ctx context.Context, items ...kv.Item) error {
	if f.fail.Load() {
		return errors.New("the disk is full")
	}
	return f.Records.Put(ctx, items...)
}

func TestRunFlushesUntilItsEndAndOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := &memory{}
		faulty := &flaky{Records: records}
		s := NewStored(faulty, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var failures atomic.Int32
		done := make(chan error)
		go func() { done <- s.Run(ctx, func(error) { failures.Add(1) }) }()
		faulty.fail.Store(true)
		s.Touch(Session{ID: "one", SignedIn: time.Now()}, limits)
		time.Sleep(flushEvery + time.Second)
		if failures.Load() != 1 {
			t.Errorf("%d failures were told", failures.Load())
		}
		faulty.fail.Store(false)
		time.Sleep(flushEvery)
		if records.count("a/one") != 1 {
			t.Error("activity is not written within two rounds")
		}
		s.Touch(Session{ID: "two", SignedIn: time.Now()}, limits)
		cancel()
		if err := <-done; err != nil || records.count("a/two") != 1 {
			t.Errorf("the last flush: %v", err)
		}
	})
}

// memory counts what is written to which key.
type memory struct {
	mu     sync.Mutex
	writes map[string]int
}

func (m *memory) Put(ctx context.Context, items ...kv.Item) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writes == nil {
		m.writes = map[string]int{}
	}
	for _, i := range items {
		m.writes[i.Key]++
	}
	return ctx.Err()
}

func (m *memory) count(key string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes[key]
}

func (m *memory) Get(context.Context, string) ([]byte, error)     { return nil, kv.ErrNotFound }
func (m *memory) Take(context.Context, ...string) ([]byte, error) { return nil, kv.ErrNotFound }
func (m *memory) List(context.Context, string) ([]kv.Item, error) { return nil, nil }

// Whatever a sign-in, a sign-out, activity and a flush do at once: after the sign-out the session is gone.
func TestEndBeatsAConcurrentRenew(t *testing.T) {
	w := newWorld(t)
	for range 40 {
		s, h := w.open()
		var all sync.WaitGroup
		begin := make(chan struct{})
		for _, act := range []func() error{
			func() error { return w.End(t.Context(), s.ID) },
			func() error { _, err := w.Renew(t.Context(), s.ID, ada, limits); return err },
			func() error { _, err := w.Renew(t.Context(), s.ID, ada, limits); return err },
			func() error { w.Touch(s, limits); return w.Flush(t.Context()) },
		} {
			all.Go(func() {
				<-begin
				if err := act(); err != nil && !errors.Is(err, ErrNone) {
					t.Error(err)
				}
			})
		}
		close(begin)
		all.Wait()
		if w.lives(issues, h) {
			t.Fatal("a session that was ended lives on")
		}
	}
}
