package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// EditFigure is how long an edit of gateway.rego takes until it is in force at the gateway, in milliseconds from the moment at which the finished file
// is renamed into its place. What it changes is one endpoint among many.
type EditFigure struct {
	Endpoints int    `json:"endpoints"`
	Edits     int    `json:"edits"` // of each kind
	Exposed   Spread `json:"exposed"`
	Withdrawn Spread `json:"withdrawn"`
	ExtAuthz  Spread `json:"extauthz"` // until it has the new policies; these three are over both kinds of edits
	XDS       Spread `json:"xds"`      // until it sends the new routes
	Envoy     Spread `json:"envoy"`    // until the gateway's Envoy has taken them over
	CPU       Taken  `json:"cpu"`      // of an edit
	Load      Spread `json:"load"`     // CPU time of reading, compiling, testing and checking the folder once
	Routes    Spread `json:"routes"`   // CPU time of making and validating the gateway's resources after an edit
}

// Taken is the CPU time of the three processes from the save to the effect, the calls that ask for the effect included.
type Taken struct {
	ExtAuthz Spread `json:"extauthz"`
	XDS      Spread `json:"xds"`
	Envoy    Spread `json:"envoy"`
}

// The endpoint that comes and goes.
const (
	edited     = "bench.edited"
	editedPath = "/rest/edited/{key}"
	editedCall = "/rest/edited/ACME-1"
)

// pollEvery is how often the gateway is asked whether an edit is in force. The daemons that have to read it run on the same machine.
const pollEvery = 4 * time.Millisecond

// measureEdits edits the policies of the running world.
func (s *stage) measureEdits(ctx context.Context, p plan) (figures []EditFigure, err error) {
	for _, n := range p.lists {
		say("measuring: edits of %d endpoints", n)
		figure, err := s.measureEdit(ctx, p, n)
		if err != nil {
			return nil, fmt.Errorf("bench: edits of %d endpoints: %w", n, err)
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

func (s *stage) measureEdit(ctx context.Context, p plan, n int) (f EditFigure, err error) {
	e, err := s.newEditor(n)
	if err != nil {
		return f, err
	}
	defer e.client.CloseIdleConnections()
	if _, err := e.edit(ctx, e.without, http.StatusForbidden); err != nil { // the whole list is new
		return f, err
	}
	var exposed, withdrawn []effect
	for range p.edits {
		in, err := e.edit(ctx, e.with, http.StatusOK)
		if err != nil {
			return f, fmt.Errorf("exposing: %w", err)
		}
		out, err := e.edit(ctx, e.without, http.StatusForbidden)
		if err != nil {
			return f, fmt.Errorf("withdrawing: %w", err)
		}
		exposed, withdrawn = append(exposed, in), append(withdrawn, out)
	}
	f = EditFigure{Endpoints: n, Edits: p.edits, Exposed: spreadOver(exposed, effect.seen), Withdrawn: spreadOver(withdrawn, effect.seen)}
	both := append(exposed, withdrawn...)
	f.ExtAuthz, f.XDS, f.Envoy = spreadOver(both, effect.toExtAuthz), spreadOver(both, effect.toXDS), spreadOver(both, effect.toEnvoy)
	f.CPU = Taken{spreadOver(both, cpuOf("extauthz")), spreadOver(both, cpuOf("xds")), spreadOver(both, cpuOf(gatewayEnvoy))}
	f.Load, f.Routes, err = s.measureSteps(ctx, p, e)
	return f, err
}

// effect is what an edit brought about, and when.
type effect struct {
	saved, answered, extauthz, xds, envoy time.Time
	used                                  map[string]time.Duration // CPU time, by part
}

func (e effect) seen() time.Duration       { return e.answered.Sub(e.saved) }
func (e effect) toExtAuthz() time.Duration { return e.extauthz.Sub(e.saved) }
func (e effect) toXDS() time.Duration      { return e.xds.Sub(e.saved) }
func (e effect) toEnvoy() time.Duration    { return e.envoy.Sub(e.saved) }

func cpuOf(part string) func(effect) time.Duration {
	return func(e effect) time.Duration { return e.used[part] }
}

func spreadOver(all []effect, of func(effect) time.Duration) Spread {
	values := make([]float64, len(all))
	for i, e := range all {
		values[i] = millis(of(e))
	}
	return spreadOf(values)
}

// editor edits the world's gateway.rego, and calls the endpoint that comes and goes.
type editor struct {
	s             *stage
	client        *http.Client
	file          string
	with, without string
}

func (s *stage) newEditor(n int) (*editor, error) {
	shipped, err := s.shipped()
	if err != nil {
		return nil, err
	}
	list := exposedText(shipped, n-1)
	return &editor{
		s: s, client: s.crossing.client(string(s.gateway.own.listener)), file: filepath.Join(s.world.Policies(), gatewayRego),
		with: list + endpointText(edited, editedPath), without: list,
	}, nil
}

// edit saves a text as editors and deployments do, and waits until a call is answered with the status; then until both daemons and Envoy are done with
// it, and for a moment more, so that the next edit meets them at any point between two looks.
func (e *editor) edit(ctx context.Context, text string, status int) (done effect, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	watched, err := e.s.watchEdit()
	if err != nil {
		return done, err
	}
	fresh := filepath.Join(filepath.Dir(e.file), "."+gatewayRego) // nobody looks at it: the name begins with a dot
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		return done, err
	}
	done.saved = time.Now()
	if err := os.Rename(fresh, e.file); err != nil {
		return done, err
	}
	if done.answered, err = e.until(ctx, status); err != nil {
		return done, err
	}
	if err := watched.into(ctx, &done); err != nil {
		return done, err
	}
	return done, pause(ctx, 50*time.Millisecond+rand.N(150*time.Millisecond))
}

// until calls until the answer has a status. In between, as long as only one of the two enforcement points has the edit, there may be others.
func (e *editor) until(ctx context.Context, status int) (time.Time, error) {
	for {
		got, err := e.s.crossing.call(ctx, e.client, editedCall)
		if err != nil {
			return time.Time{}, err
		}
		if got == status {
			return time.Now(), nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			return time.Time{}, fmt.Errorf("the last answer is %d, want %d: %w", got, status, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
