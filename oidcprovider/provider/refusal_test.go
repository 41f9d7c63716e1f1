package provider

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/extauthz/grant"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/code"
)

// dex 7cb2317c: a bad client or a bad redirect URI gives a page and never a redirect, signed in or not.
func TestWhatIsNotARequestIsNeverRedirected(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	good, others, unregistered, used := s.pushed(), s.pushed(func(r *code.Request) { r.Client = "other" }),
		s.pushed(func(r *code.Request) { r.RedirectURI = standBack + "/" }), s.pushed()
	if got := said(t, s.sees(of(used), s.ada(nil))); got != "code" {
		t.Fatal(got)
	}
	escaped := url.QueryEscape(good)
	for name, query := range map[string]string{
		"nothing":                         "",
		"no client":                       "request_uri=" + escaped,
		"no request":                      "client_id=shop",
		"an empty client":                 "client_id=&request_uri=" + escaped,
		"two clients":                     of(good) + "&client_id=shop",
		"two requests":                    of(good) + "&request_uri=" + escaped,
		"returned twice":                  of(good) + "&returned=&returned=",
		"an unknown client":               "client_id=shop2&request_uri=" + escaped,
		"a client in capitals":            "client_id=Shop&request_uri=" + escaped,
		"another client":                  "client_id=other&request_uri=" + escaped,
		"another client's request":        of(others),
		"a redirect URI that has gone":    of(unregistered),
		"used":                            of(used),
		"unknown":                         of(good + "x"),
		"not ours":                        of("https://evil.test/request.jwt"),
		"no pushed request at all":        "client_id=shop&response_type=code&scope=openid&redirect_uri=" + url.QueryEscape(standBack),
		"a malformed escape":              of(good) + "&state=%zz",
		"a semicolon, read in two ways":   of(good) + "&a;b",
		"a prefix of the right parameter": "client_id=shop&request_uri[]=" + escaped,
	} {
		for who, tokens := range map[string][]string{"nobody": nil, "ada": {s.ada(nil)}} {
			w := s.sees(query, tokens...)
			if got := said(t, w); got != "400 authorization-request" || w.Header().Get("Location") != "" || strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%s, %s: %s", name, who, got)
			}
		}
	}
	if !s.kept(good) || !s.kept(others) || len(s.keeper.opened) != 1 {
		t.Errorf("a refusal did something: %v", s.keeper.opened)
	}
}

// CVE-2021-32777, pomerium CVE-2024-47616: whoever the ingress cannot have meant is nobody and somebody at once: 503, nothing given, nothing used up, no token in the log.
func TestATokenThatTheIngressCannotHaveMeant(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	uri := s.pushed()
	stranger := must(keys.OpenSigners(t.TempDir(), s.Now))(t)
	minted := func(signers *keys.Signers, typ, claims string) string {
		return must(signers.Sign(typ, []byte(claims)))(t)
	}
	good := s.ada(nil)
	for name, tokens := range map[string][]string{
		"empty":              {""},
		"nonsense":           {"x"},
		"twice the same":     {good, good},
		"a good one last":    {"", good},
		"of a service":       {s.ada(map[string]any{"act": map[string]any{"sub": "spiffe://shop.test/support"}})},
		"no session":         {s.ada(map[string]any{"sid": nil})},
		"an empty session":   {s.ada(map[string]any{"sid": ""})},
		"another cloud":      {s.ada(map[string]any{"isolated_cloud_id": "evil-0123456789abcdef"})},
		"another product":    {s.ada(map[string]any{"aud": "issues"})},
		"another issuer":     {s.ada(map[string]any{"iss": "https://auth.evil.test"})},
		"expired":            {s.ada(map[string]any{"exp": s.Now().Add(-time.Minute).Unix()})},
		"another's key":      {minted(stranger, usercontext.Type, `{}`)},
		"our ID token":       {minted(s.Signer, "JWT", `{"iss":"`+standIssuer+`","aud":"oidcprovider","exp":4000000000,"sub":"ada","sid":"x"}`)},
		"an access token":    {minted(s.people, "at+jwt", `{"iss":"`+standIssuer+`","aud":"oidcprovider","exp":4000000000,"sub":"ada","sid":"x"}`)},
		"two in one header":  {good + "," + good},
		"with a scheme":      {"Bearer " + good},
		"a line break in it": {good + "\n"},
	} {
		for _, w := range []*httptest.ResponseRecorder{s.sees(of(uri), tokens...), s.presses("continue", s.seal(t, uri), tokens...), s.presses("cancel", s.seal(t, uri), tokens...)} {
			if got := said(t, w); got != "503 unavailable" {
				t.Errorf("%s: %s", name, got)
			}
		}
		for _, token := range tokens {
			if len(token) > 1 && strings.Contains(s.log.String(), token) {
				t.Errorf("%s: a token is in the log", name)
			}
		}
	}
	s.Provider.People.Keys = keys.Set{} // a key that its issuer does not have
	if got := said(t, s.sees(of(uri), good)); got != "503 unavailable" {
		t.Errorf("keys that do not fit: %s", got)
	}
	if !s.kept(uri) || len(s.keeper.opened) != 0 || strings.Count(s.log.String(), "level=ERROR") == 0 {
		t.Errorf("kept %t, opened %v, log %s", s.kept(uri), s.keeper.opened, s.log)
	}
}

