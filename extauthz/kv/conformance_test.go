package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// store is what every implementation must do alike.
type store interface {
	Put(ctx context.Context, items ...Item) error
	Add(ctx context.Context, item Item) error
	Get(ctx context.Context, key string) ([]byte, error)
	Take(ctx context.Context, keys ...string) ([]byte, error)
	List(ctx context.Context, prefix string) ([]Item, error)
}

// testStore is the conformance table. open returns an empty store whose clock is now, and closes it with the test.
func testStore(t *testing.T, open func(t *testing.T, now func() time.Time) store) {
	tests := []struct {
		name string
		test func(*testing.T, store, *clock)
	}{
		{"put overwrites value and expiry", testOverwrite},
		{"put stores all or none", testAllOrNone},
		{"an item is gone from its expiry on", testExpiry},
		{"add only where nothing lives", testAdd},
		{"parallel adds: one winner", testAddRace},
		{"take works once", testTake},
		{"take removes the others in any case", testTakeOthers},
		{"parallel takes: one winner", testTakeRace},
		{"a returned value is a copy", testCopy},
		{"list: prefix, order, living ones", testList},
		{"sizes", testSizes},
		{"expiries that cannot be kept", testOddExpiry},
		{"an ended context does nothing", testContext},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &clock{}
			c.set(start)
			test.test(t, open(t, c.now), c)
		})
	}
}

var start = time.Date(2027, 1, 2, 3, 4, 5, 6, time.UTC)

// clock is a time that tests move.
type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) now() time.Time  { return *c.at.Load() }
func (c *clock) set(t time.Time) { c.at.Store(&t) }

func testOverwrite(t *testing.T, s store, c *clock) {
	put(t, s, Item{Key: "k", Value: []byte("old"), Expires: start.Add(time.Minute)})
	put(t, s, Item{Key: "k", Value: []byte("new")}, Item{Key: "twice", Value: []byte("1")}, Item{Key: "twice", Value: []byte("2")})
	c.set(start.Add(time.Hour))
	wantValue(t, s, "k", "new")
	wantValue(t, s, "twice", "2")
	put(t, s, Item{Key: "k", Expires: c.now().Add(time.Minute)})
	wantValue(t, s, "k", "")
	c.set(c.now().Add(time.Hour))
	wantAbsent(t, s, "k")
}

func testAllOrNone(t *testing.T, s store, _ *clock) {
	put(t, s, Item{Key: "a", Value: []byte("before")})
	for _, bad := range []Item{{Key: ""}, {Key: "big", Value: make([]byte, maxValue+1)}, {Key: "odd", Expires: time.Unix(0, 0)}} {
		if err := s.Put(t.Context(), Item{Key: "a", Value: []byte("after")}, Item{Key: "b"}, bad); err == nil {
			t.Errorf("Put with a bad item (key %q) was accepted", bad.Key)
		}
	}
	wantValue(t, s, "a", "before")
	wantAbsent(t, s, "b")
}

func testExpiry(t *testing.T, s store, c *clock) {
	end := start.Add(30 * time.Second)
	put(t, s, Item{Key: "k", Value: []byte("v"), Expires: end}, Item{Key: "dead", Expires: start.Add(-time.Second)})
	wantAbsent(t, s, "dead")
	c.set(end.Add(-time.Nanosecond))
	wantValue(t, s, "k", "v")
	c.set(end)
	wantAbsent(t, s, "k")
	if _, err := s.Take(t.Context(), "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Take of an expired item: %v, want ErrNotFound", err)
	}
	c.set(start) // the take removed it although it had expired
	wantAbsent(t, s, "k")
}

func testAdd(t *testing.T, s store, c *clock) {
	first := Item{Key: "k", Value: []byte("first"), Expires: start.Add(time.Minute)}
	if err := s.Add(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), Item{Key: "k", Value: []byte("second")}); !errors.Is(err, ErrExists) {
		t.Errorf("Add over a living item: %v, want ErrExists", err)
	}
	wantValue(t, s, "k", "first")
	c.set(first.Expires)
	if err := s.Add(t.Context(), Item{Key: "k", Value: []byte("second")}); err != nil {
		t.Errorf("Add over an expired item: %v", err)
	}
	wantValue(t, s, "k", "second")
}

