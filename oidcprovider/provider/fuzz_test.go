package provider

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzAuthorize: whatever the address says, nobody is led anywhere but to sign in, or to a client that pushed a request and only where it is
// registered; and nobody gets a code without having confirmed.
func FuzzAuthorize(f *testing.F) {
	s := newStand(f)
	uri := s.pushed()
	for _, seed := range []string{
		"", of(uri), of(uri) + "&returned=" + s.sealReturned(uri), of(uri) + "&state=x&redirect_uri=https://evil.test", "client_id=shop&request_uri=%",
		"client_id=other&request_uri=" + url.QueryEscape(uri), of(uri) + "&client_id=other", "request_uri=" + url.QueryEscape(uri) + ";client_id=shop",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	ada := s.ada(nil)
	f.Fuzz(func(t *testing.T, query string, signedIn bool) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: PathAuthorize, RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
		var tokens []string
		if signedIn {
			tokens = append(tokens, ada)
		}
		w := s.answers(r.WithContext(t.Context()), tokens...)
		switch got, to := said(t, w), w.Header().Get("Location"); {
		case got == "400 authorization-request", got == "asks":
		case got == "sign-in" && strings.HasPrefix(to, standIssuer+PathSignIn+"?"):
		case got == "login_required" && strings.HasPrefix(to, standBack+"?"): // with the sealed moment of a seed
		default:
			t.Errorf("%q: %s, to %q", query, got, to)
		}
	})
}

// FuzzDecision: only a form that a page of ours made decides anything.
func FuzzDecision(f *testing.F) {
	s := newStand(f)
	uri := s.pushed()
	sealed := s.seal(f, uri)
	for _, seed := range []string{
		"", "decision=continue", "decision=yes&request=" + sealed, "decision=cancel&decision=continue&request=" + sealed, "decision=continue&request=" + uri,
		"decision=continue&request=" + sealed[:len(sealed)-1], "decision=continue&request=" + sealed + "=", "decision=continue;request=" + sealed,
	} {
		f.Add(seed)
	}
	ada := s.ada(nil)
	f.Fuzz(func(t *testing.T, body string) {
		if got := said(t, s.sends(body, ada)); got != "400 authorization-request" {
			t.Errorf("%q: %s", body, got)
		}
	})
}
