package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func loadSample(file string) (*sample, error) {
	s := new(sample)
	return s, Load(file, s)
}

func started(units ...Unit) func(context.Context, *Process, *sample) ([]Unit, error) {
	return func(context.Context, *Process, *sample) ([]Unit, error) { return units, nil }
}

func neverStarted(t *testing.T) func(context.Context, *Process, *sample) ([]Unit, error) {
	return func(context.Context, *Process, *sample) ([]Unit, error) {
		t.Error("the daemon was started")
		return nil, errors.New("started")
	}
}

func TestRunStatus(t *testing.T) {
	good, bad := write(t, "name: a\n"), write(t, "nmae: a\n")
	failing := Unit{Name: "u", Run: func(context.Context) error { return errors.New("boom") }}
	tests := []struct {
		name   string
		args   []string
		start  func(context.Context, *Process, *sample) ([]Unit, error)
		want   int
		stdout string
		stderr []string
	}{
		{"check, good", []string{"-config", good, "-check"}, neverStarted(t), 0, good + ": ok\n", nil},
		{"check, bad", []string{"-config", bad, "-check"}, neverStarted(t), 2, "", []string{bad + `:1: nmae: unknown key "nmae"` + "\n", bad + ":1: name: is required\n"}},
		{"bad file", []string{"-config", bad}, neverStarted(t), 2, "", []string{bad + `:1: nmae: unknown key "nmae"` + "\n"}},
		{"missing file", []string{"-config", good + ".none"}, neverStarted(t), 2, "", []string{"no such file"}},
		{"no -config", nil, neverStarted(t), 2, "", []string{"-config FILE is required"}},
		{"-check alone", []string{"-check"}, neverStarted(t), 2, "", []string{"-config FILE is required"}},
		{"a word too many", []string{"-config", good, "more"}, neverStarted(t), 2, "", []string{"nothing else is read"}},
		{"unknown flag", []string{"-what"}, neverStarted(t), 2, "", []string{"-what"}},
		{"help", []string{"-h"}, neverStarted(t), 0, "", []string{"-config", "-check"}},
		{"start fails", []string{"-config", good}, func(context.Context, *Process, *sample) ([]Unit, error) { return nil, errors.New("no port") }, 1, "",
			[]string{`"msg":"ended"`, `"error":"no port"`, `"daemon":"d"`}},
		{"a unit fails", []string{"-config", good}, started(failing), 1, "", []string{`"msg":"started"`, `"error":"u: boom"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			got := run("d", tt.args, &stdout, &stderr, loadSample, tt.start)
			if got != tt.want || stdout.String() != tt.stdout {
				t.Errorf("status %d, stdout %q; want %d, %q", got, stdout.String(), tt.want, tt.stdout)
			}
			for _, want := range tt.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr %q lacks %q", stderr.String(), want)
				}
			}
		})
	}
}

// Main takes the arguments that it is given.
func TestMainTakesArguments(t *testing.T) {
	if got := Main("d", []string{"-config", write(t, "name: a\n"), "extra"}, loadSample, neverStarted(t)); got != exitFaults {
		t.Errorf("status %d", got)
	}
}

// SIGTERM makes the daemon unready before its first unit is asked to end, and it ends with status 0.
func TestRunEndsOnSignal(t *testing.T) {
	var admin *Admin
	ready := make(chan bool, 2)
	start := func(_ context.Context, p *Process, c *sample) ([]Unit, error) {
		if c.Name != "a" {
			t.Errorf("started with %q", c.Name)
		}
		admin = p.Admin
		return []Unit{{Name: "u", Run: func(ctx context.Context) error {
			state, _, _ := admin.status()
			ready <- state
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				return err
			}
			<-ctx.Done()
			state, _, _ = admin.status()
			ready <- state
			return nil
		}}}, nil
	}
	var stdout bytes.Buffer
	if got := run("d", []string{"-config", write(t, "name: a\n")}, &stdout, io.Discard, loadSample, start); got != 0 || stdout.Len() > 0 {
		t.Errorf("status %d, stdout %q", got, stdout.String())
	}
	if before, after := <-ready, <-ready; !before || after {
		t.Errorf("ready before the signal: %t, after it: %t", before, after)
	}
}

// A daemon whose unit failed is not ready either while the others end.
func TestRunDrainsOnFailure(t *testing.T) {
	var after sync.Map
	start := func(_ context.Context, p *Process, _ *sample) ([]Unit, error) {
		return []Unit{
			{Name: "store", Run: func(ctx context.Context) error {
				<-ctx.Done()
				ready, _, _ := p.Admin.status()
				after.Store("ready", ready)
				return nil
			}},
			{Name: "broken", Run: func(context.Context) error { time.Sleep(time.Millisecond); return errors.New("boom") }},
		}, nil
	}
	if got := run("d", []string{"-config", write(t, "name: a\n")}, io.Discard, io.Discard, loadSample, start); got != exitFailed {
		t.Errorf("status %d", got)
	}
	if ready, _ := after.Load("ready"); ready != false {
		t.Errorf("ready = %v while it ends", ready)
	}
}
