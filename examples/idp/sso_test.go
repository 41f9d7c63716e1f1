package idp

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSecondSignIn(t *testing.T) {
	tests := []struct {
		name   string
		params []string
		later  time.Duration
		want   string // "code", "page" or an error word
	}{
		{"silent", nil, time.Minute, "code"},
		{"prompt=none", []string{"prompt", "none"}, time.Minute, "code"},
		{"prompt=login", []string{"prompt", "login"}, time.Minute, "page"},
		{"prompt=select_account", []string{"prompt", "select_account"}, time.Minute, "page"},
		{"max_age not reached", []string{"max_age", "120"}, time.Minute, "code"},
		{"max_age passed", []string{"max_age", "30"}, time.Minute, "page"},
		{"max_age passed, prompt=none", []string{"max_age", "30", "prompt", "none"}, time.Minute, "login_required"},
		{"max_age=0", []string{"max_age", "0"}, 0, "page"},
		{"max_age beyond any clock", []string{"max_age", "18446744073709551615"}, time.Minute, "code"},
		{"max_age=0, prompt=none", []string{"max_age", "0", "prompt", "none"}, 0, "login_required"},
		{"acr that the session has", []string{"acr_values", ACRMFA}, time.Minute, "code"},
		{"acr that nobody has", []string{"acr_values", "urn:example:retina"}, time.Minute, "code"},
		{"prompt=none login", []string{"prompt", "none login"}, time.Minute, "invalid_request"},
		{"session over", nil, sessionLife, "page"},
		{"session over, prompt=none", []string{"prompt", "none"}, sessionLife, "login_required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			_, _, first := w.redeem(w.signIn(b, alice))
			w.advance(tt.later)
			p := b.open(w.start(tt.params...))
			if got := outcome(p); got != tt.want {
				t.Fatalf("outcome = %q, want %q (%v)", got, tt.want, p.answer)
			}
			if tt.want == "code" {
				_, _, again := w.redeem(p)
				for _, claim := range []string{"auth_time", "sid", "sub", "acr"} {
					if again[claim] != first[claim] {
						t.Errorf("%s = %v, want that of the sign-in, %v", claim, again[claim], first[claim])
					}
				}
			}
		})
	}
}

// Who got a second factor after the sign-in is asked for it once a client wants it.
func TestSecondFactorThatCameLater(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	_, _, first := w.redeem(w.signIn(b, bob))
	want := func(acr string, params ...string) {
		t.Helper()
		p := b.open(w.start(params...))
		w.wantCode(p)
		if _, _, got := w.redeem(p); got["acr"] != acr || got["auth_time"] != first["auth_time"] {
			t.Errorf("%v: acr %v, auth_time %v; the sign-in was %v", params, got["acr"], got["auth_time"], first)
		}
	}
	want(ACRPassword, "acr_values", ACRMFA) // nothing better can be had
	strong := bob
	strong.TOTP = totpSecret
	if err := w.p.SetUser(strong); err != nil {
		t.Fatal(err)
	}
	want(ACRPassword)
	want(ACRPassword, "acr_values", ACRMFA+" "+ACRPassword)
	if got := outcome(b.open(w.start("acr_values", ACRMFA, "prompt", "none"))); got != "login_required" {
		t.Errorf("prompt=none: %q", got)
	}
	w.advance(time.Minute)
	if _, _, got := w.redeem(w.signIn(b, strong, "acr_values", ACRMFA)); got["acr"] != ACRMFA || got["auth_time"].(float64) < first["auth_time"].(float64)+59 {
		t.Errorf("with the second factor: acr %v, auth_time %v", got["acr"], got["auth_time"])
	}
}

func outcome(p page) string {
	if p.answer == nil {
		if _, ok := p.inputs["password"]; ok {
			return "page"
		}
		return p.text
	}
	if p.answer.Query().Get("code") != "" {
		return "code"
	}
	return p.answer.Query().Get("error")
}

