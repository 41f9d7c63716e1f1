package profile

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/kv"
)

// marked is how many marks are remembered.
func marked(m *Marks) int { return len(m.recent.of) + len(m.older.of) }

// proofs are marks over a real store, at a time that stands still unless it is moved.
type proofs struct {
	*Marks
	t     *testing.T
	now   time.Time
	file  string
	bolt  *kv.Bolt
	store *records
}

func newProofs(t *testing.T) *proofs {
	p := &proofs{t: t, now: start.Add(300 * time.Millisecond), file: filepath.Join(t.TempDir(), "store")}
	p.open()
	return p
}

func (p *proofs) clock() time.Time { return p.now }

// open is the beginning of a process.
func (p *proofs) open() {
	p.t.Helper()
	p.bolt = must(kv.OpenBolt(p.file, p.clock))(p.t)
	p.store = &records{Records: p.bolt}
	p.t.Cleanup(func() { _ = p.bolt.Close() })
	p.Marks = must(OpenMarks(p.t.Context(), p.store, p.clock))(p.t)
}

// crash ends a process without a word.
func (p *proofs) crash() { _ = p.bolt.Close() }

// end ends a process as it should.
func (p *proofs) end() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		p.t.Error(err)
	}
	_ = p.bolt.Close()
}

// use uses a proof that was made at a time, by name.
func (p *proofs) use(request, proof string, issued time.Time) error {
	until := time.Unix(issued.Unix(), 0).Add(proofBehind + proofAhead + time.Second) // as package dpop has it
	return p.For(request).Replay.Add(p.t.Context(), proof, until)
}

func TestOnlyTheSameRequestMayUseAProofAgain(t *testing.T) {
	tests := []struct {
		name, first, second string
		want                error
	}{
		{"the same request", "17", "17", nil},
		{"another request", "17", "18", dpop.ErrSeen},
		{"a request without a name", "17", "", dpop.ErrSeen},
		{"after one without a name", "", "17", dpop.ErrSeen},
		{"two without a name", "", "", dpop.ErrSeen},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProofs(t)
			if err := p.use(tt.first, "a", p.now); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := p.use(tt.second, "a", p.now); !errors.Is(err, tt.want) {
					t.Errorf("again: %v", err)
				}
			}
			if err := p.use(tt.second, "b", p.now); err != nil {
				t.Errorf("another proof: %v", err)
			}
		})
	}
}

// A mark lives for as long as its proof could pass, and what has ended takes no room.
func TestAMarkOutlivesItsProof(t *testing.T) {
	p := newProofs(t)
	issued := p.now.Add(proofAhead) // from as far ahead as may be
	if err := p.use("1", "a", issued); err != nil {
		t.Fatal(err)
	}
	for i := range 90 {
		p.now = p.now.Add(time.Second)
		fresh := time.Unix(issued.Unix(), 0).Add(proofBehind)
		if err := p.use("2", "a", issued); err == nil && !p.now.After(fresh) {
			t.Fatalf("after %d s it passes again", i+1)
		} else if err == nil {
			break
		}
		if err := p.use("1", fmt.Sprint(i), p.now); err != nil {
			t.Fatal(err)
		}
	}
	p.now = p.now.Add(10 * time.Minute)
	for i := range 2 {
		if err := p.use("1", fmt.Sprint("last", i), p.now); err != nil {
			t.Fatal(err)
		}
	}
	if n := marked(p.Marks); n > 2 {
		t.Errorf("%d marks are left", n)
	}
}

// Too many marks are no reason to let one go while its proof could pass.
func TestMarksAreBounded(t *testing.T) {
	p := newProofs(t)
	for i := range maxMarks {
		p.recent.add(fmt.Sprint(i), mark{"1", p.now.Add(time.Minute)})
	}
	p.older = marksUntil{of: map[string]mark{}, until: p.now.Add(time.Second)}
	if err := p.use("1", "one more", p.now); !errors.Is(err, errMarksFull) || errors.Is(err, dpop.ErrSeen) {
		t.Errorf("%v", err)
	}
	if err := p.use("2", "7", p.now); !errors.Is(err, dpop.ErrSeen) {
		t.Errorf("one that was used: %v", err)
	}
	p.now = p.now.Add(2 * time.Minute)
	if err := p.use("1", "one more", p.now); err != nil {
		t.Errorf("once they have ended: %v", err)
	}
}

