package main

import (
	"fmt"
	"strings"
)

// Goal is a bound that this project set itself, and what this run found.
type Goal struct {
	What  string  `json:"what"`
	Bound float64 `json:"at_most"`
	Found float64 `json:"found"`
	Unit  string  `json:"unit"` // "" for a ratio
	Met   bool    `json:"met"`
}

// goals holds the figures against the bounds. Ratios are the medians of the rounds; the time of an edit is that of the slowest.
func (r Report) goals() (list []Goal) {
	add := func(what string, bound, found float64, unit string) {
		list = append(list, Goal{what, bound, found, unit, found > 0 && found <= bound}) // what was not found is not met
	}
	check := func(name string) float64 {
		for _, c := range r.Checks {
			if c.Name == name {
				return c.Ratio.Median
			}
		}
		return 0
	}
	add("a living session over the no-op", 1.0, check(living), "")
	add("a forged cookie over the no-op", 1.2, check(forged), "")
	add("a call at the gateway over the no-op", 3.5, check(crossed), "")
	add(fmt.Sprintf("a call at the gateway with %d endpoints over one with %d", r.Gateway.Endpoints, fewEndpoints), 1.05, r.Gateway.Many.Median, "")
	for _, d := range r.Gateway.Decisions {
		add(d.Name+", many endpoints, over the no-op", 1.0, d.Share.Median, "")
		add(d.Name+", many endpoints over few", 1.05, d.Ratio.Median, "")
	}
	for _, e := range r.Edits {
		if e.Endpoints == r.Gateway.Endpoints {
			add(fmt.Sprintf("the slowest edit of %d endpoints, until it is exposed", e.Endpoints), 500, e.Exposed.Max, "ms")
			add(fmt.Sprintf("the slowest edit of %d endpoints, until it is withdrawn", e.Endpoints), 500, e.Withdrawn.Max, "ms")
		}
	}
	return list
}

func goalsText(goals []Goal) string {
	var b strings.Builder
	b.WriteString("\ngoals\n")
	for _, g := range goals {
		word := "met"
		if !g.Met {
			word = "MISSED"
		}
		fmt.Fprintf(&b, "  %-7s %8.2f %-2s, at most %6.2f   %s\n", word, g.Found, g.Unit, g.Bound, g.What)
	}
	return b.String()
}

func (g GatewayFigure) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\ncalls at the gateway\n")
	fmt.Fprintf(&b, "  one ES256 verification takes %.1f us (crypto/ecdsa, in the same rounds): a call costs as much as %.2f of them (%s)\n",
		g.Verification.Median, g.Verifications.Median, half(g.Verifications))
	fmt.Fprintf(&b, "  %d endpoints over %d, the same call in the same rounds: %.3f (%.3f..%.3f)\n",
		g.Endpoints, fewEndpoints, g.Many.Median, g.Many.Low, g.Many.High)
	fmt.Fprintf(&b, "  watching a folder with so many takes extauthz %.1f%% of a core, whether anybody asks or not; it is part of that\n", 100*g.Polling)
	fmt.Fprintf(&b, "  requests at saturation through the gateway's Envoy, HTTP/1.1: %.2f (%s) of the no-op's, %.0f/s and %.0f/s\n",
		g.Throughput.Ratio.Median, half(g.Throughput.Ratio), g.Throughput.Ours.Median, g.Throughput.NoOp.Median)
	for _, d := range g.Decisions {
		fmt.Fprintf(&b, "  %-32s %.3f of the no-op (%.2f us with few endpoints, %.2f us with many, %.3f times as much): %s\n",
			d.Name, d.Share.Median, d.Few.Median, d.Many.Median, d.Ratio.Median, d.What)
	}
	return b.String()
}

func editsText(list []EditFigure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nfrom the save of gateway.rego to its effect at the gateway, in ms: median (worst)\n%10s %16s %16s %16s %16s %16s\n",
		"endpoints", "exposed", "withdrawn", "extauthz has it", "xds sends it", "Envoy has it")
	for _, e := range list {
		fmt.Fprintf(&b, "%10d", e.Endpoints)
		for _, s := range []Spread{e.Exposed, e.Withdrawn, e.ExtAuthz, e.XDS, e.Envoy} {
			fmt.Fprintf(&b, " %16s", fmt.Sprintf("%.0f (%.0f)", s.Median, s.Max))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\nCPU time of an edit, in ms; of two of its steps, done alone\n%10s %16s %16s %16s %16s %16s\n",
		"endpoints", "extauthz", "xds", "Envoy", "reading policies", "making routes")
	for _, e := range list {
		fmt.Fprintf(&b, "%10d", e.Endpoints)
		for _, s := range []Spread{e.CPU.ExtAuthz, e.CPU.XDS, e.CPU.Envoy, e.Load, e.Routes} {
			fmt.Fprintf(&b, " %16.0f", s.Median)
		}
		b.WriteString("\n")
	}
	return b.String()
}
