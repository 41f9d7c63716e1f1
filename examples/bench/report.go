package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Report is what one run found, as .bench/report.json holds it. CPU times are in microseconds, latencies in milliseconds.
type Report struct {
	Taken     string        `json:"taken"` // RFC 3339
	Quick     bool          `json:"quick"` // too few rounds to mean anything
	Race      bool          `json:"race"`  // with the race detector: the figures mean nothing
	Machine   Machine       `json:"machine"`
	Versions  Versions      `json:"versions"`
	InFlight  int           `json:"checks_in_flight"`
	Checks    []CheckFigure `json:"checks"`
	Baselines []Baseline    `json:"baselines"`
	Gateway   GatewayFigure `json:"gateway"`
	Envoy     EnvoyFigure   `json:"through_envoy"`
	Edits     []EditFigure  `json:"edits"`
	Goals     []Goal        `json:"goals"`
	Profiles  []Profile     `json:"profiles,omitempty"`
}

// CheckFigure is the CPU time, user and system, of the server process for one check.
type CheckFigure struct {
	Name   string `json:"name"`
	What   string `json:"what"`
	Rounds int    `json:"rounds"`
	Checks int    `json:"checks_a_round"`
	Compared
}

// Compared is one figure of both.
type Compared struct {
	NoOp  Spread `json:"noop"`
	Ours  Spread `json:"ours"`
	Ratio Spread `json:"ratio"` // ours over the no-op's, round by round
}

// EnvoyFigure is what a client of the ingress sees.
type EnvoyFigure struct {
	What        string   `json:"what"`
	Rounds      int      `json:"rounds"`
	Seconds     float64  `json:"seconds_a_round"`
	Connections int      `json:"connections"`
	Throughput  Compared `json:"requests_per_second"`
	Rate        int      `json:"rate"` // requests per second where the percentile is taken
	P99         Compared `json:"p99_ms"`
	AddedP99    Spread   `json:"added_p99_ms"` // ours less the no-op's, round by round
}

// Baseline is a given figure to hold ours against: CPU time of a check over that of a no-op on the same machine.
type Baseline struct {
	Name  string  `json:"name"`
	Check string  `json:"check"`
	Ratio float64 `json:"ratio"`
	What  string  `json:"what"`
}

// baselines were measured once, on a machine of this kind; they are not measured by this program.
var baselines = []Baseline{
	{"oauth2-proxy", living, 2.9, "given: CPU of a check with a session, over a no-op"},
	{"istio authservice", living, 4.7, "given: CPU of a check with a session, over a no-op"},
}

func (r Report) write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

const method = `CPU time is user and system time of the server's process, from its CPU clock (resolution: nanoseconds), over the checks of a round.
The messages are those that a real Envoy asked for a browser's requests, replayed over one gRPC connection to the check's unix socket, %d at
once. The no-op is a process of its own: a plain Go gRPC server that decodes the message with the generated code and answers OK, set up as
Go and gRPC come. Ours reads and writes the messages by itself, keeps its goroutines, and lets more garbage gather, so it can cost less than
that. Rounds alternate which of the two goes first; the first round of each kind is not counted. Ratios are taken round by round.
`

// text is the report for people.
func (r Report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nisogate bench, %s\n%s, %d cores, %s %s\n%s, Envoy %s, isogate %s\n", r.Taken, r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Kernel,
		r.Versions.Go, r.Versions.Envoy, r.Versions.Commit)
	if r.Quick || r.Race {
		b.WriteString("\nNOT A MEASUREMENT: quick mode or a race build; only the shape of this report means something.\n")
	}
	fmt.Fprintf(&b, "\n"+method+"\n%-32s %8s %16s %12s %12s\n", r.InFlight, "CPU time of a check", "ratio", "middle half", "ours", "no-op")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-32s %8.2f %16s %9.1f us %9.1f us\n", c.Name, c.Ratio.Median, half(c.Ratio), c.Ours.Median, c.NoOp.Median)
	}
	b.WriteString("\n")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "  %-32s %s; %d rounds of %d\n", c.Name, c.What, c.Rounds, c.Checks)
	}
	b.WriteString("\nheld against\n")
	for _, base := range r.Baselines {
		fmt.Fprintf(&b, "  %-18s %4.1f   %s: %s\n", base.Name, base.Ratio, base.Check, base.What)
	}
	b.WriteString(r.Gateway.text())
	b.WriteString(r.Envoy.text())
	b.WriteString(editsText(r.Edits))
	b.WriteString(goalsText(r.Goals))
	for _, p := range r.Profiles {
		b.WriteString(p.text())
	}
	return b.String()
}

func half(s Spread) string { return fmt.Sprintf("%.2f..%.2f", s.Low, s.High) }

func (f EnvoyFigure) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nthrough Envoy: %s\n", f.What)
	fmt.Fprintf(&b, "TLS ends at an ingress with one worker; the backend is an Envoy that answers at once; the other ingress differs in its check socket alone.\n\n")
	fmt.Fprintf(&b, "%-28s %8s %16s %12s %12s\n", fmt.Sprintf("%d rounds of %gs", f.Rounds, f.Seconds), "ratio", "middle half", "ours", "no-op")
	fmt.Fprintf(&b, "%-28s %8.2f %16s %10.0f/s %10.0f/s   closed loop, %d connections\n", "requests at saturation", f.Throughput.Ratio.Median, half(f.Throughput.Ratio),
		f.Throughput.Ours.Median, f.Throughput.NoOp.Median, f.Connections)
	fmt.Fprintf(&b, "%-28s %8.2f %16s %9.2f ms %9.2f ms   open loop, from the intended start\n", fmt.Sprintf("p99 at %d/s", f.Rate), f.P99.Ratio.Median, half(f.P99.Ratio),
		f.P99.Ours.Median, f.P99.NoOp.Median)
	fmt.Fprintf(&b, "%-28s %+8.2f %16s ms\n", "added p99", f.AddedP99.Median, fmt.Sprintf("%+.2f..%+.2f", f.AddedP99.Low, f.AddedP99.High))
	return b.String()
}