// Of parallel uses of one proof exactly one succeeds.
func TestOneOfManyUsesAProof(t *testing.T) {
	p := newProofs(t)
	var all sync.WaitGroup
	var passed atomic.Int32
	for i := range 50 {
		all.Go(func() {
			switch err := p.use(fmt.Sprint(i), "a", start); {
			case err == nil:
				passed.Add(1)
			case !errors.Is(err, dpop.ErrSeen):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d passed", passed.Load())
	}
}

func TestMarksOutliveAProcessThatEndsAsItShould(t *testing.T) {
	p := newProofs(t)
	for i := range 300 {
		if err := p.use("17", fmt.Sprint(i), p.now.Add(-50*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.store.writes); n != 1 {
		t.Errorf("%d writes for 300 calls", n)
	}
	p.end()
	p.now = p.now.Add(time.Second)
	p.open()
	if p.Lost() != 0 {
		t.Error("it is taken for a crash")
	}
	if err := p.use("18", "7", p.now.Add(-51*time.Second)); !errors.Is(err, dpop.ErrSeen) {
		t.Errorf("used before the restart: %v", err)
	}
	if err := p.use("17", "7", p.now.Add(-51*time.Second)); err != nil {
		t.Errorf("a check that is repeated after the restart: %v", err)
	}
	if err := p.use("18", "new", p.now.Add(-51*time.Second)); err != nil {
		t.Errorf("an older proof that was not used: %v", err)
	}
	p.now = p.now.Add(2 * time.Minute)
	p.end()
	p.open()
	if n := marked(p.Marks); n != 0 {
		t.Errorf("%d marks that have ended are read", n)
	}
}

// After a crash nobody knows what was used: what the process before may have seen is not judged, and that is an error and no refusal.
func TestAfterACrashNothingOldPasses(t *testing.T) {
	tests := []struct {
		name   string
		after  time.Duration // since the start
		issued time.Duration // likewise
		want   error
	}{
		{"long before", 0, -50 * time.Second, errMarksLost},
		{"in the second of the start", 0, 0, errMarksLost},
		{"by a clock that is ahead", 0, proofAhead, errMarksLost},
		{"after the start, where a clock may have been ahead", 5 * time.Second, 5 * time.Second, errMarksLost},
		{"in the last second that may have been seen", 10 * time.Second, 10 * time.Second, errMarksLost},
		{"after that", 11 * time.Second, 11 * time.Second, nil},
		{"long before, much later", 50 * time.Second, 10 * time.Second, errMarksLost},
		{"much later", time.Hour, time.Hour - 50*time.Second, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProofs(t)
			if err := p.use("1", "a", p.now); err != nil {
				t.Fatal(err)
			}
			p.crash()
			p.open()
			began := p.now
			if p.Lost() != 11*time.Second {
				t.Errorf("calls wait for %s", p.Lost())
			}
			p.now = began.Add(tt.after)
			if err := p.use("2", "b", began.Add(tt.issued)); !errors.Is(err, tt.want) || errors.Is(err, dpop.ErrProof) || errors.Is(err, dpop.ErrSeen) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// What makes the next start take the end for a good one, and what does not.
func TestWhichEndsAreGood(t *testing.T) {
	tests := []struct {
		name string
		life func(p *proofs)
		lost bool
	}{
		{"the very first start", func(p *proofs) { p.end() }, false},
		{"a crash before the first call", func(p *proofs) { p.crash() }, false},
		{"a crash after a call", func(p *proofs) { _ = p.use("1", "a", p.now); p.crash() }, true},
		{"a good end", func(p *proofs) { _ = p.use("1", "a", p.now); p.end() }, false},
		{"marks that could not be written", func(p *proofs) {
			_ = p.use("1", "a", p.now)
			p.store.fault = errors.New("full")
			if err := p.save(p.t.Context()); err == nil {
				p.t.Error("the end knows nothing of it")
			}
			_ = p.bolt.Close()
		}, true},
		{"a good end right after a crash", func(p *proofs) {
			_ = p.use("1", "a", p.now)
			p.crash()
			p.open()
			p.now = p.now.Add(20 * time.Second)
			_ = p.use("2", "b", p.now)
			p.end()
			p.open()
			if err := p.use("3", "b", p.now); !errors.Is(err, dpop.ErrSeen) {
				p.t.Errorf("a mark between the two: %v", err)
			}
			p.crash()
		}, false},
		{"a good end in the seconds after a crash", func(p *proofs) {
			_ = p.use("1", "a", p.now)
			p.crash()
			p.open()
			p.now = p.now.Add(5 * time.Second)
			p.end()
			p.open()
			if p.Lost() != 6*time.Second { // from the crash's next start, and not from here
				p.t.Errorf("calls wait for %s", p.Lost())
			}
			if err := p.use("2", "b", start.Add(10*time.Second)); !errors.Is(err, errMarksLost) {
				p.t.Errorf("what the one that crashed may have seen: %v", err)
			}
			p.end()
		}, true},
		{"a good end long after a crash", func(p *proofs) {
			_ = p.use("1", "a", p.now)
			p.crash()
			p.open()
			p.now = p.now.Add(2 * time.Minute)
			p.end()
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProofs(t)
			tt.life(p)
			p.open()
			if lost := p.Lost() > 0; lost != tt.lost {
				t.Errorf("lost: %v", lost)
			}
		})
	}
}

// The store is told before the first mark is made: if it cannot be, a crash would look like a good end.
func TestNoMarkWithoutAWordInTheStore(t *testing.T) {
	p := newProofs(t)
	gone := errors.New("the store is gone")
	p.store.fault = gone
	if err := p.use("1", "a", p.now); !errors.Is(err, gone) || marked(p.Marks) != 0 {
		t.Errorf("%v", err)
	}
	p.store.fault = nil
	if err := p.use("1", "a", p.now); err != nil {
		t.Errorf("once it is there: %v", err)
	}
	if err := p.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.use("2", "b", p.now); !errors.Is(err, errMarksOver) {
		t.Errorf("a mark that nobody would write: %v", err)
	}
}

// The marks of an earlier version, which wrote each one, count too.
func TestMarksOfAnEarlierVersion(t *testing.T) {
	p := newProofs(t)
	if err := p.bolt.Put(t.Context(), kv.Item{Key: "p/a", Expires: p.now.Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	p.crash()
	p.open()
	if err := p.use("1", "a", p.now); !errors.Is(err, dpop.ErrSeen) {
		t.Errorf("%v", err)
	}
	if err := p.use("1", "b", p.now); err != nil {
		t.Errorf("%v", err)
	}
}

type brokenStore struct{ MarkStore }

func (brokenStore) List(context.Context, string) ([]kv.Item, error) {
	return nil, errors.New("damaged")
}

func TestMarksThatCannotBeRead(t *testing.T) {
	if _, err := OpenMarks(t.Context(), brokenStore{}, time.Now); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
}

// A clock that is set ahead and back again may have dropped marks in between; their proofs stay old.
func TestAClockThatGoesBackRevivesNothing(t *testing.T) {
	p := newProofs(t)
	began, issued := p.now, p.now
	if err := p.use("1", "a", issued); err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []time.Duration{5 * time.Minute, 7 * time.Minute} {
		p.now = began.Add(ahead)
		_ = p.use("2", fmt.Sprint(ahead), p.now)
	}
	p.now = began.Add(5 * time.Second)
	if now := p.For("3").Now(); now.Before(began.Add(7 * time.Minute)) {
		t.Errorf("proofs are judged by %s", now)
	}
}
