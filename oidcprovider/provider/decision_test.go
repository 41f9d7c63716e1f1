package provider

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/code"
)

func TestOncePerClientAndSessionAPersonConfirms(t *testing.T) {
	s := newStand(t)
	ada, later := s.ada(nil), s.ada(map[string]any{"sid": "another-session"})
	asked := s.sees(of(s.pushed()), ada)
	if got := said(t, asked); got != "asks" || !strings.Contains(asked.Body.String(), "Shop") {
		t.Fatalf("%s: %s", got, asked.Body)
	}
	if asked.Header().Get("Referrer-Policy") != "same-origin" || asked.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", asked.Header())
	}
	w := s.presses("continue", sealedIn(t, asked), ada)
	to := leads(t, w).Query()
	if got := said(t, w); got != "page code" || w.Code != http.StatusOK || to.Get("state") != "as it was" || to.Get("iss") != standIssuer {
		t.Fatalf("%s %d %v", got, w.Code, to)
	}
	if stored := must(s.Codes.Redeem(t.Context(), to.Get("code")))(t); stored.Grant != "grant-1" || stored.User != "ada" {
		t.Errorf("%+v", stored)
	}
	if got := said(t, s.sees(of(s.pushed()), ada)); got != "code" {
		t.Errorf("the second time: %s", got)
	}
	if got := said(t, s.sees(of(s.pushed()), later)); got != "asks" {
		t.Errorf("another session: %s", got)
	}
	others := url.Values{"client_id": {"other"}, "request_uri": {s.pushed(func(r *code.Request) { r.Client, r.RedirectURI = "other", "https://other.test/back" })}}
	if got := said(t, s.sees(others.Encode(), ada)); got != "asks" {
		t.Errorf("another client: %s", got)
	}
}

func TestCancelling(t *testing.T) {
	s := newStand(t)
	ada, unmanaged := s.ada(nil), s.ada(map[string]any{"managed": false})
	for name, c := range map[string]struct{ shown, sent []string }{
		"the confirmation":             {[]string{ada}, []string{ada}},
		"after the session ended":      {[]string{ada}, nil},
		"the page of the domain":       {[]string{unmanaged}, []string{unmanaged}},
		"managed now, and cancelled":   {[]string{unmanaged}, []string{ada}},
		"no longer managed, cancelled": {[]string{ada}, []string{unmanaged}},
	} {
		uri := s.pushed(func(r *code.Request) { r.RedirectURI = standBack + "?dummy1=lorem&dummy2=ipsum" })
		sealed := sealedIn(t, s.sees(of(uri), c.shown...))
		w := s.presses("cancel", sealed, c.sent...)
		to := leads(t, w).Query()
		if got := said(t, w); got != "page access_denied" || to.Get("state") != "as it was" || to.Get("iss") != standIssuer || to.Get("dummy2") != "ipsum" {
			t.Errorf("%s: %s %v", name, got, to)
		}
		for _, decision := range []string{"cancel", "continue"} {
			if got := said(t, s.presses(decision, sealed, ada)); got != "400 authorization-request" {
				t.Errorf("%s, then %s: %s", name, decision, got)
			}
		}
	}
	if len(s.keeper.opened) != 0 {
		t.Errorf("grants: %v", s.keeper.opened)
	}
	if got := said(t, s.sees(of(s.pushed()), ada)); got != "asks" {
		t.Errorf("who cancelled is not asked again: %s", got)
	}
}

// What was true when the page was shown may not be true when the button is pressed.
func TestADecisionIsHeldAgainstTodaysPerson(t *testing.T) {
	for _, c := range []struct {
		name string
		wish func(*code.Request)
		ada  map[string]any // who presses; nil: nobody
		wait time.Duration
		want string
	}{
		{"nothing changed", wish("", -1), map[string]any{}, 0, "page code"},
		{"signed out", wish("", -1), nil, 0, "page authorize"},
		{"another person, or session", wish("", -1), map[string]any{"sub": "eve", "sid": "session-of-eve"}, 0, "page authorize"},
		{"no longer managed", wish("", -1), map[string]any{"managed": false}, 0, "403 domain-not-managed"},
		{"nothing known of the domain", wish("", -1), map[string]any{"managed": nil}, 0, "403 domain-not-managed"},
		{"a weaker sign-in", wish("", -1, "pwd"), map[string]any{"acr": "none"}, 0, "page unmet_authentication_requirements"},
		{"young enough when the page was shown", wish("", 3600), map[string]any{}, 5 * time.Minute, "page code"},
		{"an older sign-in", wish("", 3600), map[string]any{"auth_time": 1}, 0, "page login_required"},
		{"too late", wish("", -1), map[string]any{}, code.RequestLifetime, "400 authorization-request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand(t)
			signedIn := s.Now().Add(-time.Hour).Unix()
			sealed := sealedIn(t, s.sees(of(s.pushed(c.wish)), s.ada(nil)))
			s.wait(c.wait)
			var who []string
			if c.ada != nil {
				if _, set := c.ada["auth_time"]; !set {
					c.ada["auth_time"] = signedIn
				}
				who = append(who, s.ada(c.ada))
			}
			w := s.presses("continue", sealed, who...)
			if got := said(t, w); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if confirmed := must(s.Codes.Confirmed(t.Context(), "session-of-ada", "shop"))(t); confirmed != (c.want == "page code") {
				t.Errorf("confirmed: %t", confirmed)
			}
		})
	}
}

