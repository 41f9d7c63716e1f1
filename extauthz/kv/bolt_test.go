package kv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

func TestBolt(t *testing.T) {
	testStore(t, func(t *testing.T, now func() time.Time) store { return openTest(t, now) })
}

func openTest(t *testing.T, now func() time.Time) *Bolt {
	t.Helper()
	b, err := OpenBolt(filepath.Join(t.TempDir(), "kv.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	c := &clock{}
	c.set(start)
	for n := range 3 {
		b, err := OpenBolt(path, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			wantValue(t, b, "k", fmt.Sprint(n-1))
		}
		put(t, b, Item{Key: "k", Value: fmt.Append(nil, n), Expires: start.Add(time.Hour)})
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	b, err := OpenBolt(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o600 {
		t.Errorf("mode %v, want only its owner to read and write it", got)
	}
}

func TestSecondOpener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	first, err := OpenBolt(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openBolt(path, time.Now, 100*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "another process holds "+path) {
		t.Errorf("opening a held file: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { first.Close() })
	second, err := OpenBolt(path, time.Now) // waits for the first to let go
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

func TestOpenFaults(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a store ", 9999)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, garbage, filepath.Join(dir, "absent", "kv.db")} {
		if _, err := OpenBolt(path, time.Now); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("OpenBolt(%s): %v, want an error that names the file", path, err)
		}
	}
}

func TestClosedAndDamagedAreFaults(t *testing.T) {
	// A store that cannot answer must not look like one that says no: "not found" signs people out, or lets a replay pass.
	tests := map[string]func(t *testing.T, b *Bolt){
		"closed": func(t *testing.T, b *Bolt) { b.Close() },
		"a value without its expiry": func(t *testing.T, b *Bolt) {
			raw(t, b, func(tx *bbolt.Tx) error { return tx.Bucket(bucketItems).Put([]byte("k"), []byte("short")) })
		},
		"a bucket lost": func(t *testing.T, b *Bolt) {
			raw(t, b, func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketItems) })
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			b := openTest(t, time.Now)
			put(t, b, Item{Key: "k", Value: []byte("v")})
			spoil(t, b)
			calls := map[string]error{"Add": b.Add(t.Context(), Item{Key: "k"})}
			_, calls["Get"] = b.Get(t.Context(), "k")
			_, calls["Take"] = b.Take(t.Context(), "k")
			_, calls["List"] = b.List(t.Context(), "")
			wantFaults(t, calls)
		})
	}
}

func TestDamagedIsReplaced(t *testing.T) {
	b := openTest(t, time.Now)
	raw(t, b, func(tx *bbolt.Tx) error { return tx.Bucket(bucketItems).Put([]byte("k"), []byte("short")) })
	put(t, b, Item{Key: "k", Value: []byte("v")})
	wantValue(t, b, "k", "v")
}

func raw(t *testing.T, b *Bolt, fn func(*bbolt.Tx) error) {
	t.Helper()
	if err := b.db.Update(fn); err != nil {
		t.Fatal(err)
	}
}

// sizes counts what the file holds, living or not.
func sizes(t *testing.T, b *Bolt) (items, ends int) {
	t.Helper()
	raw(t, b, func(tx *bbolt.Tx) error {
		items, ends = tx.Bucket(bucketItems).Stats().KeyN, tx.Bucket(bucketEnds).Stats().KeyN
		return nil
	})
	return items, ends
}

func TestSweep(t *testing.T) {
	c := &clock{}
	c.set(start)
	b := openTest(t, c.now)
	const many = 2*sweepBatch + 7
	var items []Item
	for n := range many {
		items = append(items, Item{Key: fmt.Sprint("short", n), Expires: start.Add(time.Duration(n))})
	}
	put(t, b, items...)
	put(t, b, Item{Key: "renewed", Expires: start}, Item{Key: "freed", Expires: start}, Item{Key: "taken", Expires: start.Add(time.Hour)})
	put(t, b, Item{Key: "renewed", Expires: start.Add(time.Hour)}, Item{Key: "freed"})
	if _, err := b.Take(t.Context(), "taken"); err != nil {
		t.Fatal(err)
	}

	steps := []struct {
		at               time.Time
		swept, left, due int
	}{
		{start.Add(-1), 0, many + 2, many + 1},
		{start, 1, many + 1, many},
		{start.Add(time.Minute), many - 1, 2, 1},
		{start.Add(time.Minute), 0, 2, 1},
		{start.Add(time.Hour), 1, 1, 0},
	}
	for _, step := range steps {
		c.set(step.at)
		n, err := b.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left, due := sizes(t, b); n != step.swept || left != step.left || due != step.due {
			t.Errorf("at %v: swept %d, left %d, due %d, want %+v", step.at, n, left, due, step)
		}
	}
	wantValue(t, b, "freed", "")
}

func TestSweepKeepsWhatWasRenewedBehindIt(t *testing.T) {
	// A place whose item ends later, as a renewal between the look and the removal leaves it, takes only itself away.
	b := openTest(t, func() time.Time { return start })
	put(t, b, Item{Key: "k", Value: []byte("v"), Expires: start.Add(time.Hour)})
	stale := append(endOf(start).bytes(), "k"...)
	raw(t, b, func(tx *bbolt.Tx) error { return tx.Bucket(bucketEnds).Put(stale, nil) })
	if _, err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValue(t, b, "k", "v")
	if items, ends := sizes(t, b); items != 1 || ends != 1 {
		t.Errorf("%d items, %d places, want 1 and 1", items, ends)
	}
}

func TestSweepFaults(t *testing.T) {
	b := openTest(t, time.Now)
	put(t, b, Item{Key: "k", Expires: time.Now()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Sweep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep with an ended context: %v", err)
	}
	if items, _ := sizes(t, b); items != 1 {
		t.Error("Sweep with an ended context removed something")
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openTest(t, time.Now)
		put(t, b, Item{Key: "k", Expires: time.Now().Add(90 * time.Second)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()

		for _, want := range []int{1, 0} { // after one minute and after two
			time.Sleep(sweepEvery + time.Second)
			if items, _ := sizes(t, b); items != want {
				t.Errorf("%d items left, want %d", items, want)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run after its context ended: %v", err)
		}
	})
}

func TestRunOfAClosedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openTest(t, time.Now)
		b.Close()
		if err := b.Run(t.Context()); err == nil {
			t.Error("Run of a closed store ended without an error")
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s, err := OpenBolt(filepath.Join(b.TempDir(), "kv.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	s.Put(b.Context(), Item{Key: "k", Value: make([]byte, 1000), Expires: time.Now().Add(time.Hour)})
	for b.Loop() {
		s.Get(b.Context(), "k")
	}
}
