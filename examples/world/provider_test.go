package world

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// answerAt is a provider's answer that waits to be brought back.
type answerAt struct {
	browser *Browser
	base    string
	query   url.Values
}

func newAnswer(t *testing.T, b *Browser, name string) answerAt {
	t.Helper()
	u, err := url.Parse(begin(t, b, name, shared.URL("issues", "/back?a=b")))
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(u.String(), "?")
	return answerAt{b, base, u.Query()}
}

// with is the address of the callback with some parameters as they should not be; an empty list leaves one out.
func (a answerAt) with(change url.Values) string {
	query := maps.Clone(a.query)
	for name, values := range change {
		if query[name] = values; len(values) == 0 {
			delete(query, name)
		}
	}
	return a.base + "?" + query.Encode()
}

func (a answerAt) get(name string) string { return a.query.Get(name) }

// CVE-2023-27496 of Envoy's own OAuth filter crashed on an answer without a state; here each odd answer has its page and opens nothing.
func TestAnswersThatAreNotTheProviders(t *testing.T) {
	strange := newAnswer(t, watched(t), "alice")
	for _, c := range []struct {
		name   string
		change func(own answerAt) url.Values
		status int
		word   string
	}{
		{"no state", func(answerAt) url.Values { return url.Values{"state": nil} }, 400, startAgain},
		{"empty state", func(answerAt) url.Values { return url.Values{"state": {""}} }, 400, startAgain},
		{"state twice", func(own answerAt) url.Values { return url.Values{"state": {own.get("state"), own.get("state")}} }, 400, "not valid"},
		{"two states", func(own answerAt) url.Values { return url.Values{"state": {own.get("state"), strange.get("state")}} }, 400, "not valid"},
		{"another browser's state", func(answerAt) url.Values { return url.Values{"state": {strange.get("state")}} }, 400, startAgain},
		{"another browser's answer", func(answerAt) url.Values { return strange.query }, 400, startAgain},
		{"flipped state", func(own answerAt) url.Values { return url.Values{"state": {flip(own.get("state"), 60)}} }, 400, startAgain},
		{"state cut short", func(own answerAt) url.Values { return url.Values{"state": {own.get("state")[:40]}} }, 400, startAgain},
		{"huge state", func(answerAt) url.Values { return url.Values{"state": {strings.Repeat("A", 7000)}} }, 400, startAgain},
		{"no code", func(answerAt) url.Values { return url.Values{"code": nil} }, 400, startAgain},
		{"empty code", func(answerAt) url.Values { return url.Values{"code": {""}} }, 400, startAgain},
		{"code twice", func(own answerAt) url.Values { return url.Values{"code": {own.get("code"), own.get("code")}} }, 400, "not valid"},
		{"flipped code", func(own answerAt) url.Values { return url.Values{"code": {flip(own.get("code"), 3)}} }, 400, startAgain},
		{"made-up code", func(answerAt) url.Values { return url.Values{"code": {"made-up"}} }, 400, startAgain},
		{"another sign-in's code (code injection, RFC 9700 section 4.5)", func(answerAt) url.Values { return url.Values{"code": {strange.get("code")}} }, 400, startAgain},
		{"no issuer", func(answerAt) url.Values { return url.Values{"iss": nil} }, 400, startAgain},
		{"empty issuer", func(answerAt) url.Values { return url.Values{"iss": {""}} }, 400, startAgain},
		{"another issuer (mix-up, RFC 9207)", func(answerAt) url.Values { return url.Values{"iss": {"https://evil.example"}} }, 400, startAgain},
		{"the issuer, nearly", func(own answerAt) url.Values { return url.Values{"iss": {own.get("iss") + "/"}} }, 400, startAgain},
		{"issuer twice", func(own answerAt) url.Values { return url.Values{"iss": {own.get("iss"), own.get("iss")}} }, 400, "not valid"},
		{"refusal", func(answerAt) url.Values { return url.Values{"code": nil, "error": {"access_denied"}} }, 403, "You were not signed in"},
		{"refusal with a code", func(answerAt) url.Values { return url.Values{"error": {"access_denied"}} }, 403, "You were not signed in"},
		{"refusal with a text", func(answerAt) url.Values {
			return url.Values{"code": nil, "error": {"<script>x"}, "error_description": {"<script>alert(1)"}, "error_uri": {"https://evil.example"}}
		}, 403, "You were not signed in"},
		{"refusal twice", func(answerAt) url.Values { return url.Values{"error": {"a", "b"}} }, 400, "not valid"},
		{"refusal of another issuer", func(answerAt) url.Values {
			return url.Values{"code": nil, "error": {"x"}, "iss": {"https://evil.example"}}
		}, 400, startAgain},
		{"refusal without a state", func(answerAt) url.Values { return url.Values{"error": {"access_denied"}, "state": nil} }, 400, startAgain},
		{"nothing", func(answerAt) url.Values { return url.Values{"error": nil, "state": nil, "code": nil, "iss": nil} }, 400, startAgain},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := newAnswer(t, watched(t), "bob")
			a := must(t)(own.browser.Step(own.with(c.change(own))))
			wantPage(t, a, c.status, c.word)
			if hasSession(own.browser, "auth") || strings.Contains(a.Body, "<script>") || strings.Contains(a.Body, "evil.example") {
				t.Errorf("a session, or the stranger's words:\n%s", a.Body)
			}
			if e := echoOf(t, must(t)(own.browser.Open(shared.URL("issues", "/after")))); e.Target != "/after" || e.Claims["name"] != "Bob Birch" {
				t.Errorf("afterwards: %s as %v", e.Target, e.Claims["name"])
			}
		})
	}
}

