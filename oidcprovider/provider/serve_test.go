package provider

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestOnlyTheEndpointsAnswer(t *testing.T) {
	s := newStand(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", PathOpenID, 200, ""},
		{"HEAD", PathOpenID, 200, ""},
		{"GET", PathOAuth, 200, ""},
		{"HEAD", PathJWKS, 200, ""},
		{"POST", PathOpenID, 405, "GET, HEAD"},
		{"PUT", PathPAR, 405, "POST"},
		{"GET", PathToken, 405, "POST"},
		{"OPTIONS", PathRevoke, 405, "POST"},
		{"HEAD", PathAuthorize, 405, "GET"}, // nothing may be used up by who only looks
		{"POST", PathAuthorize, 405, "GET"},
		{"GET", PathDecision, 405, "POST"},
		{"GET", PathSession, 404, ""}, // extauthz answers
		{"GET", "/", 404, ""},
		{"GET", PathJWKS + "/", 404, ""},
		{"GET", "/oauth2/JWKS", 404, ""},
		{"GET", "/.isogate/signin", 404, ""},
	} {
		w := s.answers(httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, allow %q", c.method, c.path, w.Code, w.Header().Get("Allow"))
		}
	}
}

// results are what the counter holds, as "endpoint result".
func results(t *testing.T, counter prometheus.Collector) (all []string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(counter)
	for _, family := range must(registry.Gather())(t) {
		for _, m := range family.GetMetric() {
			all = append(all, m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue())
		}
	}
	slices.Sort(all)
	return all
}

func TestEachRequestIsCountedByItsResult(t *testing.T) {
	s := newStand(t)
	s.answers(httptest.NewRequest("GET", PathJWKS, nil))
	s.answers(httptest.NewRequest("GET", "/nothing-here", nil))
	s.answers(httptest.NewRequest("POST", PathPAR, nil))
	s.sees("client_id=made-up&request_uri=made-up")
	s.sees("made-up")
	s.sees(of(s.pushed()))
	s.sees(of(s.pushed(wish("none", -1))))
	s.sees(of(s.pushed()), "made-up")
	s.presses("continue", "made-up")
	s.presses("cancel", s.seal(t, s.pushed()), s.ada(nil))
	want := []string{
		"authorize invalid_request", "authorize invalid_request_uri", "authorize login_required", "authorize ok", "authorize temporarily_unavailable",
		"decision access_denied", "decision invalid_request", "jwks ok", "par invalid_request",
	}
	if diff := cmp.Diff(want, results(t, s.Requests)); diff != "" {
		t.Error(diff)
	}
	log := s.log.String()
	if strings.Contains(log, "made-up") || strings.Contains(log, "login_required") || strings.Contains(log, "access_denied") {
		t.Errorf("the log: %s", log)
	}
	if errors, all := strings.Count(log, "level=ERROR"), strings.Count(log, "\n"); errors != 1 || all != 5 {
		t.Errorf("%d errors in %d lines: %s", errors, all, log)
	}
}

// An endpoint that gives neither an answer nor an error has failed: nobody is told that all is well.
func TestNoAnswerIsARefusal(t *testing.T) {
	s := newStand(t)
	for _, people := range []bool{true, false} {
		if answer := (endpoint{people: people}).refuse(s.Provider, errNoAnswer); answer.Status != http.StatusServiceUnavailable {
			t.Errorf("people %t: %d", people, answer.Status)
		}
	}
	s.Clients["shop"].Name = "" // no page asks in the name of nobody
	if got := said(t, s.sees(of(s.pushed()), s.ada(nil))); got != "503 unavailable" || !strings.Contains(s.log.String(), errNoAnswer.Error()) {
		t.Errorf("%s, %s", got, s.log)
	}
	if diff := cmp.Diff([]string{"authorize temporarily_unavailable"}, results(t, s.Requests)); diff != "" {
		t.Error(diff)
	}
}

func TestTheDocuments(t *testing.T) {
	s := newStand(t)
	want := map[string]any{
		"issuer":                                                standIssuer,
		"authorization_endpoint":                                standIssuer + "/oauth2/authorize",
		"pushed_authorization_request_endpoint":                 standIssuer + "/oauth2/par",
		"require_pushed_authorization_requests":                 true,
		"token_endpoint":                                        standIssuer + "/oauth2/token",
		"revocation_endpoint":                                   standIssuer + "/oauth2/revoke",
		"jwks_uri":                                              standIssuer + "/oauth2/jwks",
		"response_types_supported":                              []any{"code"},
		"response_modes_supported":                              []any{"query"},
		"grant_types_supported":                                 []any{"authorization_code"},
		"subject_types_supported":                               []any{"pairwise"},
		"id_token_signing_alg_values_supported":                 []any{"ES256"},
		"dpop_signing_alg_values_supported":                     []any{"ES256", "PS256"},
		"token_endpoint_auth_methods_supported":                 []any{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported":      []any{"ES256", "PS256"},
		"revocation_endpoint_auth_methods_supported":            []any{"private_key_jwt"},
		"revocation_endpoint_auth_signing_alg_values_supported": []any{"ES256", "PS256"},
		"code_challenge_methods_supported":                      []any{"S256"},
		"authorization_response_iss_parameter_supported":        true,
		"scopes_supported":                                      []any{"openid"},
		"claims_supported":                                      []any{"iss", "sub", "aud", "exp", "iat", "nonce", "acr", "auth_time", "isolated_cloud_id", "sid", "session_expiry"},
		"prompt_values_supported":                               []any{"none", "login", "consent"},
		"claims_parameter_supported":                            false,
		"request_parameter_supported":                           false,
		"request_uri_parameter_supported":                       false,
	}
	for _, path := range []string{PathOpenID, PathOAuth} {
		w := s.answers(httptest.NewRequest("GET", path, nil))
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Header().Get("Content-Type") != "application/json" {
			t.Fatal(err, w.Header())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// The keys are those of the signer, and may be kept for a shorter time than a new one waits before it signs.
func TestTheKeys(t *testing.T) {
	s := newStand(t)
	w := s.answers(httptest.NewRequest("GET", PathJWKS, nil))
	if w.Body.String() != string(s.Signer.JWKS()) || w.Header().Get("Content-Type") != "application/jwk-set+json" ||
		w.Header().Get("Cache-Control") != "public, max-age=60" || strings.Contains(w.Body.String(), `"d"`) {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}
