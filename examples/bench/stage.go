package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"isogate/envoy/run"
	"isogate/examples/world"
)

// stage is all that runs while figures are taken: the world, a backend that costs next to nothing, a double of each Envoy that asks a check, the
// no-op that the one at the ingress asks, and the people.
type stage struct {
	world   *world.World
	dir     string // what the stage itself writes, sockets included: short
	inside  side
	gateway side
	outside side
	sidecar side
	envoys  []*run.Envoy
	xds     []*child // of the doubles
	noop    *child
	backend string // address of the backend

	questions map[string]question // by the name of a scenario, as Envoy asked them
	sessions  []string            // handles at issues whose token is in the cache
	fresh     []string            // handles at wiki for which no token was ever made
	outsiders []string            // sealed sessions at the Support Centre
	person    *world.Browser      // of one who is signed in there
	crossing  *crossing           // what their calls take
}

func openStage(ctx context.Context, p plan) (_ *stage, err error) {
	s := &stage{questions: map[string]question{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if s.world, err = world.Start(ctx, world.Options{
		Dir: filepath.Join(s.dir, "world"), Progress: os.Stderr, CheckEvery: "1h", // no session outside becomes due for an ask while it is measured
	}); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"starting the backend", s.startBackend},
		{"exposing endpoints", s.expose},
		{"starting the doubles", s.startDoubles},
		{"signing people in", func(ctx context.Context) error { return s.signIn(ctx, p) }},
		{"signing people in outside", s.signInOutside},
		{"making ready for calls", s.openCrossing},
		{"recording what Envoy asks", s.record},
		{"starting the no-op", s.startNoOp},
	} {
		say("%s", step.what)
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", step.what, err)
		}
	}
	return s, nil
}

// close ends everything. The files go too: they hold keys and handles.
func (s *stage) close() {
	for _, e := range s.envoys {
		_ = e.Stop()
	}
	for _, c := range append(s.xds, s.noop) {
		if c != nil {
			c.stop()
		}
	}
	if s.world != nil {
		s.world.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// eventually waits for what a change of a file brings about.
func eventually(ctx context.Context, holds func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := holds()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
