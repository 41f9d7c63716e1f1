package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// diary notes in which order things happen.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// unit waits for its end, takes some time over it and returns err.
func (d *diary) unit(name string, takes time.Duration, err error) Unit {
	return Unit{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		d.note(name + " asked")
		time.Sleep(takes)
		d.note(name + " ended")
		return err
	}}
}

// after ends on its own.
func after(name string, wait time.Duration, err error) Unit {
	return Unit{Name: name, Run: func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
			return err
		}
	}}
}

func TestUnitsEndInOppositeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		var d diary
		start := time.Now()
		err := runUnits(ctx, quiet, nothing, d.unit("store", time.Second, nil), d.unit("door", 2*time.Second, nil), d.unit("checks", 0, nil))
		want := []string{"checks asked", "checks ended", "door asked", "door ended", "store asked", "store ended"}
		if diff := cmp.Diff(want, d.read()); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if took := time.Since(start); took != time.Minute+3*time.Second {
			t.Errorf("took %s: each ends before the next is asked", took)
		}
	})
}

func TestUnitsResult(t *testing.T) {
	boom, late := errors.New("boom"), errors.New("late")
	var d diary
	tests := []struct {
		name   string
		cancel time.Duration
		units  []Unit
		want   string
	}{
		{"cancelled", time.Second, []Unit{d.unit("a", 0, nil)}, ""},
		{"cancelled, none", time.Second, nil, ""},
		{"one fails", time.Hour, []Unit{d.unit("a", 0, nil), after("b", time.Second, boom)}, "b: boom"},
		{"the first error wins over one while ending", time.Hour, []Unit{d.unit("a", 0, late), after("b", time.Second, boom)}, "b: boom"},
		{"the first of two wins", time.Hour, []Unit{after("a", 2*time.Second, late), after("b", time.Second, boom)}, "b: boom"},
		{"an error while ending counts", time.Second, []Unit{d.unit("a", 0, boom), d.unit("b", 0, nil)}, "a: boom"},
		{"the first error while ending wins", time.Second, []Unit{d.unit("a", 0, late), d.unit("b", 0, boom)}, "b: boom"},
		{"nil too early", time.Hour, []Unit{d.unit("a", 0, nil), after("b", time.Second, nil)}, "b: ended on its own"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.cancel)
				defer cancel()
				got := ""
				if err := runUnits(ctx, quiet, nothing, tt.units...); err != nil {
					got = err.Error()
				}
				if got != tt.want {
					t.Errorf("error %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestUnitsErrorIsWrapped(t *testing.T) {
	if err := runUnits(t.Context(), quiet, nothing, after("a", 0, io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error = %v", err)
	}
}

// A unit that hangs is named in the log and the error, and does not keep the others from ending.
func TestUnitThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var d diary
		var log bytes.Buffer
		start := time.Now()
		err := runUnits(ctx, slog.New(slog.NewTextHandler(&log, nil)), nothing, d.unit("store", 0, nil), d.unit("stuck", time.Hour, errors.New("too late")), d.unit("door", 0, nil))
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "stuck: did not end") || took != time.Second+drainTime {
			t.Errorf("ended after %s with %v", took, err)
		}
		want := []string{"door asked", "door ended", "stuck asked", "store asked", "store ended"}
		if diff := cmp.Diff(want, d.read()); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(log.String(), "unit=stuck") || strings.Contains(log.String(), "unit=door") {
			t.Errorf("log: %s", log.String())
		}
		time.Sleep(time.Hour) // lets the unit end
	})
}

// The values of the context that runUnits has reach the units; its end does not: each has an end of its own.
func TestUnitsContext(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	cancel()
	seen := make(chan any, 1)
	err := runUnits(ctx, quiet, nothing, Unit{Name: "a", Run: func(ctx context.Context) error {
		seen <- ctx.Value(key{})
		<-ctx.Done()
		return nil
	}})
	if got := <-seen; err != nil || got != "v" {
		t.Errorf("value %v, error %v", got, err)
	}
}

func TestEndingComesBeforeTheFirstUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var d diary
		err := runUnits(ctx, quiet, func() { d.note("draining") }, d.unit("a", 0, nil))
		if err != nil || !slices.Equal(d.read(), []string{"draining", "a asked", "a ended"}) {
			t.Errorf("%v %v", err, d.read())
		}
	})
}

func nothing() {}
