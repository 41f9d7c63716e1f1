package provider

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/oidcprovider/code"
)

func TestAConfirmedPersonGetsACode(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	uri := s.pushed(func(r *code.Request) { r.State = "a b&c=d#e+%" })
	w := s.sees(of(uri), s.ada(map[string]any{"acr": "mfa"}))
	got := leads(t, w).Query()
	issued := got.Get("code")
	got.Del("code")
	if diff := cmp.Diff(url.Values{"state": {"a b&c=d#e+%"}, "iss": {standIssuer}}, got); diff != "" || w.Code != http.StatusSeeOther {
		t.Errorf("%d %s", w.Code, diff)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers: %v", w.Header())
	}
	stored := must(s.Codes.Redeem(t.Context(), issued))(t)
	if stored.Grant != "grant-1" || stored.User != "ada" || stored.ACR != "mfa" || stored.AuthTime != s.Now().Add(-time.Hour).Unix() ||
		stored.Request.Client != "shop" || stored.Request.Challenge == "" || stored.Request.Nonce != "n" {
		t.Errorf("%+v", stored)
	}
	if diff := cmp.Diff([]string{"session-of-ada shop"}, s.keeper.opened); diff != "" {
		t.Error(diff)
	}
	if again := said(t, s.sees(of(uri), s.ada(nil))); again != "400 authorization-request" || len(s.keeper.opened) != 1 {
		t.Errorf("the request was good twice: %s", again)
	}
}

// RFC 6749 section 3.1.2: the redirect URI's own query stays, in answers of both kinds. A state that was not pushed is never sent, whatever
// the address says.
func TestAnswersKeepTheRedirectURIsQueryAndAddNoState(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	change := func(r *code.Request) {
		r.RedirectURI, r.State, r.Prompt = standBack+"?dummy1=lorem&dummy2=ipsum", "", "none"
	}
	for name, tokens := range map[string][]string{"code": {s.ada(nil)}, "error": nil} {
		w := s.sees(of(s.pushed(change))+"&state=evil&redirect_uri=https://evil.test/&prompt=login&response_type=token", tokens...)
		to := w.Header().Get("Location")
		if !strings.HasPrefix(to, standBack+"?dummy1=lorem&dummy2=ipsum&"+name+"=") || strings.Contains(to, "state") || strings.Contains(to, "evil") {
			t.Errorf("%s: %s", name, to)
		}
	}
}

// wish is a pushed request with a prompt, a max_age (-1: none) and acr_values.
func wish(prompt string, maxAge int64, acrs ...string) func(*code.Request) {
	return func(r *code.Request) {
		r.Prompt, r.ACRs = prompt, acrs
		if maxAge >= 0 {
			r.MaxAge = &maxAge
		}
	}
}

const nobody, unmanaged, over = "nobody", "unmanaged", "over"

// visits are what a visit leads to: the first time, and when the sign-in has led back a minute later. ada signed in an hour ago by password.
var visits = []struct {
	name      string
	wish      func(*code.Request)
	who       string // ada if ""
	confirmed bool
	want      string // first
	back      string // who came back is the same as before
}{
	{"nobody", wish("", -1), nobody, true, "sign-in", "login_required"},
	{"nobody, silently", wish("none", -1), nobody, true, "login_required", ""},
	{"not confirmed", wish("", -1), "", false, "asks", "asks"},
	{"not confirmed, silently", wish("none", -1), "", false, "consent_required", ""},
	{"confirmed", wish("", -1), "", true, "code", ""},
	{"confirmed, silently", wish("none", -1), "", true, "code", ""},
	{"consent", wish("consent", -1), "", true, "asks", "asks"},
	{"consent and login", wish("consent login", -1), "", true, "sign-in prompt=login", "login_required"},
	{"login", wish("login", -1), "", true, "sign-in prompt=login", "login_required"},
	{"login, nobody", wish("login", -1), nobody, true, "sign-in prompt=login", "login_required"},
	{"an age that is young enough", wish("", 3600), "", true, "code", ""},
	{"an age that is too old", wish("", 3599), "", true, "sign-in max_age=3599&prompt=login", "login_required"},
	{"an age that is far too old", wish("", 0), "", true, "sign-in max_age=0&prompt=login", "login_required"},
	{"an age that is too old, silently", wish("none", 10), "", true, "login_required", ""},
	{"an age of nobody", wish("", 10), nobody, true, "sign-in max_age=10", "login_required"},
	{"an age beyond all", wish("", 1<<62), "", true, "code", ""},
	{"login beats the age", wish("login", 1<<62), "", true, "sign-in max_age=4611686018427387904&prompt=login", "login_required"},
	{"an acr that is there", wish("", -1, "mfa", "pwd"), "", true, "code", ""},
	{"an acr that is not", wish("", -1, "mfa", "hw"), "", true, "sign-in acr_values=mfa+hw&prompt=login", "unmet_authentication_requirements"},
	{"an acr that is not, silently", wish("none", -1, "mfa"), "", true, "unmet_authentication_requirements", ""},
	{"an acr of nobody", wish("", -1, "mfa"), nobody, true, "sign-in acr_values=mfa", "login_required"},
	{"over for services", wish("", -1), over, true, "sign-in prompt=login", "login_required"},
	{"over for services, silently", wish("none", -1), over, true, "login_required", ""},
	{"over for services, and not managed", wish("consent", -1), over, false, "sign-in prompt=login", "login_required"},
	{"not managed", wish("", -1), unmanaged, true, "403 domain-not-managed", "403 domain-not-managed"},
	{"not managed, silently", wish("none", -1), unmanaged, true, "access_denied", ""},
	{"not managed and not confirmed", wish("", -1), unmanaged, false, "403 domain-not-managed", "403 domain-not-managed"},
	{"not managed and not fresh", wish("login", -1), unmanaged, true, "sign-in prompt=login", "login_required"},
}

