package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The test's own binary serves as the children that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childWord {
		os.Exit(runChild(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// The smallest run there is: every part starts, every answer is what its kind wants, and the report is whole. Nothing here asks how long
// anything took.
func TestTheReportIsWhole(t *testing.T) {
	out := t.TempDir()
	tiny := plan{
		rounds: 2, checks: 40, firsts: 3, loads: 2, load: 200 * time.Millisecond, rate: 50, quick: true,
		many: 100, asked: 40, calls: 1, lists: []int{fewEndpoints, 100}, edits: 1,
	}
	if err := measure(t.Context(), tiny, out); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	var names, want []string
	for _, c := range r.Checks {
		names = append(names, c.Name)
		positive(t, c.Name, c.NoOp, c.Ours, c.Ratio)
	}
	for _, kind := range scenarios {
		want = append(want, kind.name)
	}
	want = append(want, crossed, crossedMany)
	for _, kind := range calls[1:] {
		want = append(want, kind.name)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	positive(t, "requests per second", r.Envoy.Throughput.NoOp, r.Envoy.Throughput.Ours, r.Envoy.Throughput.Ratio)
	positive(t, "p99", r.Envoy.P99.NoOp, r.Envoy.P99.Ours, r.Envoy.P99.Ratio)
	if !r.Quick || r.Machine.CPU == "" || r.Machine.Cores == 0 || r.Machine.Kernel == "" || !strings.HasPrefix(r.Versions.Go, "go") ||
		!strings.HasPrefix(r.Versions.Envoy, "1.") || r.Versions.Commit == "" || len(r.Baselines) != 2 || len(r.Goals) != 10 {
		t.Errorf("the report does not say where it was taken:\n%s", raw)
	}
	g := r.Gateway
	positive(t, "gateway", g.Verification, g.Verifications, g.Many, g.Throughput.NoOp, g.Throughput.Ours, g.Throughput.Ratio)
	for _, d := range g.Decisions {
		positive(t, d.Name, d.Few, d.Many, d.Share, d.Ratio)
	}
	for _, e := range r.Edits {
		positive(t, "edits", e.Exposed, e.Withdrawn, e.ExtAuthz, e.XDS, e.Envoy, e.CPU.ExtAuthz, e.CPU.XDS, e.CPU.Envoy, e.Load, e.Routes)
	}
	if len(g.Decisions) != 2 || len(r.Edits) != 2 {
		t.Errorf("%d decisions, %d lists that were edited", len(g.Decisions), len(r.Edits))
	}
	if text := r.text(); !strings.Contains(text, "NOT A MEASUREMENT") || !strings.Contains(text, forged) {
		t.Errorf("the text:\n%s", text)
	}
}

func positive(t *testing.T, what string, spreads ...Spread) {
	t.Helper()
	for _, s := range spreads {
		if !(0 < s.Min && s.Min <= s.Low && s.Low <= s.Median && s.Median <= s.High && s.High <= s.Max) || math.IsInf(s.Max, 0) {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		name string
		in   []float64
		want Spread
	}{
		{"none", nil, Spread{}},
		{"one", []float64{3}, Spread{3, 3, 3, 3, 3}},
		{"odd", []float64{5, 1, 4, 2, 3}, Spread{3, 2, 4, 1, 5}},
		{"even", []float64{4, 1, 3, 2}, Spread{2.5, 1.75, 3.25, 1, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := spreadOf(tt.in); got != tt.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A ratio of medians would compare rounds that met another machine.
func TestRatiosAreTakenRoundByRound(t *testing.T) {
	if got := ratios([]float64{2, 20}, []float64{1, 10}); !slices.Equal(got, []float64{2, 2}) {
		t.Error(got)
	}
	if got := differences([]float64{2, 20}, []float64{1, 10}); !slices.Equal(got, []float64{1, 10}) {
		t.Error(got)
	}
}

func TestPercentile(t *testing.T) {
	var took []time.Duration
	for i := range 100 {
		took = append(took, time.Duration(100-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := percentile(took, q); got != want {
			t.Errorf("%v: %d, want %d", q, got, want)
		}
	}
	if got := percentile(nil, 0.99); got != 0 {
		t.Error(got)
	}
}

func TestOrderAlternates(t *testing.T) {
	if diff := cmp.Diff([][]int{{0, 1, 2}, {2, 1, 0}, {0, 1, 2}}, [][]int{order(0, 3), order(1, 3), order(2, 3)}); diff != "" {
		t.Error(diff)
	}
}

// The CPU clock advances with work and not with time.
func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
	}
	after, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("%s, then %s", before, after)
	}
	if _, err := cpuTime(1 << 25); err == nil {
		t.Error("a process id beyond every pid_max has a CPU clock")
	}
}
