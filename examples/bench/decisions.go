package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"isogate/policies"
)

// DecisionFigure is what the policies alone take of a check: finding the endpoint and evaluating the rules. CPU times are in microseconds.
type DecisionFigure struct {
	Name  string `json:"name"`
	What  string `json:"what"`
	Few   Spread `json:"few"`   // endpoints
	Many  Spread `json:"many"`  // endpoints
	Share Spread `json:"share"` // with many, over a check of the no-op, round by round
	Ratio Spread `json:"ratio"` // many over few, round by round
}

const shippedRules = "decision, shipped rules"

// decision is one set of rules, with few endpoints and with many.
type decision struct {
	name, what string
	few, many  take
}

// looking is a rule that has to be evaluated for each call, since it looks at the person and at the endpoint's entry.
const looking = `
forbidden contains "no-contractors" if {
	endpoints[input.endpoint].owner == "team-support"
	"contractors" in input.user.groups
}
`

// deciding loads the rules into this process.
func (s *stage) deciding(ctx context.Context, p plan) (list []decision, err error) {
	for _, kind := range []struct {
		name, what, rule string
		n                int
	}{
		{shippedRules, "Match and Cross: the rules come out the same for every call, so nothing is evaluated", "", p.asked * 10},
		{"decision, a rule that looks", "the same with one rule more, which reads the person's groups and the endpoint's entry", looking, p.asked / 5},
	} {
		var takes [2]take
		for i, n := range []int{fewEndpoints, p.many} {
			bundle, err := s.loadList(ctx, fmt.Sprintf("rules-%d-%d", len(list), n), n, kind.rule)
			if err != nil {
				return nil, err
			}
			takes[i] = s.decides(ctx, bundle, kind.n)
		}
		list = append(list, decision{kind.name, kind.what, takes[0], takes[1]})
	}
	return list, nil
}

// loadList loads the shipped policies with n endpoints and one rule more.
func (s *stage) loadList(ctx context.Context, name string, n int, rule string) (*policies.Bundle, error) {
	dir, err := s.writeList(name, n)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, gatewayRego)
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, append(raw, rule...), 0o600); err != nil {
		return nil, err
	}
	return policies.Load(ctx, dir)
}

// decides takes the CPU time of the policies' part of the call that the checks are asked about.
func (s *stage) decides(ctx context.Context, bundle *policies.Bundle, n int) take {
	service, _ := s.crossing.claims["client_id"].(string)
	path, _, _ := strings.Cut(issue, "?")
	in := policies.CrossInput{
		Product: product, Method: "GET", Path: path, Query: []string{"fields"}, Caller: s.crossing.spiffe, Client: service, Cloud: s.crossing.cloud.ID,
		User: policies.User{Provider: "corp", Groups: []string{"staff"}, ACR: "urn:acr:pwd", AMR: []string{"pwd"}},
	}
	return func(int) (float64, error) {
		now := time.Now()
		return threadMicros(n, func() error {
			endpoint, ok := bundle.Match(in.Product, in.Method, in.Path, now)
			if !ok || !endpoint.Admits(in.Caller) {
				return fmt.Errorf("bench: the policies do not expose the call")
			}
			in.Endpoint = endpoint.ID
			made, err := bundle.Cross(ctx, in)
			if err != nil { // on a machine that does not get around to it, an evaluation can run out of its time
				made, err = bundle.Cross(ctx, in)
			}
			if err == nil && !made.Allow {
				err = fmt.Errorf("bench: the policies refuse the call: %s", made.Reason)
			}
			return err
		})
	}
}

// threadMicros is the CPU time of doing something once, in microseconds. It is this thread's: what else goes on in the process does not count, the
// collection of the garbage that is made here included.
func threadMicros(n int, do func() error) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n = max(n, 1)
	before, err := threadTime()
	if err != nil {
		return 0, err
	}
	for range n {
		if err := do(); err != nil {
			return 0, err
		}
	}
	after, err := threadTime()
	return micros(after-before) / float64(n), err
}

func decisionOf(d decision, noOp, few, many []float64) DecisionFigure {
	return DecisionFigure{d.name, d.what, spreadOf(few), spreadOf(many), spreadOf(ratios(many, noOp)), spreadOf(ratios(many, few))}
}
