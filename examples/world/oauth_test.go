package world

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

// outside is a relying party in a test.
type outside struct {
	*RelyingParty
	t *testing.T
}

// platform is the commercial platform, and partnerPortal a client of another sector, each with a new key for its proofs.
func platform(t *testing.T) outside {
	t.Helper()
	r, err := shared.RelyingParty(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return outside{r, t}
}

func partnerPortal(t *testing.T) outside {
	t.Helper()
	r, err := shared.relyingParty(t.Context(), portal, portalCallback, portalKeys())
	if err != nil {
		t.Fatal(err)
	}
	return outside{r, t}
}

// begin pushes a request, in pairs of wishes.
func (o outside) begin(wishes ...string) Visit {
	o.t.Helper()
	all := map[string]string{}
	for i := 0; i < len(wishes); i += 2 {
		all[wishes[i]] = wishes[i+1]
	}
	v, err := o.Begin(o.t.Context(), all)
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

// asks tells whether a page asks the person to confirm.
func asks(page Answer) bool { return strings.Contains(page.Body, `value="continue"`) }

// through opens a visit in a browser as somebody, signing in and confirming where that is asked, up to the answer that leads out.
func (o outside) through(b *Browser, name string, v Visit) (callback string) {
	o.t.Helper()
	page := must(o.t)(b.Open(v.URL))
	if strings.Contains(page.Body, `name="password"`) {
		page = must(o.t)(b.Authenticate(shared.User(name), page))
	}
	if asks(page) {
		page = must(o.t)(b.Submit(page, map[string]string{"decision": "continue"}))
	}
	if !strings.HasPrefix(page.Leads(), o.RedirectURI) {
		o.t.Fatalf("%s is not led back: %d at %s, to %q\n%.600s", name, page.Status, page.URL, page.Leads(), page.Body)
	}
	noteQuery(parsed(o.t, page.Leads()))
	return page.Leads()
}

func parsed(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// enter is the whole flow.
func (o outside) enter(b *Browser, name string, wishes ...string) SignedIn {
	o.t.Helper()
	v := o.begin(wishes...)
	s, err := o.Finish(o.t.Context(), v, o.through(b, name, v))
	if err != nil {
		o.t.Fatal(err)
	}
	secret("access token", s.Token.AccessToken)
	secret("ID token", s.IDToken)
	return s
}

// session asks the session resource, and wants an answer.
func (o outside) session(s SignedIn) SessionState {
	o.t.Helper()
	state, err := o.Session(o.t.Context(), s.Token)
	if err != nil || !state.Active {
		o.t.Fatalf("the session resource: %+v %v", state, err)
	}
	return state
}

// refusal is the error of the OAuth server, by status and code; "" is none.
func refusal(err error) (status int, code string) {
	if refused := new(OAuthError); errors.As(err, &refused) {
		return refused.Status, refused.Code
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, ""
}

// dead tells whether the session resource says so of a token, and of nothing else.
func (o outside) dead(s SignedIn) bool {
	o.t.Helper()
	_, err := o.Session(o.t.Context(), s.Token)
	status, code := refusal(err)
	if err != nil && (status != 401 || code != "invalid_token") {
		o.t.Logf("the session resource says %v", err)
	}
	return status == 401 && code == "invalid_token"
}

// toldBy is the error that a browser brings to the client.
func (o outside) told(v Visit, page Answer, want string) {
	o.t.Helper()
	_, err := o.Finish(o.t.Context(), v, page.Leads())
	if status, code := refusal(err); status != 0 || code != want {
		o.t.Errorf("the client is told %q (%v), want %q; %d at %s leads to %q", code, err, want, page.Status, page.URL, page.Leads())
	}
}

// part decodes a part of a JWT.
func part(t *testing.T, token string, at int) (claims map[string]any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[at])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func names(claims map[string]any) []string { return slices.Sorted(maps.Keys(claims)) }

// What leaves the isolated cloud about a person is this and no more.
func TestTokensHoldTheMinimum(t *testing.T) {
	o, b := platform(t), watched(t)
	began := time.Now().Unix()
	s := o.enter(b, "alice")
	minimum := []string{"aud", "exp", "iat", "isolated_cloud_id", "iss", "nonce", "session_expiry", "sid", "sub"}
	if diff := cmp.Diff(minimum, names(s.Claims)); diff != "" {
		t.Errorf("ID token: %s", diff)
	}
	access, header := part(t, s.Token.AccessToken, 1), part(t, s.Token.AccessToken, 0)
	if diff := cmp.Diff([]string{"aud", "client_id", "cnf", "exp", "iat", "iss", "jti", "scope", "sid", "sub"}, names(access)); diff != "" {
		t.Errorf("access token: %s", diff)
	}
	inside := echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami")))).Claims
	cloud, issuer := inside["isolated_cloud_id"], shared.URL("auth", "")
	for claim, want := range map[string]any{"iss": issuer, "aud": Client, "isolated_cloud_id": cloud, "exp": s.Claims["iat"].(float64) + 300} {
		if s.Claims[claim] != want {
			t.Errorf("ID token: %s is %v, want %v", claim, s.Claims[claim], want)
		}
	}
	for claim, want := range map[string]any{
		"iss": issuer, "aud": "urn:isogate:cloud:" + cloud.(string), "client_id": Client, "scope": "openid", "sub": s.Claims["sub"],
		"sid": s.Claims["sid"], "exp": access["iat"].(float64) + 86400,
	} {
		if access[claim] != want {
			t.Errorf("access token: %s is %v, want %v", claim, access[claim], want)
		}
	}
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || s.Token.TokenType != "DPoP" || len(names(access["cnf"].(map[string]any))) != 1 {
		t.Errorf("header %v, token type %s, cnf %v", header, s.Token.TokenType, access["cnf"])
	}
	if s.Claims["sub"] == inside["sub"] || s.Claims["sid"] == inside["sid"] {
		t.Error("an identifier of the inside went out")
	}
	ends := int64(s.Claims["session_expiry"].(float64)) // 30 minutes without activity come first
	if left := ends - began; left < 29*60 || left > 31*60 {
		t.Errorf("the session ends in %d s", left)
	}
	state := o.session(s)
	if state.Subject != s.Claims["sub"] || state.CloudID != cloud || state.Expiry < ends || state.Expiry > ends+60 {
		t.Errorf("the session resource says %+v, the ID token %v", state, s.Claims)
	}
	for _, token := range []string{s.IDToken, s.Token.AccessToken} {
		payload, _ := json.Marshal(part(t, token, 1))
		for _, personal := range []string{"alice", "Alice", "Arden", "acme.example", "engineering", "otp"} {
			if strings.Contains(string(payload), personal) {
				t.Errorf("a token holds %q", personal)
			}
		}
	}
}

// A person is the same to one client each time, and another to another client.
func TestSubIsPairwise(t *testing.T) {
	o, p := platform(t), partnerPortal(t)
	first, again, elsewhere := o.enter(watched(t), "bob"), o.enter(watched(t), "bob"), p.enter(watched(t), "bob")
	other := o.enter(watched(t), "alice")
	if first.Claims["sub"] != again.Claims["sub"] || first.Claims["sid"] == again.Claims["sid"] {
		t.Errorf("one person is %v and then %v, one grant %v and then %v", first.Claims["sub"], again.Claims["sub"], first.Claims["sid"], again.Claims["sid"])
	}
	if first.Claims["sub"] == elsewhere.Claims["sub"] || first.Claims["sub"] == other.Claims["sub"] || elsewhere.Claims["aud"] != portal {
		t.Error("two sectors or two people share a sub")
	}
}

// Each session confirms each client once.
func TestConfirmedOncePerClientAndSession(t *testing.T) {
	o, p, b := platform(t), partnerPortal(t), watched(t)
	page := must(t)(b.SignIn(shared.User("bob"), o.begin().URL))
	if !asks(page) || page.Status != 200 || !strings.Contains(page.Body, "Commercial Platform") {
		t.Fatalf("no page to confirm: %d at %s\n%.600s", page.Status, page.URL, page.Body)
	}
	o.enter(b, "bob")
	if page := must(t)(b.Open(o.begin().URL)); !strings.HasPrefix(page.Leads(), o.RedirectURI) {
		t.Errorf("asked again: %d at %s", page.Status, page.URL)
	}
	if page := must(t)(b.Open(p.begin().URL)); !asks(page) || !strings.Contains(page.Body, "Partner Portal") {
		t.Errorf("another client was not asked for: %d leads to %q", page.Status, page.Leads())
	}
	other := watched(t)
	if page := must(t)(other.SignIn(shared.User("bob"), o.begin().URL)); !asks(page) {
		t.Errorf("another session was not asked: %d leads to %q", page.Status, page.Leads())
	}
}

func TestCancelled(t *testing.T) {
	o, b := platform(t), watched(t)
	v := o.begin()
	page := must(t)(b.SignIn(shared.User("bob"), v.URL))
	o.told(v, must(t)(b.Submit(page, map[string]string{"decision": "cancel"})), "access_denied")
	if page := must(t)(b.Open(o.begin().URL)); !asks(page) {
		t.Error("a cancelled request counts as confirmed")
	}
	wantPage(t, must(t)(b.Open(v.URL)), 400, "<h1>") // it was answered
	if got := status(t, b, shared.URL("issues", "/whoami")); got != 401 && got != 200 {
		t.Errorf("the session: %d", got)
	}
}

// RFC 6749 section 4.1.2: who brings a code twice may be a thief, so what it gave is dead.
func TestReplayedCode(t *testing.T) {
	o, b := platform(t), watched(t)
	v := o.begin()
	callback := o.through(b, "bob", v)
	s, err := o.Finish(t.Context(), v, callback)
	if err != nil {
		t.Fatal(err)
	}
	kept := o.enter(b, "bob")
	o.session(s)
	if status, code := refusal(second(o.Finish(t.Context(), v, callback))); status != 400 || code != "invalid_grant" {
		t.Errorf("the second time: %d %s", status, code)
	}
	if !o.dead(s) {
		t.Error("what the code gave lives on")
	}
	o.session(kept) // another grant of the same session
}

func second[T any](_ T, err error) error { return err }

// A code is good for its client and its key alone, and whoever tries it otherwise has ended it.
func TestStolenCode(t *testing.T) {
	for name, thief := range map[string]func(o outside, v Visit) (outside, Visit){
		"another client":   func(o outside, v Visit) (outside, Visit) { return partnerPortal(t), v },
		"another key":      func(o outside, v Visit) (outside, Visit) { return platform(t), v },
		"another verifier": func(o outside, v Visit) (outside, Visit) { v.verifier = oauth2.GenerateVerifier(); return o, v },
	} {
		t.Run(name, func(t *testing.T) {
			o := platform(t)
			v := o.begin()
			code := parsed(t, o.through(watched(t), "bob", v)).Query().Get("code")
			by, with := thief(o, v)
			if status, code := refusal(second(by.Exchange(t.Context(), with, code))); status != 400 || code != "invalid_grant" {
				t.Errorf("the thief got %d %s", status, code)
			}
			if status, code := refusal(second(o.Exchange(t.Context(), v, code))); status != 400 || code != "invalid_grant" {
				t.Errorf("the owner got %d %s after that", status, code)
			}
		})
	}
}

// A token is worth nothing without its key (RFC 9449).
func TestStolenToken(t *testing.T) {
	o, thief := platform(t), platform(t)
	s := o.enter(watched(t), "bob")
	if status, code := refusal(second(thief.Session(t.Context(), s.Token))); status != 401 || code != "invalid_dpop_proof" {
		t.Errorf("with another key: %d %s", status, code)
	}
	o.session(s)
}

func TestRevoked(t *testing.T) {
	o, b := platform(t), watched(t)
	s, other := o.enter(b, "bob"), o.enter(b, "bob")
	for range 2 { // RFC 7009 section 2.2: the second time is no error
		if err := o.Revoke(t.Context(), s.Token); err != nil {
			t.Fatal(err)
		}
		if !o.dead(s) {
			t.Fatal("the session resource answers after the revocation")
		}
	}
	o.session(other)
	if got := must(t)(b.Open(shared.URL("auth", "/.isogate/session"))); got.Status != 200 {
		t.Errorf("the session inside ended too: %d", got.Status)
	}
}