// The page to start again leads to where the person wanted to go, which takes them there by itself.
func TestStartAgainKeepsTheTarget(t *testing.T) {
	own := newAnswer(t, watched(t), "bob")
	a := must(t)(own.browser.Step(own.with(url.Values{"code": {"made-up"}})))
	wantPage(t, a, 400, shared.URL("issues", "/back?a=b"))
}

func TestAnswerIsTakenOnlyByAWindow(t *testing.T) {
	own := newAnswer(t, watched(t), "bob")
	for _, kind := range []map[string]string{Fetch, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Accept": "text/html"}, {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, nil} {
		if a := must(t)(own.browser.Do("GET", own.with(nil), kind, nil, "")); a.Status != 401 || len(a.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("%v: %d", kind, a.Status)
		}
	}
	if a := must(t)(own.browser.Do("POST", own.with(nil), Navigation, nil, "")); a.Status != 405 {
		t.Errorf("POST: %d", a.Status)
	}
	if a := must(t)(own.browser.Do("GET", strings.Replace(own.with(nil), "//auth.", "//issues.", 1), Navigation, nil, "")); a.Status != 404 {
		t.Errorf("at a product's host: %d", a.Status)
	}
	if e := echoOf(t, must(t)(own.browser.Open(own.with(nil)))); e.Target != "/back?a=b" { // none of it used the answer
		t.Errorf("afterwards: %s", e.Target)
	}
}

// Reload, the back button, and an answer that somebody kept.
func TestAnswerThatWasUsed(t *testing.T) {
	own := newAnswer(t, watched(t), "bob")
	proof := flowsAt(own.browser, "auth")
	must(t)(own.browser.Open(own.with(nil)))
	before := handle(own.browser, "auth")
	for range 2 {
		if e := echoOf(t, must(t)(own.browser.Open(own.with(nil)))); e.Target != "/back?a=b" {
			t.Errorf("a reload led to %s", e.Target)
		}
	}
	stranger := watched(t)
	wantRefused(t, stranger, must(t)(stranger.Open(own.with(nil))))
	for name, value := range proof {
		own.browser.SetCookie(own.base, name, value)
		stranger.SetCookie(own.base, name, value)
	}
	wantPage(t, must(t)(own.browser.Step(own.with(nil))), 400, startAgain) // the provider takes each code once
	wantPage(t, must(t)(stranger.Step(own.with(nil))), 400, startAgain)
	if handle(own.browser, "auth") != before || hasSession(stranger, "auth") || status(t, own.browser, shared.URL("issues", "/whoami")) != 200 {
		t.Error("the replay changed a session")
	}
}

