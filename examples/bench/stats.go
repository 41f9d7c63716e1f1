package main

import (
	"slices"
	"time"
)

// Spread is the median of some rounds, the middle half and the ends.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"p25"`
	High   float64 `json:"p75"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Spread{quantile(sorted, 0.5), quantile(sorted, 0.25), quantile(sorted, 0.75), sorted[0], sorted[len(sorted)-1]}
}

// quantile interpolates between the two nearest of the sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below == len(sorted)-1 {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// ratios are taken round by round: both values of a round met the same machine.
func ratios(of, over []float64) []float64 {
	return pairwise(of, over, func(a, b float64) float64 { return a / b })
}

func compared(noOp, ours []float64) Compared {
	return Compared{spreadOf(noOp), spreadOf(ours), spreadOf(ratios(ours, noOp))}
}

func differences(of, from []float64) []float64 {
	return pairwise(of, from, func(a, b float64) float64 { return a - b })
}

func pairwise(a, b []float64, f func(a, b float64) float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = f(a[i], b[i])
	}
	return out
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// take takes one figure, in a round.
type take func(round int) (float64, error)

// alternate takes a figure of each in every round, after one round that warms up. The order within a round alternates, so that what drifts in the
// machine meets all of them.
func alternate(rounds int, takes ...take) ([][]float64, error) {
	all := make([][]float64, len(takes))
	for round := range rounds + 1 {
		for _, which := range order(round, len(takes)) {
			v, err := takes[which](round)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				all[which] = append(all[which], v)
			}
		}
	}
	return all, nil
}

// order is who goes first in a round.
func order(round, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	if round%2 == 1 {
		slices.Reverse(out)
	}
	return out
}
