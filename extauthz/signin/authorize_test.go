package signin

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/session"
)

// sentQuery is what the OAuth server sends a person here with, and authorizeURL where they come back to then.
const (
	sentQuery    = "client_id=commercial&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Aabc&returned=AbC-1_2"
	authorizeURL = atAuth + PathAuthorize + "?" + sentQuery
)

// entrance is the address of the sign-in for a query of the authorization endpoint.
func entrance(query string) string {
	return atAuth + PathSignIn + "?authorize=" + url.QueryEscape(query)
}

func TestSignInForTheOAuthServerLeadsBackToIt(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	signedIn := b.get(b.answered("honest", b.led(b.get(entrance(sentQuery))), "bob"))
	if signedIn.status != http.StatusSeeOther || signedIn.location != authorizeURL || b.who() != "bob@honest.example" {
		t.Errorf("after the sign-in: %d %q, signed in as %q", signedIn.status, signedIn.location, b.who())
	}
	if kept := keptValues(t, r, "t/"); len(kept) != 0 {
		t.Errorf("%d tickets were made for the auth host", len(kept))
	}
	if again := b.get(entrance(sentQuery) + "&max_age=60&acr_values=x&login_hint=bob%40honest.example"); again.status != http.StatusSeeOther || again.location != authorizeURL {
		t.Errorf("signed in already: %d %q", again.status, again.location)
	}
	if at := b.led(b.get(entrance(sentQuery) + "&prompt=login")); at.Path != "/authorize" || at.Query().Get("prompt") != "login" {
		t.Errorf("signed in already, and asked anew: led to %s", at)
	}
}

// A person who is signed in shows best where a query leads, for nothing lies between. GHSA-qqxw, GHSA-4mf2: what is published as leading
// astray is refused, or stands escaped behind the one address that there is.
func TestAuthorizeOpensNoRedirect(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	b.signIn("honest", "bob")
	for _, astray := range []string{
		"https://evil.example", "//evil.example", "///evil.example", `\\evil.example`, `/\evil.example`, "/\t/evil.example", "https:evil.example", "@evil.example",
		".evil.example", ":443@evil.example", "javascript:alert(1)", "data:text/html,x", "/../../evil.example", "/%2e%2e//evil.example", "%2F%2Fevil.example", "%5cevil.example",
		"#@evil.example", "?@evil.example", ";@evil.example", "\r\nlocation: https://evil.example", "%0d%0alocation:%20https://evil.example", "\x00//evil.example",
		"https://auth.acme.test@evil.example", "https://auth.acme.test.evil.example", "〱evil.example", "//evil。example", "//evil%E3%80%82example", "\u202e//evil.example",
		"redirect_uri=https://evil.example", "response_mode=x", "&&//evil.example", "//evil.example&client_id=commercial", "ldap://evil.example", "x:\\evil.example",
	} {
		for place, query := range map[string]string{
			"alone": astray, "as a name": url.QueryEscape(astray) + "=x", "before": astray + "?" + sentQuery, "behind": sentQuery + astray, "behind a fragment": sentQuery + "#" + astray,
			"client_id": "client_id=" + astray, "request_uri": "request_uri=" + url.QueryEscape(astray), "returned": "client_id=x&returned=" + url.QueryEscape(astray),
		} {
			got := b.get(entrance(query))
			if got.reason() == "start-again" && got.location == "" {
				continue
			}
			at, err := url.Parse(got.location)
			if err != nil || !strings.HasPrefix(got.location, atAuth+PathAuthorize+"?") || at.Host != authHost || at.Path != PathAuthorize || at.User != nil || at.Fragment != "" {
				t.Errorf("%s %q: %d, led to %q", place, astray, got.status, got.location)
				continue
			}
			if at.RawQuery != at.Query().Encode() || strings.ContainsAny(at.RawQuery, "/\\:@#;? ") {
				t.Errorf("%s %q: not written anew: %q", place, astray, at.RawQuery)
			}
		}
	}
}

// entryCase is a set of parameters that a sign-in may begin with. target is where it leads, or "" where it is refused.
type entryCase struct {
	name, target string
	params       url.Values
}

