package differential

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// Each starts with the first test that needs it: the coordinator of a fuzz run, and its every worker, has one of its own.
var (
	shared       = sync.OnceValues(func() (*world, error) { w, err := start(); return w, atEnd(w, err) })
	sharedBorder = sync.OnceValues(func() (*border, error) { b, err := startBorder(); return b, atEnd(b, err) })
)

// toStop are the worlds that were started: a run that needs none starts none.
var toStop []interface{ stop() }

// atEnd has a world stopped at the end of the run, if there is one.
func atEnd(w interface{ stop() }, err error) error {
	if err == nil {
		toStop = append(toStop, w)
	}
	return err
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, w := range toStop {
		w.stop()
	}
	os.Exit(code)
}

func theWorld(t testing.TB) *world {
	t.Helper()
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func theBorder(t testing.TB) *border {
	t.Helper()
	b, err := sharedBorder()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// check sends a request and reports every rule that it broke, with all that is needed to send it again. What a busy machine was too late for, as the
// check has a second and a policy 50 ms, is asked again: what an input causes, it causes each time.
func (w *world) check(t testing.TB, r request) outcome {
	t.Helper()
	o := w.exchange(r)
	for again := 0; again < 5 && o.answer.fails(); again++ {
		o = w.exchange(r)
	}
	if o.unreachable != nil {
		t.Fatalf("the ingress: %v", o.unreachable)
	}
	for _, of := range append([]outcome{o}, o.late...) {
		for _, broken := range w.judge(of) {
			t.Errorf("%s\n%s", broken, w.describe(of))
		}
	}
	return o
}

// describe tells all, but for what would be a secret elsewhere and is long.
func (w *world) describe(o outcome) string {
	r := o.sent
	text := fmt.Sprintf("  sent in %s to %s: %q %q, hosts %q, lines %q, body %q\n  answer: %v", r.protocol(), r.sni, r.method, r.target, r.hosts, r.lines, r.body, o.answer)
	for _, d := range o.decisions {
		text += fmt.Sprintf("\n  check: %q %q %q ?%q, route %+v: %s %v", d.Host, d.Method, d.Path, d.Query, d.Route, d.verdict.Reason, d.verdict.Cause)
	}
	for _, a := range o.arrivals {
		text += fmt.Sprintf("\n  %s received: %q", a.backend, a.head)
		if a.decision != nil && a.token() != "" {
			text = strings.ReplaceAll(text, a.token(), "(the token)")
		}
	}
	for host, handle := range w.handles {
		text = strings.ReplaceAll(text, string(handle), "(the handle for "+host+")")
	}
	return text
}
