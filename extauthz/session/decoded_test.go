package session

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func record(t testing.TB, s Session) []byte {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What the store says counts, however often something else was read before.
func TestARecordThatChangedIsReadAnew(t *testing.T) {
	var d decoded
	one := Session{ID: "x", Identity: ada, SignedIn: start}
	two := one
	two.Groups, two.SignedIn = []string{"leads"}, start.Add(time.Hour)
	for i, want := range []Session{one, one, two, two, one, two} {
		got, err := d.read("x", record(t, want))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%d: %v, %s", i, err, diff)
		}
	}
	if _, err := d.read("x", []byte("{")); err == nil {
		t.Error("a damaged record is read out of memory")
	}
	if got, err := d.read("y", record(t, one)); err != nil || got.ID != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	if len(d.fresh) != 2 {
		t.Errorf("%d readings of two records", len(d.fresh))
	}
}

// A store that says two things in turn, to many at once: each gets what was said to them.
func TestReadingAtOnce(t *testing.T) {
	var d decoded
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			want := Session{ID: "x", Identity: Identity{User: fmt.Sprint(i)}, SignedIn: start}
			raw := record(t, want)
			for range 500 {
				if got, err := d.read("x", raw); err != nil || got.User != want.User {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

func TestReadingsAreBounded(t *testing.T) {
	var d decoded
	raw := record(t, Session{ID: "x", SignedIn: start})
	for i := range 5 * generation {
		if _, err := d.read(fmt.Sprint(i), raw); err != nil {
			t.Fatal(err)
		}
		if n := len(d.fresh) + len(d.stale); n > 2*generation {
			t.Fatalf("%d readings", n)
		}
	}
}

// What strangers send stays outside: handles that nobody gave out, and those that are good at another host.
func TestForgedHandlesTakeNoMemory(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	for range 1000 {
		w.lives(issues, Handle(random(32)))
	}
	w.lives(wiki, h)
	if n := len(w.decoded.fresh) + len(w.decoded.stale) + len(w.active); n != 0 {
		t.Errorf("%d entries after requests of strangers", n)
	}
	w.lives(issues, h)
	w.must(w.End(t.Context(), s.ID))
	if w.lives(issues, h) || len(w.decoded.fresh) != 1 {
		t.Error("an ended session lives in memory, or the living one was not there")
	}
}