func TestPromptNoneWithoutSession(t *testing.T) {
	w := newWorld(t)
	q := w.browser().open(w.start("prompt", "none")).answer.Query()
	if q.Get("error") != "login_required" || q.Get("iss") != w.issuer || q.Get("state") != "state-1" || q.Has("code") {
		t.Errorf("answer = %v", q)
	}
}

func TestNewSignInRenewsAuthTimeAndKeepsSid(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	_, _, first := w.redeem(w.signIn(b, bob))
	old := w.sessionCookie(b)
	w.advance(time.Minute)
	_, _, second := w.redeem(w.signIn(b, bob, "prompt", "login"))
	if second["sid"] != first["sid"] || second["auth_time"].(float64) < first["auth_time"].(float64)+59 {
		t.Errorf("first %v, second %v", first, second)
	}
	if _, ok := w.p.store.sessions.get(old); ok || w.sessionCookie(b) == old {
		t.Error("the old session cookie still opens the session")
	}
	_, _, third := w.redeem(w.signIn(b, alice, "prompt", "login"))
	if third["sid"] == first["sid"] {
		t.Error("another person got the same sid")
	}
}

func (w *world) sessionCookie(b *browser) string {
	u, err := url.Parse(w.issuer)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == "__Host-"+sessionCookie {
			return c.Value
		}
	}
	return ""
}

func TestHintedPerson(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	token, _, _ := w.redeem(w.signIn(b, alice))
	hint := []string{"id_token_hint", token.Extra("id_token").(string)}
	if got := outcome(b.open(w.start(hint...))); got != "code" {
		t.Errorf("the same person: %q", got)
	}
	other := w.browser()
	w.signIn(other, bob)
	if got := outcome(other.open(w.start(append(hint, "prompt", "none")...))); got != "login_required" {
		t.Errorf("another person's session: %q", got)
	}
	if got := outcome(other.submit(other.open(w.start(hint...)), password(bob))); got != "login_required" {
		t.Errorf("another person signs in: %q", got)
	}
}

func TestEndSession(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name   string
		params func(idToken string) url.Values
		want   string // "bye", "signed out", "asked" or "refused"
	}{
		{"hint and address", func(h string) url.Values {
			return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {rpAfter}, "state": {"s"}}
		}, "bye"},
		{"hint alone", func(h string) url.Values { return url.Values{"id_token_hint": {h}} }, "signed out"},
		{"no hint", func(string) url.Values {
			return url.Values{"client_id": {"rp"}, "post_logout_redirect_uri": {rpAfter}, "state": {"s"}}
		}, "asked"},
		{"foreign address", func(h string) url.Values {
			return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {rpAfter + "/x"}}
		}, "refused"},
		{"broken hint", func(h string) url.Values { return url.Values{"id_token_hint": {h[:len(h)-6]}} }, "refused"},
		{"hint of another client", func(h string) url.Values {
			return url.Values{"id_token_hint": {h}, "client_id": {"other"}}
		}, "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := w.browser()
			token, _, _ := w.redeem(w.signIn(b, bob))
			p := b.open(w.issuer + endSessionPath + "?" + tt.params(token.Extra("id_token").(string)).Encode())
			switch tt.want {
			case "bye":
				wantBye(t, p)
			case "signed out":
				if p.url.Path != signedOutPath || !strings.Contains(p.text, "You are signed out") {
					t.Errorf("%v %s", p.url, p.text)
				}
			case "asked":
				if got := outcome(b.open(w.start("prompt", "none"))); got != "code" {
					t.Errorf("before the answer: %q", got)
				}
				wantBye(t, b.submit(p, nil))
			case "refused":
				if p.status != 400 || p.answer != nil {
					t.Errorf("%d %v", p.status, p.answer)
				}
			}
			want := map[bool]string{true: "code", false: "login_required"}[tt.want == "refused"]
			if got := outcome(b.open(w.start("prompt", "none"))); got != want {
				t.Errorf("afterwards: %q, want %q", got, want)
			}
		})
	}
}

func wantBye(t *testing.T, p page) {
	t.Helper()
	if p.answer == nil || p.answer.String() != rpAfter+"?state=s" {
		t.Errorf("sent to %v (%d)", p.answer, p.status)
	}
}
