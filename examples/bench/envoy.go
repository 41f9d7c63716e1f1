package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// connections of the load generator to one ingress.
const connections = 32

// measureEnvoy compares the two ingresses: the same configuration, the same backend, another check.
func (s *stage) measureEnvoy(ctx context.Context, p plan) (f EnvoyFigure, err error) {
	kind := scenarios[0]
	targets := [2]target{s.target(s.inside.double, kind), s.target(s.inside.own, kind)}
	requests := make([][]byte, len(s.sessions))
	for i, handle := range s.sessions {
		requests[i] = kind.request(s.authority(kind), handle)
	}
	request := func(i int64) []byte { return requests[i%int64(len(requests))] }

	f = EnvoyFigure{What: kind.what, Rounds: p.loads, Seconds: p.load.Seconds(), Connections: connections, Rate: p.rate}
	say("measuring: requests per second through Envoy")
	rps, err := alternate(p.loads, func(which int) (float64, error) { return targets[which].saturate(ctx, request, connections, p.load) })
	if err != nil {
		return f, fmt.Errorf("bench: saturating: %w", err)
	}
	say("measuring: the 99th percentile through Envoy at %d requests per second", p.rate)
	p99, err := alternate(p.loads, func(which int) (float64, error) {
		took, err := targets[which].pace(ctx, request, connections, p.rate, p.load)
		return percentile(took, 0.99).Seconds() * 1000, err
	})
	if err != nil {
		return f, fmt.Errorf("bench: pacing: %w", err)
	}
	f.Throughput = Compared{spreadOf(rps[0]), spreadOf(rps[1]), spreadOf(ratios(rps[1], rps[0]))}
	f.P99 = Compared{spreadOf(p99[0]), spreadOf(p99[1]), spreadOf(ratios(p99[1], p99[0]))}
	f.AddedP99 = spreadOf(differences(p99[1], p99[0]))
	return f, nil
}

// alternate takes a figure of both in each round, the no-op being 0, after one round that warms up.
func alternate(rounds int, take func(which int) (float64, error)) (both [2][]float64, err error) {
	for round := range rounds + 1 {
		for _, which := range order(round) {
			v, err := take(which)
			if err != nil {
				return both, err
			}
			if round > 0 {
				both[which] = append(both[which], v)
			}
		}
	}
	return both, nil
}

// percentile is the smallest time that at least the share q of all does not exceed.
func percentile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)]
}
