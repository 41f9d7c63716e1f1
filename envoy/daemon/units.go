package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// drainTime is how long one unit may take to end once it was asked to.
const drainTime = 15 * time.Second

// A Unit is one thing that runs as long as the daemon does. Run returns nil when its context ends, or the error that ends the daemon.
// Whatever it listens on is bound before the Unit exists, so that a bind error is an error of the start.
type Unit struct {
	Name string
	Run  func(context.Context) error
}

// runUnits runs all units until the context ends or one of them returns, then ends them in the opposite order, each before the next:
// what stands early in the list (a store) outlives what stands late (a server that uses it). It calls ending before it asks the first unit to
// end, whatever the cause, and returns the first error.
func runUnits(ctx context.Context, log *slog.Logger, ending func(), units ...Unit) error {
	type result struct {
		unit Unit
		err  error
	}
	ended := make(chan result, len(units))
	running := make([]func() bool, 0, len(units))
	for _, u := range units {
		unitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		go func() {
			defer close(done)
			ended <- result{u, u.Run(unitCtx)}
		}()
		running = append(running, func() bool { cancel(); return within(drainTime, done) })
	}
	var first error
	select {
	case <-ctx.Done():
	case e := <-ended:
		first = fmt.Errorf("%s: %w", e.unit.Name, errors.Join(e.err, errEnded(e.err)))
	}
	ending()
	for i := len(units) - 1; i >= 0; i-- {
		if !running[i]() {
			log.Error("unit did not end in time", "unit", units[i].Name, "after", drainTime)
			first = cmp.Or(first, fmt.Errorf("%s: did not end within %s", units[i].Name, drainTime))
		}
	}
	for len(ended) > 0 {
		if e := <-ended; e.err != nil && first == nil {
			first = fmt.Errorf("%s: %w", e.unit.Name, e.err)
		}
	}
	return first
}

// errEnded says why a unit that returned nil too early ends the daemon all the same.
func errEnded(err error) error {
	if err == nil {
		return errors.New("ended on its own")
	}
	return nil
}

func within(limit time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