func entryCases(flowTo string) []entryCase {
	query := func(raw string) url.Values { return url.Values{"authorize": {raw}} }
	with := func(name, value string) url.Values { return url.Values{"authorize": {sentQuery}, name: {value}} }
	long := strings.Repeat("x", maxTarget)
	return []entryCase{
		{"as it is sent", PathAuthorize + "?" + sentQuery, query(sentQuery)},
		{"in another order", PathAuthorize + "?" + sentQuery, query("returned=AbC-1_2&request_uri=urn:ietf:params:oauth:request_uri:abc&&client_id=commercial")},
		{"one alone", PathAuthorize + "?client_id=x", query("client_id=x")}, {"without a value", PathAuthorize + "?client_id=", query("client_id")},
		{"an escaped name", PathAuthorize + "?client_id=x", query("%63lient_id=x")}, {"escapes that need none", PathAuthorize + "?client_id=x", query("client_id=%78")},
		{"as long as may be", PathAuthorize + "?client_id=" + long[10:], query("client_id=" + long[10:])},

		{"empty", "", query("")}, {"separators alone", "", query("&&")}, {"one byte too long", "", query("client_id=" + long[9:])},
		{"too long when it is written anew", "", query("client_id=" + strings.Repeat("/", 1000))}, {"too long before", "", query("client_id=x" + strings.Repeat("&", maxTarget))},
		{"an unknown name", "", query("client_id=x&scope=openid")}, {"a redirect URI", "", query("client_id=x&redirect_uri=https%3A%2F%2Fevil.example")},
		{"a name in capitals", "", query("Client_id=x")}, {"an empty name", "", query("=x")}, {"a name doubled", "", query("client_id=x&client_id=x")},
		{"doubled in another spelling", "", query("client_id=x&%63lient_id=y")}, {"a broken escape", "", query("client_id=%zz")}, {"a semicolon", "", query("client_id=x;returned=y")},
		{"a line break", "", query("client_id=x%0d%0ay")}, {"NUL", "", query("client_id=%00")}, {"DEL", "", query("client_id=%7f")}, {"not ASCII", "", query("client_id=%C3%A9")},
		{"not UTF-8", "", query("client_id=%FF")}, {"escaped twice", PathAuthorize + "?client_id=%250d%250a", query("client_id=%250d%250a")},

		{"beside a flow", "", with("flow", flowTo)}, {"beside an empty flow", "", with("flow", "")}, {"empty, beside a flow", "", url.Values{"flow": {flowTo}, "authorize": {""}}},
		{"a flow alone", "/x", url.Values{"flow": {flowTo}}}, {"the flow in its place", "", query(flowTo)}, {"it in the flow's place", "", url.Values{"flow": {sentQuery}}},

		{"max_age negative", "", with("max_age", "-1")}, {"max_age with a sign", "", with("max_age", "+1")}, {"max_age a fraction", "", with("max_age", "1.5")},
		{"max_age in words", "", with("max_age", "ten")}, {"max_age hexadecimal", "", with("max_age", "0x10")}, {"max_age with a blank", "", with("max_age", " 1")},
		{"max_age huge", "", with("max_age", "99999999999999999999")}, {"max_age over 31 bits", "", with("max_age", "2147483648")}, {"max_age other digits", "", with("max_age", "١")},
		{"max_age empty is none", PathAuthorize + "?" + sentQuery, with("max_age", "")}, {"max_age the largest", PathAuthorize + "?" + sentQuery, with("max_age", "2147483647")},
		{"acr_values too long", "", with("acr_values", long[:maxACRs+1])}, {"acr_values as long as may be", PathAuthorize + "?" + sentQuery, with("acr_values", long[:maxACRs])},
		{"acr_values with a line break", "", with("acr_values", "a\nb")}, {"acr_values not ASCII", "", with("acr_values", "é")}, {"acr_values not UTF-8", "", with("acr_values", "\xff")},
		{"a hint that is no address is dropped", PathAuthorize + "?" + sentQuery, with("login_hint", "<script>")}, {"an unknown prompt is none", PathAuthorize + "?" + sentQuery, with("prompt", "none")},
	}
}