// seal is what a page for ada carries.
func (s *stand) seal(t testing.TB, uri string) string {
	t.Helper()
	field := must(s.carry(visit{uri: uri, client: s.Clients["shop"], person: &usercontext.Claims{Session: "session-of-ada"}}))(t)
	return field[0].Value
}

// Sealed values are good for their purpose, their request and their time alone (CVE-2026-47775).
func TestReturnedCountsForItsRequestAndTimeAlone(t *testing.T) {
	s := newStand(t)
	uri, other := s.pushed(wish("login", -1)), s.pushed(wish("login", -1))
	returned := s.sealReturned(uri)
	flipped := []byte(returned)
	flipped[len(flipped)/2] ^= 1
	sealers := must(keys.OpenSealers(t.TempDir(), s.Now))(t)
	for name, c := range map[string]struct{ uri, returned, want string }{
		"the right one":     {uri, returned, "login_required"},
		"another request's": {other, returned, "sign-in prompt=login"},
		"flipped":           {other, string(flipped), "sign-in prompt=login"},
		"a page's":          {other, s.seal(t, other), "sign-in prompt=login"},
		"another key's":     {other, sealers.Seal(purposeReturned, other, []byte(`{"at":4000000000}`)), "sign-in prompt=login"},
		"another purpose's": {other, s.Seal.Seal(purposeDecision, other, []byte(`{"at":4000000000}`)), "sign-in prompt=login"},
		"empty":             {other, "", "sign-in prompt=login"},
		"the plain moment":  {other, `{"at":4000000000}`, "sign-in prompt=login"},
	} {
		query := of(c.uri) + "&returned=" + url.QueryEscape(c.returned)
		if got := said(t, s.sees(query, s.ada(nil))); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	late := s.sealReturned(other)
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {returnedLifetime - time.Second, true}, {time.Second, false}} {
		s.wait(c.after)
		if got := !s.openReturned(other, late).IsZero(); got != c.want {
			t.Errorf("after %s more: %t", c.after, got)
		}
	}
}