func testTake(t *testing.T, s store, _ *clock) {
	put(t, s, Item{Key: "code", Value: []byte("v")})
	got, err := s.Take(t.Context(), "code")
	if err != nil || string(got) != "v" {
		t.Errorf("first Take: %q, %v", got, err)
	}
	if got, err := s.Take(t.Context(), "code"); !errors.Is(err, ErrNotFound) || got != nil {
		t.Errorf("second Take: %q, %v, want ErrNotFound", got, err)
	}
}

func testTakeOthers(t *testing.T, s store, _ *clock) {
	put(t, s, Item{Key: "session", Value: []byte("s")}, Item{Key: "h1"}, Item{Key: "h2"}, Item{Key: "h3"})
	if got, err := s.Take(t.Context(), "session", "h1", "never there", "h1"); err != nil || string(got) != "s" {
		t.Errorf("Take: %q, %v", got, err)
	}
	if _, err := s.Take(t.Context(), "session", "h2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Take with the first absent: %v, want ErrNotFound", err)
	}
	wantAbsent(t, s, "session", "h1", "h2")
	wantValue(t, s, "h3", "")
}

func testAddRace(t *testing.T, s store, _ *clock) {
	wins := race(t, ErrExists, func(n int) error {
		return s.Add(t.Context(), Item{Key: "k", Value: fmt.Append(nil, n)})
	})
	if len(wins) != 1 {
		t.Fatalf("%d adds won, want 1", len(wins))
	}
	wantValue(t, s, "k", fmt.Sprint(wins[0]))
}

func testTakeRace(t *testing.T, s store, _ *clock) {
	put(t, s, Item{Key: "k", Value: []byte("v")})
	wins := race(t, ErrNotFound, func(int) error {
		got, err := s.Take(t.Context(), "k")
		if (err == nil) != (string(got) == "v") {
			return fmt.Errorf("value %q with error %v", got, err)
		}
		return err
	})
	if len(wins) != 1 {
		t.Fatalf("%d takes won, want 1", len(wins))
	}
}

// race runs sixteen at once and returns the numbers of those that won. Each other must have lost with the given error.
func race(t *testing.T, lost error, fn func(n int) error) (wins []int) {
	t.Helper()
	var results [16]error
	var wg sync.WaitGroup
	for n := range results {
		wg.Go(func() { results[n] = fn(n) })
	}
	wg.Wait()
	for n, err := range results {
		if err == nil {
			wins = append(wins, n)
		} else if !errors.Is(err, lost) {
			t.Errorf("number %d: %v, want %v", n, err, lost)
		}
	}
	return wins
}

