package service

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sidecar answers as a sidecar might, and keeps the last request.
func sidecar(t *testing.T, answer http.HandlerFunc) (address string, last **http.Request) {
	t.Helper()
	last = new(*http.Request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = r
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), last
}

// given is what the commercial Envoy gives to a service, and what a browser sent beside it.
var given = map[string]string{CloudHeader: "acme-1234567890abcdef", UserHeader: "u", TokenHeader: "sealed", "Cookie": "a=b", "Authorization": "Bearer x"}

const sample = `{"key":"OPS-1","fields":{"summary":"Backups <slow>","status":"open","priority":"high","team":"platform","updated":"2026-03-02T08:15:00Z"}}`

func TestIssueIsAskedForByTheHeadersThatWereGiven(t *testing.T) {
	address, last := sidecar(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, sample) })
	s := New("support", "Support Centre", address)
	w := ask(t, s, "GET", "/issue/OPS-1?fields=all", "", given)
	for _, want := range []string{"Backups &lt;slow&gt;", "OPS-1", "open", "high", "platform", "2 March 2026, 08:15 UTC", given[CloudHeader]} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in\n%s", want, w.Body)
		}
	}
	if w.Code != 200 || strings.Contains(w.Body.String(), "sealed") {
		t.Errorf("%d, and the page holds the token: %v", w.Code, strings.Contains(w.Body.String(), "sealed"))
	}
	got := (*last).Header
	got.Del("Accept-Encoding") // Go's own
	want := http.Header{"Accept": {"application/json"}, CloudHeader: {given[CloudHeader]}, TokenHeader: {"sealed"}, ProductHeader: {"issues"}, "User-Agent": got["User-Agent"]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if target := (*last).RequestURI; target != "/rest/api/issue/OPS-1?fields=summary" {
		t.Errorf("asked for %s", target)
	}
	if !strings.Contains(string(s.Received()), "Backups <slow>") {
		t.Error("what came back is not recorded")
	}
}

func TestWhyThereIsNoIssue(t *testing.T) {
	problem := func(status int, reason string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"status":%d,"reason":%q}`, status, reason)
		}
	}
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		status int
		want   string
	}{
		{"the session has ended", problem(401, "session-ended"), 403, "has ended"},
		{"the token does not open", problem(401, "token"), 403, "does not open"},
		{"not exposed", problem(403, "not-exposed"), 403, `<code id="reason">not-exposed</code>`},
		{"another cloud's", problem(403, "cloud"), 403, "does not expose this"},
		{"too often", problem(429, "rate"), 503, "no more of them"},
		{"the gateway is away", problem(503, "upstream"), 503, "gives no answer"},
		{"a reason that is markup", problem(403, "<script>"), 503, "&lt;script&gt;"},
		{"no such issue", text(404, `{"error":"no such issue"}`), 404, "No such issue"},
		{"no JSON", text(200, "<b>internals</b>"), 503, "gives no answer"},
		{"another JSON", text(200, "{}"), 503, "gives no answer"},
		{"too long", text(200, `{"key":"`+strings.Repeat("A", maxAnswer)+`"}`), 503, "gives no answer"},
		{"a redirect", text(302, "internals"), 503, "gives no answer"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000")
			fmt.Fprint(w, sample)
		}, 503, "gives no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, last := sidecar(t, c.answer)
			w := ask(t, New("support", "Support Centre", address), "GET", "/issue/OPS-1", "", given)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "internals") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if *last == nil || (*last).URL.Path != "/rest/api/issue/OPS-1" {
				t.Errorf("the last request was %v", *last)
			}
		})
	}
}

func TestSidecarIsAway(t *testing.T) {
	s := New("support", "Support Centre", "127.0.0.1:1")
	if w := ask(t, s, "GET", "/issue/OPS-1", "", given); w.Code != 503 || !strings.Contains(w.Body.String(), "gives no answer") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	address, _ := sidecar(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s = New("support", "Support Centre", address)
	s.calls.Timeout = 50 * time.Millisecond
	if w := ask(t, s, "GET", "/issue/OPS-1", "", given); w.Code != 503 {
		t.Errorf("a sidecar that hangs: %d", w.Code)
	}
}

// A key could lead the call elsewhere, so only those that look like keys are sent on.
func TestKeysThatAreNone(t *testing.T) {
	address, last := sidecar(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, sample) })
	s := New("support", "Support Centre", address)
	for _, path := range []string{"/issue/", "/issue/ops-1", "/issue/OPS-1/x", "/issue/OPS-1%2F..", "/issue/%3Fx", "/issue/OPS-1%0d%0ax:", "/issue/OPS-"} {
		if w := ask(t, s, "GET", path, "", given); w.Code != 404 || *last != nil {
			t.Errorf("%s: %d, asked for %v", path, w.Code, *last)
		}
	}
}

func TestServiceWithoutSidecarHasNoIssues(t *testing.T) {
	for address, links := range map[string]bool{"": false, "127.0.0.1:1": true} {
		s := New("tenant", "Tenant", address)
		if got := strings.Contains(ask(t, s, "GET", "/", "", given).Body.String(), `href="/issue/OPS-1"`); got != links {
			t.Errorf("with the sidecar %q the page has a link: %v", address, got)
		}
		if w := ask(t, s, "GET", "/issue/OPS-1", "", given); strings.HasPrefix(w.Body.String(), "{") == links {
			t.Errorf("with the sidecar %q: %s", address, w.Body)
		}
	}
}
