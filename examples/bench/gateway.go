package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"
)

// GatewayFigure is what belongs to the gateway's checks beside their own figures. CPU times are in microseconds.
type GatewayFigure struct {
	Endpoints     int              `json:"many"` // how many that is, below; few are 10
	Verification  Spread           `json:"es256_verification"`
	Verifications Spread           `json:"verifications_a_check"` // how many of them cost as much as a check, round by round
	Many          Spread           `json:"many_over_few"`         // a check with many endpoints over one with few, round by round
	Polling       float64          `json:"watching_many"`         // share of one core that extauthz takes with many endpoints while nobody asks it
	Decisions     []DecisionFigure `json:"decisions"`
	Throughput    Compared         `json:"requests_per_second"`
}

// measureCalls takes the CPU time of the checks of all kinds of calls.
func (s *stage) measureCalls(ctx context.Context, p plan) (figures []CheckFigure, g GatewayFigure, err error) {
	figures, g, err = s.measureCrossed(ctx, p)
	if err != nil {
		return nil, g, fmt.Errorf("%s: %w", crossed, err)
	}
	for _, kind := range calls[1:] {
		say("measuring: %s", kind.name)
		figure, err := s.measureCall(ctx, p, kind)
		if err != nil {
			return nil, g, fmt.Errorf("%s: %w", kind.name, err)
		}
		figures = append(figures, figure)
	}
	return figures, g, nil
}

func (s *stage) measureCall(ctx context.Context, p plan, kind call) (f CheckFigure, err error) {
	both, err := s.servers(s.called(kind))
	if err != nil {
		return f, err
	}
	defer both[0].conn.Close()
	defer both[1].conn.Close()
	if _, err := s.give(); err != nil {
		return f, err
	}
	f = CheckFigure{Name: kind.name, What: kind.what, Rounds: p.rounds, Checks: p.asked}
	all, err := alternate(p.rounds, s.asks(ctx, both[0], kind, f.Checks, 200), s.asks(ctx, both[1], kind, f.Checks, kind.status))
	if err != nil {
		return f, err
	}
	f.Compared = compared(all[0], all[1])
	return f, nil
}

// asks takes the CPU time of a server for a check.
func (s *stage) asks(ctx context.Context, on *server, kind call, n, status int) take {
	return func(int) (float64, error) {
		messages, err := s.callMessages(kind, n)
		if err != nil {
			return 0, err
		}
		return on.batch(ctx, messages, s.questions[kind.name].meta, status)
	}
}

// measureCrossed asks the same call of an extauthz with few endpoints and of one with many, in the same rounds as one verification of a signature and
// the decisions alone.
func (s *stage) measureCrossed(ctx context.Context, p plan) (figures []CheckFigure, g GatewayFigure, err error) {
	g.Endpoints = p.many
	say("starting an extauthz with %d endpoints", p.many)
	many, err := s.startMany(ctx, p.many)
	if err != nil {
		return nil, g, err
	}
	defer many.stop()
	both, err := s.servers(s.gateway)
	if err != nil {
		return nil, g, err
	}
	defer both[0].conn.Close()
	defer both[1].conn.Close()
	third, err := dialServer(many.check, func() int { return many.cmd.Process.Pid })
	if err != nil {
		return nil, g, err
	}
	defer third.conn.Close()
	kind := calls[0]
	if err := s.waitCrossed(ctx, third); err != nil {
		return nil, g, err
	}
	if g.Polling, err = idle(many.cmd.Process.Pid, p.load); err != nil {
		return nil, g, err
	}
	deciding, err := s.deciding(ctx, p)
	if err != nil {
		return nil, g, err
	}
	say("measuring: %s", kind.name)
	takes := []take{verification(p.asked / 10)}
	for _, on := range []*server{both[0], both[1], third} {
		takes = append(takes, s.asks(ctx, on, kind, p.asked, kind.status))
	}
	for _, d := range deciding {
		takes = append(takes, d.few, d.many)
	}
	all, err := alternate(p.rounds, takes...)
	if err != nil {
		return nil, g, err
	}
	signature, noOp, few, most, rest := all[0], all[1], all[2], all[3], all[4:]
	g.Verification, g.Verifications, g.Many = spreadOf(signature), spreadOf(ratios(few, signature)), spreadOf(ratios(most, few))
	for i, d := range deciding {
		g.Decisions = append(g.Decisions, decisionOf(d, noOp, rest[2*i], rest[2*i+1]))
	}
	f := CheckFigure{Name: kind.name, What: kind.what, Rounds: p.rounds, Checks: p.asked, Compared: compared(noOp, few)}
	more := f
	more.Name, more.What, more.Compared = crossedMany, fmt.Sprintf("the same call at an extauthz with %d endpoints", p.many), compared(noOp, most)
	return []CheckFigure{f, more}, g, nil
}

// waitCrossed waits until a server has read its policies.
func (s *stage) waitCrossed(ctx context.Context, on *server) error {
	return eventually(ctx, func() error {
		_, err := s.asks(ctx, on, calls[0], 1, 200)(0)
		return err
	})
}

// idle is the share of a core that a process takes while nobody asks it.
func idle(pid int, d time.Duration) (float64, error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	time.Sleep(d)
	after, err := cpuTime(pid)
	return (after - before).Seconds() / time.Since(began).Seconds(), err
}

// verification takes the CPU time of one ES256 verification, as crypto/ecdsa does it.
func verification(n int) take {
	return func(int) (float64, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return 0, err
		}
		digest := sha256.Sum256([]byte("a proof of possession"))
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			return 0, err
		}
		return threadMicros(n, func() error {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				return fmt.Errorf("bench: a good signature is refused")
			}
			return nil
		})
	}
}

// measureCrossings compares the requests per second of the gateway and its double. Each request has a proof of its own, made ahead.
func (s *stage) measureCrossings(ctx context.Context, p plan) (Compared, error) {
	say("measuring: calls per second through the gateway's Envoy")
	saturated := func(at place) take {
		to := target{address: string(at.listener), host: s.crossing.cloud.GatewayHost(), roots: s.crossing.roots, pair: &s.crossing.pair}
		return func(int) (float64, error) {
			requests, err := s.crossing.requests(int(p.load.Seconds() * mostPerSecond))
			if err != nil {
				return 0, err
			}
			return to.saturate(ctx, func(i int64) []byte { return requests[int(i)%len(requests)] }, connections, p.load)
		}
	}
	all, err := alternate(p.calls, saturated(s.gateway.double), saturated(s.gateway.own))
	if err != nil {
		return Compared{}, fmt.Errorf("bench: saturating the gateway: %w", err)
	}
	return compared(all[0], all[1]), nil
}

// mostPerSecond is more than a gateway can check: a proof that comes twice is refused, and that ends the measurement.
const mostPerSecond = 8000

// requests are calls over HTTP/1.1, which the gateway takes too: the load generator's own cost is small with it.
func (x *crossing) requests(n int) (all [][]byte, err error) {
	all = make([][]byte, n)
	for i := range all {
		proof, err := x.proof(x.token, issue)
		if err != nil {
			return nil, err
		}
		all[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: DPoP %s\r\nDPoP: %s\r\nAccept: application/json\r\n\r\n",
			issue, x.cloud.GatewayName(product), x.token, proof)
	}
	return all, nil
}