// The form and the links of a choice bring back what a sign-in began with, and anybody can write them: what comes is judged as at first.
func TestParametersOfASignInAreJudgedWhereverTheyComeFrom(t *testing.T) {
	r := newRig(t, "honest", "evil")
	begin, _, err := r.Begin(productHost, "/x", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range entryCases(strings.TrimPrefix(begin, atAuth+PathSignIn+"?flow=")) {
		t.Run(tt.name, func(t *testing.T) {
			link, form := url.Values{"provider": {"honest"}}, url.Values{"email": {"bob@honest.example"}}
			for name, values := range tt.params {
				link[name], form[name] = values, values
			}
			for way, got := range map[string]response{"link": r.browser().get(atAuth + PathSignIn + "?" + link.Encode()), "form": r.browser().post(atAuth+PathSignIn, form)} {
				if tt.target == "" {
					if got.status != http.StatusBadRequest || got.reason() != "start-again" || got.location != "" {
						t.Errorf("%s: %d %q, led to %q", way, got.status, got.reason(), got.location)
					}
					continue
				}
				begun, _, err := r.openState(r.browser().led(got).Query().Get("state"))
				if err != nil || begun.Back == nil || begun.Back.Target != tt.target {
					t.Errorf("%s: %v, leads to %+v", way, err, begun.Back)
				}
			}
		})
	}
}

// Where the file has no client there is no OAuth server to come from or to go back to, and no state of before leads there.
func TestWithoutClientsNothingLeadsToTheOAuthServer(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	answer := b.answered("honest", b.led(b.get(entrance(sentQuery))), "bob")
	other := b.copied()
	r.Site.Authorize = false
	if got := b.get(answer); got.location != atAuth+PathSession {
		t.Errorf("a sign-in of before: %d, led to %q", got.status, got.location)
	}
	clear(other.jar)
	if got := other.get(answer); got.reason() != "start-again" {
		t.Errorf("a sign-in of before without its cookie: %d %q", got.status, got.location)
	}
	if got := b.get(entrance(sentQuery)); got.reason() != "start-again" {
		t.Errorf("%d %q, led to %q", got.status, got.reason(), got.location)
	}
}

// Addresses come from the file, whatever a request says of itself.
func TestHeadersDoNotChangeWhereThePersonComesBack(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	b.signIn("honest", "bob")
	for _, host := range []string{authHost, authHost + ":9999"} {
		ask := httptest.NewRequestWithContext(t.Context(), http.MethodGet, entrance(sentQuery), nil)
		ask.Host = host
		for name, value := range map[string]string{
			"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "x-forwarded-host": "evil.example", "x-forwarded-proto": "http", "x-forwarded-port": "9999",
			"forwarded": "host=evil.example;proto=http", "x-original-url": "//evil.example", "x-rewrite-url": "//evil.example", "referer": "https://evil.example/", "origin": "https://evil.example",
		} {
			ask.Header.Set(name, value)
		}
		ask.AddCookie(&http.Cookie{Name: session.SessionCookie, Value: b.jar[authHost][session.SessionCookie]})
		w := httptest.NewRecorder()
		r.Handler("/jwks").ServeHTTP(w, ask)
		if got := w.Header().Get("location"); got != authorizeURL {
			t.Errorf("%s: %d, led to %q", host, w.Code, got)
		}
	}
}

// CVE-2022-39222: an answer in another browser signs nobody in there. It goes back to the OAuth server, as any link can lead there.
func TestAnswerForTheOAuthServerIsBoundToItsBrowser(t *testing.T) {
	r := newRig(t, "honest")
	mallory, victim := r.browser(), r.browser()
	victim.get(entrance(sentQuery))
	answer := mallory.answered("honest", mallory.led(mallory.get(entrance(sentQuery))), "mallory")
	for _, who := range []string{"", "victim@honest.example"} {
		if who != "" {
			victim.signIn("honest", "victim")
		}
		before := len(r.idps["honest"].codes())
		if got := victim.get(answer); got.status != http.StatusSeeOther || got.location != authorizeURL || victim.who() != who {
			t.Errorf("another's answer: %d %q, signed in as %q, want %q", got.status, got.location, victim.who(), who)
		}
		if len(r.idps["honest"].codes()) != before {
			t.Error("another's answer was redeemed")
		}
	}
	mallory.get(answer)
	if mallory.who() != "mallory@honest.example" {
		t.Errorf("in its own browser: signed in as %q", mallory.who())
	}
}

// A browser that keeps no cookies, at a provider that asks nothing: the way ends at the client, after one sign-in that came to nothing.
func TestWithoutCookiesTheWayEndsAtTheClient(t *testing.T) {
	r := newRig(t, "honest")
	for _, query := range []string{"client_id=x&request_uri=y", "client_id=x&request_uri=y&returned=sealed"} {
		b, signIns := r.browser(), 0
		at, err := url.Parse(b.answered("honest", b.led(b.get(entrance(query))), "bob"))
		if err != nil {
			t.Fatal(err)
		}
		for ; at.Path != PathAuthorize || at.Query().Get("returned") != "sealed"; signIns++ {
			if signIns > 2 {
				t.Fatalf("%s: goes round in circles", query)
			}
			clear(b.jar)
			if at.Path == PathAuthorize { // which sends people here with its mark
				began := b.led(b.get(entrance(at.RawQuery + "&returned=sealed")))
				at, _ = url.Parse(b.answered("honest", began, "bob"))
				clear(b.jar)
			}
			at = b.led(b.get(at.String()))
		}
	}
}

// A sign-in that failed is tried again by a link, which must not look like the way back: the OAuth server would give up.
func TestTryingAgainIsAFirstVisitAtTheOAuthServer(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	answer := b.answered("honest", b.led(b.get(entrance(sentQuery))), "bob")
	r.idps["honest"].behave(conduct{claims: say(map[string]any{"nonce": "another"})})
	link := atAuth + PathAuthorize + "?client_id=commercial&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Aabc"
	if got := b.get(answer); got.reason() != "start-again" || found(got.body, `href="([^"]*/oauth2/[^"]*)"`) != link {
		t.Errorf("%d %q, tried again at %q", got.status, got.reason(), found(got.body, `href="([^"]*/oauth2/[^"]*)"`))
	}
	r.clock.advance(time.Minute)
	r.idps["honest"].Close()
	if got := b.get(entrance(sentQuery)); got.reason() != "provider-unavailable" || found(got.body, `href="([^"]*/oauth2/[^"]*)"`) != link {
		t.Errorf("%d %q, tried again at %q", got.status, got.reason(), found(got.body, `href="([^"]*/oauth2/[^"]*)"`))
	}
}
