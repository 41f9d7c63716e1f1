package main

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

func TestATailHasWhatIsWrittenAfterwards(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	write := func(lines string) {
		t.Helper()
		f := must[*os.File](t)(os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))
		must[int](t)(f.WriteString(lines))
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"time":"2027-01-02T03:04:05.5Z","msg":"loaded","what":"policies"}` + "\n")
	tail := must[logTail](t)(tailOf(file))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if at, err := tail.find(ctx, "loaded", "what", "policies"); err == nil {
		t.Errorf("a line from before counts: %s", at)
	}
	write("no JSON\n" + `{"time":"2027-01-02T03:04:06Z","msg":"loaded","what":"config"}` + "\n" + `{"time":"2027-01-02T03:04:07.25Z","msg":"loaded","what":"policies"}` + "\n")
	at := must[time.Time](t)(tail.find(t.Context(), "loaded", "what", "policies"))
	if want := time.Date(2027, 1, 2, 3, 4, 7, 250e6, time.UTC); !at.Equal(want) {
		t.Errorf("%s", at)
	}
}

func TestGoals(t *testing.T) {
	median := func(v float64) Spread { return Spread{v, v, v, v, v} }
	r := Report{
		Checks:  []CheckFigure{{Name: crossed, Compared: Compared{Ratio: median(3.5)}}, {Name: forged, Compared: Compared{Ratio: median(1.21)}}},
		Gateway: GatewayFigure{Endpoints: 10_000, Many: median(1.06)},
		Edits: []EditFigure{
			{Endpoints: 10, Exposed: median(9000), Withdrawn: median(9000)}, // no goal stands for so few
			{Endpoints: 10_000, Exposed: Spread{Median: 400, Max: 501}, Withdrawn: median(500)},
		},
	}
	want := map[float64]bool{3.5: true, 1.21: false, 1.06: false, 501: false, 500: true, 0: false} // 0 is what was not measured
	seen := map[float64]bool{}
	for _, g := range r.goals() {
		met, known := want[g.Found]
		if !known || g.Met != met {
			t.Errorf("%+v", g)
		}
		seen[g.Found] = true
	}
	if len(seen) != len(want) {
		t.Errorf("%v", seen)
	}
}

func TestSpreadOverEffects(t *testing.T) {
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []effect{
		{saved: at, answered: at.Add(100 * time.Millisecond), used: map[string]time.Duration{"xds": 3 * time.Millisecond}},
		{saved: at.Add(time.Hour), answered: at.Add(time.Hour + 300*time.Millisecond), used: map[string]time.Duration{"xds": 5 * time.Millisecond}},
	}
	if got := spreadOver(all, effect.seen); got.Median != 200 || got.Max != 300 {
		t.Errorf("%+v", got)
	}
	if got := spreadOver(all, cpuOf("xds")); got.Median != 4 {
		t.Errorf("%+v", got)
	}
}

// The clock of a thread does not advance while it waits, whatever else the process does.
func TestThreadMicros(t *testing.T) {
	var done atomic.Bool
	defer done.Store(true)
	go func() {
		for !done.Load() {
		}
	}()
	waited := must[float64](t)(threadMicros(2, func() error { time.Sleep(100 * time.Millisecond); return nil }))
	verified := must[float64](t)(verification(20)(0))
	if waited > 25_000 || waited < 0 || verified < 1 {
		t.Errorf("waiting %.1f us, verifying %.1f us", waited, verified)
	}
}
