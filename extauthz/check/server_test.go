package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
)

type decider func(context.Context, Request) Verdict

func (d decider) Decide(ctx context.Context, r Request) Verdict { return d(ctx, r) }

// harness is a server with its metrics and its log.
type harness struct {
	*Server
	t        *testing.T
	registry *prometheus.Registry
	log      *bytes.Buffer
}

func serve(t *testing.T, d decider) harness {
	t.Helper()
	h := harness{t: t, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	h.Server = NewServer("ingress", d, slog.New(slog.NewTextHandler(h.log, nil)), Metrics(h.registry))
	return h
}

func (h harness) check(ctx context.Context, in *auth.CheckRequest) (wire, string) {
	h.t.Helper()
	r := answered(h.t, h.Server.check(ctx, sent(in)))
	return read(h.t, r), r.String()
}

// counts gives the number of checks by "profile/reason".
func (h harness) counts() map[string]uint64 {
	h.t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += "/" + l.GetValue()
			}
			counts[key] = m.GetHistogram().GetSampleCount()
		}
	}
	return counts
}

// A panic is the denial of one request; the next one is decided as if nothing had been.
func TestAPanicDeniesOneRequest(t *testing.T) {
	h := serve(t, func(_ context.Context, r Request) Verdict {
		if r.Path == "/panic" {
			panic("a secret: " + r.Header.Get("x-name"))
		}
		return Verdict{Allow: true, Reason: Anonymous}
	})
	got, answer := h.check(t.Context(), question("GET", issuesHost, "/panic", "x-name", "hunter2"))
	if got != (wire{false, 503, "unavailable"}) || strings.Contains(answer, "secret") || strings.Contains(answer, "goroutine") {
		t.Errorf("%+v: %s", got, answer)
	}
	if log := h.log.String(); !strings.Contains(log, "panic") || !strings.Contains(log, "server_test.go") || strings.Count(log, "\n") != 1 {
		t.Errorf("one line with the place is expected: %s", log)
	}
	if got, _ := h.check(t.Context(), question("GET", issuesHost, "/")); !got.allow {
		t.Error("the request after a panic is denied")
	}
}

func TestAPanicOfEveryKindDenies(t *testing.T) {
	for name, fault := range map[string]func(){
		"nil map":   func() { var m map[string]int; m["x"] = 1 }, //lint:ignore SA5000 the panic is the point
		"nil error": func() { var err error; _ = err.Error() },
		"error":     func() { panic(errors.New("x")) },
		"nil":       func() { panic(nil) },
		"no text":   func() { panic(struct{ a, b any }{}) },
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(context.Context, Request) Verdict { fault(); return Verdict{Allow: true, Reason: Own} })
			if got, _ := h.check(t.Context(), question("GET", issuesHost, "/")); got != (wire{false, 503, "unavailable"}) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Envoy gives up after its timeout; a decider that heeds its context ends then, as a denial.
func TestASlowDeciderEndsWithEnvoysTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, func(ctx context.Context, _ Request) Verdict {
			<-ctx.Done()
			return Verdict{Reason: Unavailable, Cause: ctx.Err()}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if got, _ := h.check(ctx, question("GET", issuesHost, "/")); got != (wire{false, 503, "unavailable"}) || time.Since(began) != time.Second {
			t.Errorf("%+v after %s", got, time.Since(began))
		}
		if !strings.Contains(h.log.String(), "deadline exceeded") {
			t.Errorf("a store that is slow is not in the log: %s", h.log)
		}
	})
}