// set is a lie that changes single claims; nil removes one.
func set(pairs ...any) func(map[string]any) {
	return func(claims map[string]any) {
		for i := 0; i < len(pairs); i += 2 {
			if claims[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
				delete(claims, pairs[i].(string))
			}
		}
	}
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

const (
	badDomain   = "does not belong to this organisation"
	unverified  = "has not confirmed it yet"
	noAddress   = "Your account has no e-mail address"
	tooLarge    = "too many groups"
	unavailable = "Sign-in is not available right now"
)

func TestLiesOfTheProvider(t *testing.T) {
	for _, c := range []struct {
		name   string
		lie    func(map[string]any)
		status int
		word   string
	}{
		{"no e-mail address", set("email", nil), 403, noAddress},
		{"empty e-mail address", set("email", ""), 403, noAddress},
		{"a number as e-mail address", set("email", 7), 503, unavailable},
		{"two e-mail addresses", set("email", []string{"bob@acme.example", "x@y.example"}), 503, unavailable},
		{"unverified", set("email_verified", false), 403, unverified},
		{"verified unsaid", set("email_verified", nil), 403, unverified},
		{"verified by the wrong word", set("email_verified", "yes"), 403, unverified},
		{"verified by a number", set("email_verified", 1), 403, unverified},
		{"domain of somebody else", set("email", "bob@elsewhere.example"), 403, badDomain},
		{"domain as a prefix", set("email", "bob@acme.example.evil"), 403, badDomain},
		{"domain as a suffix", set("email", "bob@evil-acme.example"), 403, badDomain},
		{"sub-domain", set("email", "bob@sub.acme.example"), 403, badDomain},
		{"two at signs", set("email", "bob@acme.example@evil.example"), 403, badDomain},
		{"two at signs, ours last", set("email", "bob@evil.example@acme.example"), 403, badDomain},
		{"quoted", set("email", `"bob@evil.example"@acme.example`), 403, badDomain},
		{"display name", set("email", "Bob <bob@acme.example>"), 403, badDomain},
		{"angle brackets", set("email", "<bob@acme.example>"), 403, badDomain},
		{"list", set("email", "bob@acme.example,x@evil.example"), 403, badDomain},
		{"comment", set("email", "bob@acme.example(x)"), 403, badDomain},
		{"line break", set("email", "bob@acme.example\nx"), 403, badDomain},
		{"NUL", set("email", "bob@acme.example\x00.evil"), 403, badDomain},
		{"blank", set("email", "bob@acme.example "), 403, badDomain},
		{"no local part", set("email", "@acme.example"), 403, badDomain},
		{"no domain", set("email", "bob@"), 403, badDomain},
		{"trailing dot", set("email", "bob@acme.example."), 403, badDomain},
		{"Cyrillic letter", set("email", "bob@\u0430cme.example"), 403, badDomain},
		{"text direction", set("email", "bob\u202e@acme.example"), 403, badDomain},
		{"invisible character", set("email", "bob@acme.exa\u200bmple"), 403, badDomain},
		{"huge address", set("email", strings.Repeat("b", 300)+"@acme.example"), 403, badDomain},
		{"wrong nonce", set("nonce", "AAAAAAAAAAAAAAAAAAAA"), 400, startAgain},
		{"no nonce", set("nonce", nil), 400, startAgain},
		{"no subject", set("sub", nil), 400, startAgain},
		{"empty subject", set("sub", ""), 400, startAgain},
		{"another audience", set("aud", "another"), 503, unavailable},
		{"no audience", set("aud", nil), 503, unavailable},
		{"two audiences, no authorized party", set("aud", []string{"isogate", "another"}, "azp", nil), 400, startAgain},
		{"two audiences, the other's token", set("aud", []string{"isogate", "another"}, "azp", "another"), 400, startAgain},
		{"our audience, the other's token", set("azp", "another"), 400, startAgain},
		{"another issuer", set("iss", "https://evil.example"), 503, unavailable},
		{"no issuer", set("iss", nil), 503, unavailable},
		{"expired", set("exp", in(-time.Hour)), 503, unavailable},
		{"no end", set("exp", nil), 503, unavailable},
		{"issued in the future", set("iat", in(time.Hour)), 503, unavailable},
		{"issued at no time", set("iat", nil), 503, unavailable},
		{"not yet valid", set("nbf", in(time.Hour)), 503, unavailable},
		{"signed in in the future", set("auth_time", in(time.Hour)), 503, unavailable},
		{"a text as time", set("auth_time", "yesterday"), 503, unavailable},
		{"many groups", set("groups", slices.Repeat([]string{"g"}, 300)), 403, tooLarge},
		{"long groups", set("groups", slices.Repeat([]string{strings.Repeat("g", 100)}, 60)), 403, tooLarge},
		{"huge name", set("name", strings.Repeat("n", 5000)), 403, tooLarge},
		{"huge acr", set("acr", strings.Repeat("n", 5000)), 403, tooLarge},
		{"many methods", set("amr", slices.Repeat([]string{"a-method-of-authentication"}, 300)), 403, tooLarge},
	} {
		t.Run(c.name, func(t *testing.T) { wantNobody(t, "bob", c.lie, c.status, c.word) })
	}
	t.Run("foreign person", func(t *testing.T) { wantNobody(t, "carol", nil, 403, badDomain) })
	t.Run("unverified person", func(t *testing.T) { wantNobody(t, "dave", nil, 403, unverified) })
}

// wantNobody demands that a lie ends at a page, opens nothing, and leaves nothing behind that would hinder the truth.
func wantNobody(t *testing.T, name string, lie func(map[string]any), status int, word string) {
	t.Helper()
	shared.Provider.Mutate(lie)
	t.Cleanup(func() { shared.Provider.Mutate(nil) })
	b := watched(t)
	hits := shared.Products["issues"].Hits()
	a := must(t)(b.SignIn(shared.User(name), shared.URL("issues", "/whoami")))
	wantPage(t, a, status, word)
	if hasSession(b, "auth") || hasSession(b, "issues") || flowsOf(b, "auth") != 0 {
		t.Errorf("cookies: %v", b.Cookies(shared.URL("auth", "/")))
	}
	if strings.Contains(a.Body, "Bob Birch") || strings.Contains(a.Body, "acme.example") {
		t.Errorf("the page names the person:\n%s", a.Body)
	}
	if reached := shared.Products["issues"].Hits() - hits; reached != 0 {
		t.Errorf("%d requests reached the product", reached)
	}
	if lie == nil {
		return
	}
	shared.Provider.Mutate(nil)
	if e := echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami")))); e.Claims["email"] != "bob@acme.example" {
		t.Errorf("the truth afterwards: %v", e.Claims)
	}
}