// prompt=login asks again, leads back, and the page that follows needs no third sign-in.
func TestAFreshSignInCountsForThePageThatFollows(t *testing.T) {
	s := newStand(t)
	back := leads(t, s.sees(of(s.pushed(wish("login", -1))), s.ada(nil))).Query().Get("authorize")
	fresh := map[string]any{"auth_time": s.Now().Unix(), "signed_in": s.Now().Unix()}
	s.wait(2 * time.Minute)
	sealed := sealedIn(t, s.sees(back, s.ada(fresh)))
	s.wait(2 * time.Minute)
	if got := said(t, s.presses("continue", sealed, s.ada(fresh))); got != "page code" {
		t.Error(got)
	}
}

func TestAPageIsGoodAsLongAsARequest(t *testing.T) {
	s := newStand(t)
	sealed := s.seal(t, s.pushed())
	s.wait(code.RequestLifetime - time.Second)
	if _, err := s.openPending(sealed); err != nil {
		t.Error(err)
	}
	s.wait(time.Second)
	if sent, err := s.openPending(sealed); err == nil || sent != (pending{}) {
		t.Errorf("%+v, %v", sent, err)
	}
}

func TestFormsThatAreNotOurs(t *testing.T) {
	s := newStand(t)
	uri, ada := s.pushed(), s.ada(nil)
	sealed := sealedIn(t, s.sees(of(uri), ada))
	flipped := []byte(sealed)
	flipped[len(flipped)/2] ^= 1
	good := url.Values{"decision": {"continue"}, "request": {sealed}}.Encode()
	for name, body := range map[string]string{
		"empty":                "",
		"no decision":          "request=" + sealed,
		"another decision":     "decision=yes&request=" + sealed,
		"an empty decision":    "decision=&request=" + sealed,
		"no request":           "decision=continue",
		"the request itself":   "decision=continue&request=" + url.QueryEscape(uri),
		"flipped":              "decision=continue&request=" + string(flipped),
		"a returned":           "decision=continue&request=" + s.sealReturned(uri),
		"a returned like ours": "decision=continue&request=" + s.Seal.Seal(purposeReturned, s.Issuer, []byte(`{"request_uri":"`+uri+`","client":"shop","sid":"session-of-ada","expires":4000000000}`)),
		"a doubled decision":   good + "&decision=cancel",
		"a doubled request":    good + "&request=" + sealed,
		"malformed":            good + "&a=%zz",
		"over 16 KB":           good + "&a=" + strings.Repeat("a", maxDecision),
	} {
		w := s.sends(body, ada)
		if got := said(t, w); got != "400 authorization-request" {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, change := range map[string]func(*http.Request){
		"a query":        func(r *http.Request) { r.URL.RawQuery = good },
		"another type":   func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"no type at all": func(r *http.Request) { r.Header.Del("Content-Type") },
	} {
		r := httptest.NewRequest(http.MethodPost, PathDecision, strings.NewReader(good))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		change(r)
		if got := said(t, s.answers(r, ada)); got != "400 authorization-request" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if !s.kept(uri) || len(s.keeper.opened) != 0 {
		t.Fatal("a form that is not ours did something")
	}
	if got := said(t, s.sends(good+"&more=ignored", ada)); got != "page code" {
		t.Errorf("ours: %s", got)
	}
}

// A client whose entry changed while the page stood open is asked for nothing any more.
func TestAClientThatChangedMeanwhile(t *testing.T) {
	s := newStand(t)
	sealed := sealedIn(t, s.sees(of(s.pushed()), s.ada(nil)))
	shop := *s.Clients["shop"]
	shop.RedirectURIs = []string{standBack + "/new"}
	for name, clients := range map[string]map[string]*Client{"gone": {}, "another redirect URI": {"shop": &shop}} {
		s.Clients = clients
		for _, decision := range []string{"continue", "cancel"} {
			w := s.presses(decision, sealed, s.ada(nil))
			if got := said(t, w); got != "400 authorization-request" {
				t.Errorf("%s, %s: %s", name, decision, got)
			}
		}
	}
}

func TestAConfirmationThatCannotBeKeptIsNone(t *testing.T) {
	s := newStand(t)
	uri := s.pushed()
	sealed := s.seal(t, uri)
	s.store.put.Store(true)
	if got := said(t, s.presses("continue", sealed, s.ada(nil))); got != "503 unavailable" || !s.kept(uri) || len(s.keeper.opened) != 0 {
		t.Errorf("%s, kept %t, grants %v", got, s.kept(uri), s.keeper.opened)
	}
}

// Only what the ingress says counts: a browser cannot tell who it is in any other way.
func TestNothingElseSaysWhoAsks(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	r := httptest.NewRequest(http.MethodGet, PathAuthorize+"?"+of(s.pushed())+"&"+usercontext.Header+"="+s.ada(nil), nil)
	r.Header.Set("Authorization", "Bearer "+s.ada(nil))
	r.Header.Set("Cookie", usercontext.Header+"="+s.ada(nil))
	if got := said(t, s.answers(r)); got != "sign-in" {
		t.Error(got)
	}
}
