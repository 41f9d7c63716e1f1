package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func ask(a *Admin, path string) (int, string) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func wantAnswer(t *testing.T, a *Admin, path string, status int, parts ...string) {
	t.Helper()
	got, body := ask(a, path)
	if got != status {
		t.Errorf("%s: status %d, want %d: %s", path, got, status, body)
	}
	for _, part := range parts {
		if !strings.Contains(body, part) {
			t.Errorf("%s: %q lacks %q", path, body, part)
		}
	}
}

func TestAdminReady(t *testing.T) {
	a := NewAdmin()
	wantAnswer(t, a, "/readyz", 200, "{}")
	a.Ready("policies", errors.New("no bundle yet"))
	a.Ready("provider", nil)
	wantAnswer(t, a, "/readyz", 503, `"policies": "no bundle yet"`, `"provider": "ok"`)
	wantAnswer(t, a, "/healthz", 200, "ok")
	a.Ready("policies", nil)
	wantAnswer(t, a, "/readyz", 200, `"policies": "ok"`)
	a.Drain()
	a.Ready("policies", nil)
	wantAnswer(t, a, "/readyz", 503)
	wantAnswer(t, a, "/healthz", 200, "ok")
	wantAnswer(t, a, "/status", 200, `"ready": false`)
}

func TestAdminStatus(t *testing.T) {
	a := NewAdmin()
	a.Ready("store", errors.New("locked"))
	a.Note("digest", "d1")
	a.Note("digest", "d2")
	a.Note("envoys", map[string]int{"ingress": 1})
	_, body := ask(a, "/status")
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"ready": false, "conditions": map[string]any{"store": "locked"},
		"notes": map[string]any{"digest": "d2", "envoys": map[string]any{"ingress": 1.0}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A note that cannot be written is an error with a cause, not an empty page with status 200.
func TestAdminStatusOfABadNote(t *testing.T) {
	a := NewAdmin()
	a.Note("rate", math.NaN())
	wantAnswer(t, a, "/status", 500, "NaN")
}

// Secrets do not reach the status page, even by mistake.
func TestAdminStatusHidesSecrets(t *testing.T) {
	a := NewAdmin()
	a.Note("key", readHush(t))
	a.Note("section", struct{ Key Secret }{readHush(t)})
	if _, body := ask(a, "/status"); leaks(body) || strings.Count(body, "[redacted]") != 2 {
		t.Error(body)
	}
}

func TestAdminMetrics(t *testing.T) {
	a := NewAdmin()
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "isogate_test_total", Help: "h"})
	a.Metrics.MustRegister(count)
	count.Inc()
	wantAnswer(t, a, "/metrics", 200, "isogate_test_total 1", "go_goroutines", "process_open_fds")
}

func TestAdminUnknown(t *testing.T) {
	a := NewAdmin()
	for _, path := range []string{"/", "/healthz/", "/debug/pprof/", "/Status", "//status"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		if a.ServeHTTP(w, r); w.Code != 404 {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

func TestReloaded(t *testing.T) {
	a := NewAdmin()
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	a.Reloaded(log, "policies", nil)
	wantAnswer(t, a, "/status", 200, `"reload of policies": "ok"`)
	a.Reloaded(log, "policies", errors.New("line 3 is wrong"))
	a.Reloaded(log, "config", nil)
	wantAnswer(t, a, "/status", 200, `"reload of policies": "failed, the last good state stays: line 3 is wrong"`, `"reload of config": "ok"`)
	wantAnswer(t, a, "/metrics", 200, `isogate_reloads_total{result="ok",what="policies"} 1`,
		`isogate_reloads_total{result="failed",what="policies"} 1`, `isogate_reloads_total{result="ok",what="config"} 1`)
	wantAnswer(t, a, "/readyz", 200) // the last good state serves
	for _, part := range []string{`"level":"INFO","msg":"loaded","what":"policies"`, `"level":"ERROR"`, `"error":"line 3 is wrong"`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("log lacks %s: %s", part, out.String())
		}
	}
}

func TestAdminUnit(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := Address(l.Addr().String())
	if _, err := NewAdmin().Unit(taken); err == nil || !strings.Contains(err.Error(), "the admin listener") {
		t.Errorf("a taken port: error = %v", err)
	}
	if _, err := NewAdmin().Unit(""); err == nil {
		t.Error("no address: bound")
	}
	l.Close()
	u, err := NewAdmin().Unit(taken)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	client := &http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + string(taken) + "/healthz")
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v, %v", answer, err)
	}
	answer.Body.Close()
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