func TestWhatHappensWhenExtauthzOrTheStoreDoNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*stand)
		wish  func(*code.Request)
		want  string
		kept  bool
		ended string
	}{
		"extauthz is down":              {func(s *stand) { s.keeper.err = errMoody }, wish("", -1), "503 unavailable", true, ""},
		"the session has just ended":    {func(s *stand) { s.keeper.err = grant.ErrNone }, wish("", -1), "sign-in prompt=login", true, ""},
		"no keys to verify with":        {func(s *stand) { s.Provider.People.Keys = noKeys{} }, wish("", -1), "503 unavailable", true, ""},
		"the store cannot look":         {func(s *stand) { s.store.get.Store(true) }, wish("", -1), "503 unavailable", true, ""},
		"the store cannot take":         {func(s *stand) { s.store.take.Store(true) }, wish("", -1), "503 unavailable", true, "grant-1 shop"},
		"the store cannot keep a code":  {func(s *stand) { s.store.put.Store(true) }, wish("", -1), "temporarily_unavailable", false, "grant-1 shop"},
		"the store can nothing":         {func(s *stand) { s.store.take.Store(true); s.store.put.Store(true) }, wish("", -1), "503 unavailable", true, "grant-1 shop"},
		"an error that cannot be taken": {func(s *stand) { s.store.take.Store(true) }, wish("none", 0), "503 unavailable", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.confirmed()
			uri := s.pushed(c.wish)
			c.spoil(s)
			w := s.sees(of(uri), s.ada(nil))
			if got := said(t, w); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			s.store.get.Store(false)
			if s.kept(uri) != c.kept {
				t.Errorf("the request was kept: %t", !c.kept)
			}
			if got := strings.Join(s.keeper.endings(), ","); got != c.ended {
				t.Errorf("ended %q, want %q", got, c.ended)
			}
		})
	}
}

// A browser that goes away in the middle leaves no grant.
func TestWhoGoesAwayLeavesNoGrant(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	ctx, leave := context.WithCancel(t.Context())
	s.keeper.during = leave
	uri := s.pushed()
	r := httptest.NewRequest(http.MethodGet, PathAuthorize+"?"+of(uri), nil).WithContext(ctx)
	if got := said(t, s.answers(r, s.ada(nil))); got != "503 unavailable" || !s.kept(uri) || strings.Join(s.keeper.endings(), ",") != "grant-1 shop" {
		t.Errorf("%s, kept %t, ended %v", got, s.kept(uri), s.keeper.endings())
	}
}

// A session that ends between the ingress and the grant: whoever wants no page, or was at the sign-in already, is told so.
func TestASessionThatJustEndedMakesNoLoop(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	s.keeper.err = grant.ErrNone
	uri := s.pushed()
	w := s.sees(of(uri), s.ada(nil))
	if got := said(t, s.sees(leads(t, w).Query().Get("authorize"), s.ada(nil))); got != "login_required" {
		t.Errorf("on return: %s", got)
	}
	if got := said(t, s.sees(of(s.pushed(wish("none", -1))), s.ada(nil))); got != "login_required" {
		t.Errorf("silently: %s", got)
	}
	uri = s.pushed()
	if got := said(t, s.presses("continue", s.seal(t, uri), s.ada(nil))); got != "page sign-in prompt=login" || !s.kept(uri) {
		t.Errorf("a form: %s", got)
	}
}

// oauth2-proxy#3258: of parallel visits one gets a code, and no grant stands without one.
func TestOfParallelVisitsOneGetsACode(t *testing.T) {
	s := newStand(t)
	s.confirmed()
	uri, token := s.pushed(), s.ada(nil)
	sealed := s.seal(t, uri)
	got := make([]string, 12)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			if i%2 == 0 {
				got[i] = said(t, s.sees(of(uri), token))
			} else {
				got[i] = said(t, s.presses("continue", sealed, token))
			}
		})
	}
	all.Wait()
	codes := 0
	for _, one := range got {
		switch one {
		case "code", "page code":
			codes++
		case "400 authorization-request":
		default:
			t.Errorf("got %s", one)
		}
	}
	if open := len(s.keeper.opened) - len(s.keeper.endings()); codes != 1 || open != 1 {
		t.Errorf("%d codes, %d grants", codes, open)
	}
}

// oauth2-proxy#2989: the host of a request means nothing.
func TestTheHostMeansNothing(t *testing.T) {
	s := newStand(t)
	for _, address := range []string{PathOpenID, PathAuthorize + "?" + of(s.pushed())} {
		r := httptest.NewRequest(http.MethodGet, address, nil)
		r.Host = "evil.test"
		for _, name := range []string{"X-Forwarded-Host", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Original-Url"} {
			r.Header.Set(name, "evil.test")
		}
		w := s.answers(r)
		if all := w.Body.String() + w.Header().Get("Location"); strings.Contains(all, "evil") || !strings.Contains(all, standIssuer) {
			t.Errorf("%s: %s", address, all)
		}
	}
}