func TestOddTruthsOfTheProvider(t *testing.T) {
	for _, c := range []struct {
		name  string
		lie   func(map[string]any)
		email string
	}{
		{"domain in capitals", set("email", "bob@ACME.Example"), "bob@acme.example"},
		{"verified by a text", set("email_verified", "true"), "bob@acme.example"},
		{"plus and dots", set("email", "b.o+b'x@acme.example"), "b.o+b'x@acme.example"},
		{"two audiences, our token", set("aud", []string{"isogate", "another"}, "azp", "isogate"), "bob@acme.example"},
		{"our token", set("azp", "isogate"), "bob@acme.example"},
		{"clock half a minute ahead", set("iat", in(30*time.Second), "auth_time", in(30*time.Second), "nbf", in(30*time.Second)), "bob@acme.example"},
		{"clock half a minute behind", set("exp", in(-30*time.Second)), "bob@acme.example"},
		{"no time of sign-in, no methods, no name", set("auth_time", nil, "amr", nil, "acr", nil, "name", nil, "groups", nil), "bob@acme.example"},
		{"one group as a text", set("groups", "staff", "amr", "pwd"), "bob@acme.example"},
		{"groups that are none", set("groups", map[string]any{"a": 1}), "bob@acme.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			shared.Provider.Mutate(c.lie)
			t.Cleanup(func() { shared.Provider.Mutate(nil) })
			b := watched(t)
			if e := echoOf(t, must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", "/whoami")))); e.Claims["email"] != c.email {
				t.Errorf("claims: %v", e.Claims)
			}
		})
	}
}
