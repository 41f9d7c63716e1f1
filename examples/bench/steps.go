package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"isogate/policies"
	"isogate/xds/snapshot"
)

// measureSteps takes the CPU time of the two large steps of an edit, alone and in this process: what both daemons do to read the policies, and what
// xds then does to make routes of them.
func (s *stage) measureSteps(ctx context.Context, p plan, e *editor) (load, routes Spread, err error) {
	dir, err := s.writeList(fmt.Sprintf("steps-%d", len(e.with)), fewEndpoints)
	if err != nil {
		return load, routes, err
	}
	var bundles [2]*policies.Bundle
	var loads, makes []float64
	var lists snapshot.Lists
	for round := range 2 * (p.edits + 1) {
		text := []string{e.without, e.with}[round%2]
		if err := os.WriteFile(filepath.Join(dir, gatewayRego), []byte(text), 0o600); err != nil {
			return load, routes, err
		}
		took, err := processMillis(func() (err error) {
			bundles[round%2], err = policies.Load(ctx, dir)
			return err
		})
		if err != nil {
			return load, routes, err
		}
		made, err := processMillis(func() error { return s.makeRoutes(bundles[round%2], &lists) })
		if err != nil {
			return load, routes, err
		}
		if round >= 2 { // the first two warm up
			loads, makes = append(loads, took), append(makes, made)
		}
	}
	return spreadOf(loads), spreadOf(makes), nil
}

// makeRoutes does what xds does before it sends anything.
func (s *stage) makeRoutes(bundle *policies.Bundle, lists *snapshot.Lists) error {
	certificates := []snapshot.Certificate{{Name: "bench", Chain: []byte("chain")}}
	resources, err := lists.Gateway(s.crossing.cloud, bundle.Endpoints(), certificates, []byte("callers"))
	if err != nil {
		return err
	}
	if err := snapshot.Validate(resources); err != nil {
		return err
	}
	resources.Version()
	return nil
}

// processMillis is the CPU time of this process while something is done, the garbage that it makes included.
func processMillis(do func() error) (float64, error) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := cpuTime(os.Getpid())
	return millis(after - before), err
}
