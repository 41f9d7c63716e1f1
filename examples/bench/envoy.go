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
	saturated := func(t target) take {
		return func(int) (float64, error) { return t.saturate(ctx, request, connections, p.load) }
	}
	rps, err := alternate(p.loads, saturated(targets[0]), saturated(targets[1]))
	if err != nil {
		return f, fmt.Errorf("bench: saturating: %w", err)
	}
	say("measuring: the 99th percentile through Envoy at %d requests per second", p.rate)
	paced := func(t target) take {
		return func(int) (float64, error) {
			took, err := t.pace(ctx, request, connections, p.rate, p.load)
			return percentile(took, 0.99).Seconds() * 1000, err
		}
	}
	p99, err := alternate(p.loads, paced(targets[0]), paced(targets[1]))
	if err != nil {
		return f, fmt.Errorf("bench: pacing: %w", err)
	}
	f.Throughput, f.P99 = compared(rps[0], rps[1]), compared(p99[0], p99[1])
	f.AddedP99 = spreadOf(differences(p99[1], p99[0]))
	return f, nil
}

// percentile is the smallest time that at least the share q of all does not exceed.
func percentile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)]
}