// Anybody can open a request and leave; that must not fill the log.
func TestAClientThatLeavesIsNotLogged(t *testing.T) {
	h := serve(t, func(ctx context.Context, _ Request) Verdict {
		return Verdict{Reason: Unavailable, Cause: fmt.Errorf("session: %w", ctx.Err())}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, _ := h.check(ctx, question("GET", issuesHost, "/")); got.allow || h.log.Len() > 0 {
		t.Errorf("%+v, %s", got, h.log)
	}
}

func TestTheCauseIsLoggedAndNeverAnswered(t *testing.T) {
	h := serve(t, func(context.Context, Request) Verdict {
		v := Deny(503, Unavailable, true, "")
		v.Cause = errors.New("disk /var/lib is full\r\nlevel=INFO msg=\"forged\" \x1b[31m")
		return v
	})
	_, answer := h.check(t.Context(), question("GET", issuesHost, "/"))
	if strings.Contains(answer, "disk") {
		t.Error("the cause is answered")
	}
	log := h.log.String()
	if !strings.Contains(log, "disk /var/lib is full") || !strings.Contains(log, "reason=unavailable") || !strings.Contains(log, "profile=ingress") {
		t.Errorf("the log: %s", log)
	}
	if strings.Count(log, "\n") != 1 || strings.ContainsAny(log, "\r\x1b") { // CVE-2024-45808
		t.Errorf("a cause can forge log lines: %q", log)
	}
}

// envoy#14001: what could not be decided and what was refused are two words in the metrics.
func TestMetricsCountByProfileAndReason(t *testing.T) {
	verdicts := map[string]Verdict{
		"/pass": {Allow: true, Reason: Session}, "/policy": Deny(403, Policy, false, ""), "/zero": {}, "/lie": {Reason: Session}, "/skew": Deny(503, Skew, false, ""),
	}
	h := serve(t, func(_ context.Context, r Request) Verdict { return verdicts[r.Path] })
	for path := range verdicts {
		h.check(t.Context(), question("GET", issuesHost, path))
	}
	h.check(t.Context(), question("GET", issuesHost, "/a%2fb"))
	h.check(t.Context(), question("GET", issuesHost, "/pass"))
	want := map[string]uint64{"session": 2, "policy": 1, "unavailable": 2, "bad-request": 1, "skew": 1}
	got := h.counts()
	for reason, n := range want {
		if got["isogate_checks_seconds/ingress/"+reason] != n {
			t.Errorf("%s: %v", reason, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("more than was asked: %v", got)
	}
}

func TestAVerdictThatContradictsItselfIsInTheLog(t *testing.T) {
	h := serve(t, func(context.Context, Request) Verdict { return Verdict{Allow: true, Reason: Policy} })
	h.check(t.Context(), question("GET", issuesHost, "/"))
	if !strings.Contains(h.log.String(), "contradicts itself") {
		t.Errorf("the log: %s", h.log)
	}
}

// A malformed request is the client's fault and reaches no decider. An Envoy that is set up wrongly is ours.
func TestWhatCannotBeReadIsNotDecided(t *testing.T) {
	h := serve(t, func(context.Context, Request) Verdict { t.Error("was asked"); return Verdict{Allow: true, Reason: Own} })
	for name, in := range map[string]*auth.CheckRequest{
		"nothing": nil, "empty": {}, "path": question("GET", issuesHost, "/a/..;/b"), "method": question("TRACE", issuesHost, "/"),
		"header": question("GET", issuesHost, "/", "x", "\xff"), "host": question("GET", "a@b", "/"), "asterisk": question("OPTIONS", issuesHost, "*"),
	} {
		if got, _ := h.check(t.Context(), in); got != (wire{false, 400, "bad-request"}) || h.log.Len() > 0 {
			t.Errorf("%s: %+v, %s", name, got, h.log)
		}
	}
	in := question("GET", issuesHost, "/")
	in.Attributes.Request.Http.HeaderMap = nil
	if got, _ := h.check(t.Context(), in); got != (wire{false, 503, "unavailable"}) || !strings.Contains(h.log.String(), "encode_raw_headers") {
		t.Errorf("no raw headers: %+v, %s", got, h.log)
	}
}

func TestProfilesShareOneMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, quiet := Metrics(registry), slog.New(slog.DiscardHandler)
	var all sync.WaitGroup
	for _, name := range []string{"ingress", "gateway"} {
		s := NewServer(name, decider(func(context.Context, Request) Verdict { return Verdict{} }), quiet, metrics)
		all.Go(func() {
			for range 50 {
				s.check(context.Background(), sent(question("GET", issuesHost, "/")))
			}
		})
	}
	all.Wait()
	got := harness{t: t, registry: registry}.counts()
	if got["isogate_checks_seconds/ingress/unavailable"] != 50 || got["isogate_checks_seconds/gateway/unavailable"] != 50 {
		t.Errorf("%v", got)
	}
}
