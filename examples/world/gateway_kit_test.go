package world

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issueTarget is what the shipped policies expose to the Support Centre.
const issueTarget = "/rest/api/issue/OPS-1?fields=summary"

// editSeen is how long an edit may take until it counts, on a machine that has other things to do.
const editSeen = 5 * time.Second

const gatewayRego = "gateway.rego"

// calls is what a service was given for the person of a browser.
func calls(t *testing.T, b *Browser, service string) Call {
	t.Helper()
	c, err := shared.Given(b, service)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// proven is a call with what the sidecar of the Support Centre would make of it.
func proven(t *testing.T, c Call) Call {
	t.Helper()
	opened, err := shared.Opened("support", c)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// endpoint is one of the issue tracker in the policies; callers are names, support alone if there are none.
func endpoint(id, method, path, body string, callers ...string) string {
	if len(callers) == 0 {
		callers = []string{"support"}
	}
	var ids []string
	for _, name := range callers {
		ids = append(ids, SPIFFE(name))
	}
	listed, _ := json.Marshal(ids) // strings always can
	return fmt.Sprintf("endpoints[%q] := {\"product\": \"issues\", \"method\": %q, \"path\": %q, \"body\": %q, \"callers\": %s}\n",
		id, method, path, body, listed)
}

// withEndpoints is the text of the cloud's policies for the gateway, and of the same with more endpoints.
func withEndpoints(t *testing.T, entries ...string) (was, now string) {
	t.Helper()
	was = string(must2(t)(os.ReadFile(filepath.Join(shared.Policies(), gatewayRego))))
	return was, was + "\n" + strings.Join(entries, "")
}

// exposes adds endpoints for the time of a test, and comes back when all who enforce the policies have them.
func exposes(t *testing.T, entries ...string) {
	t.Helper()
	was, now := withEndpoints(t, entries...)
	writesGateway(t, now)
	t.Cleanup(func() { writesGateway(t, was) })
}

// writesGateway puts policies for the gateway in the place of the ones that are there, and waits until both daemons have taken them.
func writesGateway(t *testing.T, text string) {
	t.Helper()
	before := noted(t, shared.ports.extauth, "policies")
	if err := shared.WritePolicy(gatewayRego, text); err != nil {
		t.Error(err)
	}
	eventually(t, "both daemons have the policies", func() bool {
		now := noted(t, shared.ports.extauth, "policies")
		return now != before && noted(t, shared.ports.xds, "policies") == now
	})
	time.Sleep(50 * time.Millisecond) // from the control plane to Envoy, which says nothing of it here
}

// noted is what a daemon's /status says under a name, "" if nothing.
func noted(t *testing.T, admin int, name string) string {
	t.Helper()
	var status struct{ Notes map[string]any }
	raw, err := fetch(context.Background(), "http://"+local(admin)+"/status")
	if err != nil {
		t.Log(err)
		return ""
	}
	if err := json.Unmarshal(raw, &status); err != nil {
		t.Fatal(err)
	}
	text, _ := status.Notes[name].(string)
	return text
}

// reached is how many requests reached any product of any cloud.
func reached() (n int64) {
	for _, c := range shared.clouds() {
		for _, p := range c.Products {
			n += p.Hits()
		}
	}
	return n
}

// crossed is an answer of a call, or why there is none, and how long it took.
type crossed struct {
	Answer
	err  error
	took time.Duration
}

func answered(call func() (Answer, error)) crossed {
	began := time.Now()
	a, err := call()
	return crossed{a, err, time.Since(began)}
}

// checkTime is how long Envoy waits for its check.
const checkTime = time.Second

// starved tells whether a check was waited for in vain. On a machine that is busy with something else that happens; what comes at once has another cause.
func (o crossed) starved() bool {
	return o.Status == http.StatusServiceUnavailable && o.Reason() == "unavailable" && o.took >= checkTime
}

// fromSupport calls as the Support Centre does, again where a check was starved.
func fromSupport(c Call) (o crossed) {
	for range 5 {
		if o = answered(func() (Answer, error) { return shared.CallSidecar("support", c) }); !o.starved() {
			break
		}
	}
	return o
}

func atGateway(caller string, c Call) crossed {
	return answered(func() (Answer, error) { return shared.CallGateway(caller, c) })
}

// fault says what is wrong with what should be a refusal of the gateway's or the sidecar's, or with reason "" a product's answer; "" if nothing is.
func (o crossed) fault(status int, reason string) string {
	switch {
	case o.err != nil:
		return o.err.Error()
	case o.Status != status, o.Reason() != reason:
		return fmt.Sprintf("%d %q, want %d %q: %.200s", o.Status, o.Reason(), status, reason, o.Body)
	case o.Header.Get("Cache-Control") != "no-store":
		return fmt.Sprintf("%d with cache-control %q", o.Status, o.Header.Get("Cache-Control"))
	}
	return ""
}

// productServes has a handler stand in front of the issue tracker for the time of a test.
func productServes(t *testing.T, wrap func(product http.Handler) http.Handler) {
	t.Helper()
	for _, s := range shared.sites {
		if s.handler != http.Handler(shared.Products["issues"]) {
			continue
		}
		was := s.handler
		put := func(h http.Handler) {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			s.handler = h
			if err := s.Start(); err != nil {
				t.Error(err)
			}
		}
		put(wrap(was))
		t.Cleanup(func() { put(was) })
	}
}