func testCopy(t *testing.T, s store, _ *clock) {
	want := strings.Repeat("value", 5000) // too large for a store to hold it in a buffer of its own
	in := []byte(want)
	put(t, s, Item{Key: "k", Value: in}, Item{Key: "taken", Value: in})
	in[0] = 'X'
	got := must(s.Get(t.Context(), "k"))
	taken := must(s.Take(t.Context(), "taken"))
	listed := must(s.List(t.Context(), "k"))
	for _, b := range [][]byte{got, taken, listed[0].Value} {
		if string(b) != want {
			t.Error("a value changed with the caller's slice")
		}
		copy(b, "XXXXX") // in the memory of a mapped file this would crash
	}
	wantValue(t, s, "k", want)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func testList(t *testing.T, s store, c *clock) {
	end := start.Add(time.Hour)
	put(t, s,
		Item{Key: "a/2", Value: []byte("two"), Expires: end}, Item{Key: "a/1", Value: []byte("one")},
		Item{Key: "a/3", Expires: start}, Item{Key: "a"}, Item{Key: "a0"}, Item{Key: "a/\xff\xff"}, Item{Key: "\xff"}, Item{Key: "\xff\xff"})
	tests := []struct {
		prefix string
		want   []string
	}{
		{"a/", []string{"a/1", "a/2", "a/\xff\xff"}},
		{"a/\xff", []string{"a/\xff\xff"}},
		{"\xff", []string{"\xff", "\xff\xff"}},
		{"b", nil},
		{strings.Repeat("x", 2*maxKey), nil},
		{"", []string{"a", "a/1", "a/2", "a/\xff\xff", "a0", "\xff", "\xff\xff"}},
	}
	for _, test := range tests {
		items, err := s.List(t.Context(), test.prefix)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, item := range items {
			got = append(got, item.Key)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("List(%q): %s", test.prefix, diff)
		}
	}
	items, _ := s.List(t.Context(), "a/2")
	if len(items) != 1 || !items[0].Expires.Equal(end) || string(items[0].Value) != "two" {
		t.Errorf("List gave %+v, want value two until %v", items, end)
	}
	if items, _ := s.List(t.Context(), "a/1"); len(items) != 1 || !items[0].Expires.IsZero() {
		t.Errorf("List gave %+v, want one item that never ends", items)
	}
}

func testSizes(t *testing.T, s store, _ *clock) {
	key, value := strings.Repeat("k", maxKey), bytes.Repeat([]byte("v"), maxValue)
	put(t, s, Item{Key: key, Value: value, Expires: start.Add(time.Hour)})
	wantValue(t, s, key, string(value))
	for _, bad := range []string{"", key + "k"} {
		calls := map[string]error{
			"Put": s.Put(t.Context(), Item{Key: bad}),
			"Add": s.Add(t.Context(), Item{Key: bad}),
		}
		_, calls["Get"] = s.Get(t.Context(), bad)
		_, calls["Take"] = s.Take(t.Context(), key, bad)
		wantFaults(t, calls)
	}
	_, noKey := s.Take(t.Context())
	wantFaults(t, map[string]error{
		"Put of a large value": s.Put(t.Context(), Item{Key: "k", Value: append(value, 'v')}),
		"Add of a large value": s.Add(t.Context(), Item{Key: "k", Value: append(value, 'v')}),
		"Take of nothing":      noKey,
	})
	wantValue(t, s, key, string(value))
}

func testOddExpiry(t *testing.T, s store, _ *clock) {
	for _, odd := range []time.Time{time.Unix(0, 0), time.Unix(-1, 0), time.Time{}.Add(1), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)} {
		wantFaults(t, map[string]error{
			"Put until " + odd.String(): s.Put(t.Context(), Item{Key: "k", Expires: odd}),
			"Add until " + odd.String(): s.Add(t.Context(), Item{Key: "k", Expires: odd}),
		})
	}
	wantAbsent(t, s, "k")
}

func testContext(t *testing.T, s store, _ *clock) {
	put(t, s, Item{Key: "k", Value: []byte("v")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]error{
		"Put": s.Put(ctx, Item{Key: "k", Value: []byte("new")}),
		"Add": s.Add(ctx, Item{Key: "other"}),
	}
	_, calls["Get"] = s.Get(ctx, "k")
	_, calls["Take"] = s.Take(ctx, "k")
	_, calls["List"] = s.List(ctx, "k")
	wantFaults(t, calls)
	for name, err := range calls {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	wantValue(t, s, "k", "v")
	wantAbsent(t, s, "other")
}

func put(t *testing.T, s store, items ...Item) {
	t.Helper()
	if err := s.Put(t.Context(), items...); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s store, key, want string) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); err != nil || string(got) != want {
		t.Errorf("Get(%.20q): %.20q, %v, want %.20q", key, got, err, want)
	}
}

func wantAbsent(t *testing.T, s store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if got, err := s.Get(t.Context(), key); !errors.Is(err, ErrNotFound) || got != nil {
			t.Errorf("Get(%.20q): %.20q, %v, want ErrNotFound", key, got, err)
		}
	}
}

// wantFaults wants errors that no caller can take for an answer of the store.
func wantFaults(t *testing.T, calls map[string]error) {
	t.Helper()
	for name, err := range calls {
		if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) {
			t.Errorf("%s: %v, want a fault", name, err)
		}
	}
}