func TestWhatAVisitLeadsTo(t *testing.T) {
	for _, c := range visits {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t)
			if c.confirmed {
				s.confirmed()
			}
			signedIn := s.Now().Add(-time.Hour).Unix()
			who := func() []string { // tokens are made for each request
				if c.who == nobody {
					return nil
				}
				claims := map[string]any{"auth_time": signedIn, "signed_in": signedIn, "managed": c.who != unmanaged}
				if c.who == over {
					claims["session_expiry"] = s.Now().Unix()
				}
				return []string{s.ada(claims)}
			}
			uri := s.pushed(c.wish)
			w := s.sees(of(uri), who()...)
			if got := said(t, w); got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
			used := strings.HasSuffix(c.want, "_required") || c.want == "code" || c.want == "access_denied" || c.want == unmetRequirements
			if s.kept(uri) == used {
				t.Errorf("the request was kept: %t", !used)
			}
			if c.back == "" {
				return
			}
			back := of(uri)
			if strings.HasPrefix(c.want, "sign-in") {
				back = leads(t, w).Query().Get("authorize")
			}
			s.wait(time.Minute)
			if got := said(t, s.sees(back, who()...)); got != c.back {
				t.Errorf("back: got %s, want %s", got, c.back)
			}
		})
	}
}

// Whoever signed in does get on, also where the provider's clock is a minute behind.
func TestWhoSignedInGetsOn(t *testing.T) {
	const notSince = "before the redirect"
	for name, c := range map[string]struct {
		wish func(*code.Request)
		ada  map[string]any
		late time.Duration // of the sign-in, after the redirect
		want string
	}{
		"signed in":                         {wish("", -1), nil, 0, "code"},
		"login":                             {wish("login", -1), nil, time.Second, "code"},
		"login, a clock that is behind":     {wish("login", -1), nil, -time.Minute, "code"},
		"login, an older sign-in":           {wish("login", -1), nil, -61 * time.Second, "login_required"},
		"age":                               {wish("", 0), nil, time.Second, "code"},
		"age, slowly":                       {wish("", 5), nil, -65 * time.Second, "code"},
		"age, an older sign-in":             {wish("", 5), nil, -66 * time.Second, "login_required"},
		"a sign-in at a time unknown":       {wish("", 1<<62), map[string]any{"auth_time": 0}, 0, "login_required"},
		"login, no sign-in since":           {wish("login", -1), map[string]any{"signed_in": notSince}, 0, "login_required"},
		"age, no sign-in since":             {wish("", 5), map[string]any{"signed_in": notSince}, 0, "login_required"},
		"a second factor":                   {wish("", -1, "mfa"), map[string]any{"acr": "mfa"}, 0, "code"},
		"a second factor, but at no moment": {wish("login", -1, "mfa"), map[string]any{"acr": "mfa"}, -time.Hour, "login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.confirmed()
			back := leads(t, s.sees(of(s.pushed(c.wish)))).Query().Get("authorize")
			claims := map[string]any{"auth_time": s.Now().Add(c.late).Unix(), "signed_in": s.Now().Unix()}
			for claim, value := range c.ada {
				if value == notSince {
					value = s.Now().Unix() - 1
				}
				claims[claim] = value
			}
			s.wait(5 * time.Minute)
			if got := said(t, s.sees(back, s.ada(claims))); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A request may be visited again until it was answered (FAPI 2.0 Security Profile section 5.3.2.2, note 3), and after 590 s never.
func TestARequestLivesUntilItIsAnsweredOrTooOld(t *testing.T) {
	s := newStand(t)
	uri := s.pushed()
	for range 3 {
		if got := said(t, s.sees(of(uri))); got != "sign-in" {
			t.Fatal(got)
		}
		if got := said(t, s.sees(of(uri), s.ada(nil))); got != "asks" {
			t.Fatal(got)
		}
	}
	s.wait(code.RequestLifetime - time.Second)
	if got := said(t, s.sees(of(uri))); got != "sign-in" {
		t.Error(got)
	}
	s.wait(time.Second)
	if got := said(t, s.sees(of(uri))); got != "400 authorization-request" {
		t.Errorf("at its end: %s", got)
	}
}

// The login_hint of the client is for the sign-in alone.
func TestTheHintGoesToTheSignInAndIntoNoLog(t *testing.T) {
	s := newStand(t)
	uri := s.pushed(func(r *code.Request) { r.LoginHint = "ada+x@acme.test" })
	if got := leads(t, s.sees(of(uri))).Query().Get("login_hint"); got != "ada+x@acme.test" {
		t.Errorf("got %q", got)
	}
	s.keeper.err = errMoody
	s.confirmed()
	s.sees(of(uri), s.ada(nil))
	s.sees(of(uri), "bad")
	if log := s.log.String(); log == "" || strings.Contains(log, "acme.test") {
		t.Errorf("the log: %s", log)
	}
}
