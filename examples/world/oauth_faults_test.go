package world

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/usercontext"
)

// stop stops a part for the time of a test.
func stop(t *testing.T, part string) {
	t.Helper()
	if err := shared.Parts[part].Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Parts[part].Start(context.Background()); err != nil { // the test's own context has ended
			t.Error(err)
		}
		restarted(t, part)
	})
}

// restarted waits for the products and the OAuth server.
func restarted(t *testing.T, part string) {
	t.Helper()
	eventually(t, part+" is back", func() bool {
		return status(t, shared.Browser(), shared.URL("issues", "/health")) == 200 && status(t, shared.Browser(), shared.URL("auth", "/oauth2/jwks")) == 200
	})
}

// Without the OAuth server nobody gets a code, and everything else goes on.
func TestOAuthServerDown(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	v, s := o.begin(), o.enter(b, "bob")
	t.Run("down", func(t *testing.T) {
		stop(t, "oidcprovider")
		if page := must(t)(b.Open(v.URL)); page.Status != 503 || page.Leads() != "" || !strings.Contains(page.Body, "<h1>Not available right now</h1>") {
			t.Errorf("authorize: %d leads to %q\n%.300s", page.Status, page.Leads(), page.Body)
		}
		if status, code := refusal(second(o.Begin(t.Context(), nil))); status != 503 {
			t.Errorf("PAR: %d %s", status, code)
		}
		if status, code := refusal(o.Revoke(t.Context(), s.Token)); status != 503 {
			t.Errorf("revocation: %d %s", status, code)
		}
		if got := status(t, b, shared.URL("issues", "/whoami")); got != 200 {
			t.Errorf("a product: %d", got)
		}
		if a := must(t)(watched(t).SignIn(shared.User("alice"), shared.URL("wiki", "/whoami"))); a.Status != 200 {
			t.Errorf("a sign-in at a product: %d", a.Status)
		}
		o.session(s) // extauthz keeps the keys that it has read
	})
	o.session(s)
	if page := must(t)(b.Open(v.URL)); page.Leads() == "" {
		t.Errorf("a request that was pushed before is lost: %d at %s", page.Status, page.URL)
	}
}

// Without extauthz there is no code, no token, no revocation, and no answer about a session.
func TestNoCodeWithoutExtauthz(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	s, v := o.enter(b, "bob"), o.begin()
	callback, fresh := o.through(b, "bob", v), o.begin()
	direct := daemon.UnixClient(topology.Cloud{Sockets: daemon.Path(shared.sockets)}.OAuthSocket())
	t.Run("down", func(t *testing.T) {
		stop(t, "extauthz")
		if page := must(t)(b.Open(fresh.URL)); page.Status != 503 || page.Leads() != "" {
			t.Errorf("authorize: %d leads to %q", page.Status, page.Leads())
		}
		for what, err := range map[string]error{
			"token": second(o.Finish(t.Context(), v, callback)), "revoke": o.Revoke(t.Context(), s.Token), "session": second(o.Session(t.Context(), s.Token)),
		} {
			if status, code := refusal(err); status != 503 {
				t.Errorf("%s: %d %s", what, status, code)
			}
		}
		// The ingress asks extauthz about each request; behind it the OAuth server says the same by itself.
		answer, err := direct.Post("http://oidcprovider/oauth2/revoke", "application/x-www-form-urlencoded", strings.NewReader(o.form(t, url.Values{"token": {s.Token.AccessToken}})))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 503 {
			t.Errorf("revocation at the socket: %d", answer.StatusCode)
		}
	})
	o.session(s)
	if err := o.Revoke(t.Context(), s.Token); err != nil || !o.dead(s) {
		t.Errorf("revocation afterwards: %v", err)
	}
}

// form authenticates the client in a form that is not sent by its own means.
func (o outside) form(t *testing.T, fields url.Values) string {
	t.Helper()
	made, err := o.bound.Transport.(*asserting).assert()
	if err != nil {
		t.Fatal(err)
	}
	fields.Set("client_id", o.ID)
	fields.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	fields.Set("client_assertion", made)
	return fields.Encode()
}

// What was answered survives a crash: pushed requests, codes, confirmations and grants.
func TestOAuthServerKilled(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	s := o.enter(b, "bob")
	v, unanswered := o.begin(), o.begin()
	callback := o.through(b, "bob", v)
	for _, part := range []string{"oidcprovider", "extauthz"} {
		if err := shared.Parts[part].Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		restarted(t, part)
		eventually(t, "the session resource answers", func() bool {
			state, err := o.Session(t.Context(), s.Token)
			return err == nil && state.Active
		})
	}
	if _, err := o.Finish(t.Context(), v, callback); err != nil {
		t.Errorf("the code is lost: %v", err)
	}
	if page := must(t)(b.Open(unanswered.URL)); !strings.HasPrefix(page.Leads(), o.RedirectURI) {
		t.Errorf("the pushed request or the confirmation is lost: %d at %s", page.Status, page.URL)
	}
}

// Where it is not certain that a client asked, nobody is led anywhere (RFC 6749 section 4.1.2.1; dex 7cb2317c).
func TestAuthorizeLeadsNowhereElse(t *testing.T) {
	o, p, b := platform(t), partnerPortal(t), person(t, "bob")
	v := o.begin()
	uri := parsed(t, v.URL).Query().Get("request_uri")
	for name, query := range map[string]url.Values{
		"nothing":            {},
		"no request_uri":     {"client_id": {Client}},
		"no client":          {"request_uri": {uri}},
		"unknown client":     {"client_id": {"nobody"}, "request_uri": {uri}},
		"another client":     {"client_id": {p.ID}, "request_uri": {uri}},
		"unknown request":    {"client_id": {Client}, "request_uri": {"urn:ietf:params:oauth:request_uri:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},
		"request at large":   {"client_id": {Client}, "request_uri": {"https://evil.example/request"}},
		"two requests":       {"client_id": {Client}, "request_uri": {uri, uri}},
		"not pushed":         {"client_id": {Client}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {o.RedirectURI}},
		"redirect elsewhere": {"client_id": {Client}, "redirect_uri": {"https://evil.example/"}, "response_type": {"code"}},
		"request object":     {"client_id": {Client}, "request": {"e30.e30."}, "redirect_uri": {"https://evil.example/"}},
	} {
		a := must(t)(b.Step(shared.URL("auth", "/oauth2/authorize?"+query.Encode())))
		wantPage(t, a, 400, "<h1>")
		if a.Leads() != "" || strings.Contains(a.Body, "evil.example") {
			t.Errorf("%s leads to %q", name, a.Leads())
		}
	}
	if a := must(t)(b.Open(v.URL + "&redirect_uri=https%3A%2F%2Fevil.example%2F&state=x&prompt=none")); strings.Contains(a.Leads(), "evil.example") {
		t.Errorf("what was not pushed counts: %q", a.Leads())
	}
	for _, redirect := range []string{"https://evil.example/", o.RedirectURI + "/", o.RedirectURI + "?x=y", strings.Replace(o.RedirectURI, "https:", "http:", 1),
		strings.Replace(o.RedirectURI, "/callback", "/%63allback", 1), portalCallback, ""} {
		if status, code := refusal(second(o.Begin(t.Context(), map[string]string{"redirect_uri": redirect}))); status != 400 || code == "" {
			t.Errorf("pushed with the redirect URI %q: %d %s", redirect, status, code)
		}
	}
}

// The decision counts only from the page that was shown to this person (cross-site request forgery, RFC 9700 section 4.7).
func TestDecisionOfAnotherPage(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	page := must(t)(b.Open(o.begin().URL))
	action, fields, err := page.form()
	if err != nil || !asks(page) {
		t.Fatal(err, page.Status)
	}
	fields.Set("decision", "continue")
	form := func(b *Browser, origin, site string) Answer {
		return must(t)(b.Do("POST", action, Navigation, map[string]string{
			"Content-Type": "application/x-www-form-urlencoded", "Origin": origin, "Sec-Fetch-Site": site}, fields.Encode()))
	}
	for origin, site := range map[string]string{"https://evil.example": "cross-site", shared.URL("issues", ""): "same-site", "null": "cross-site"} {
		if a := form(b, origin, site); a.Status != 403 || a.Leads() != "" {
			t.Errorf("from %s: %d leads to %q", origin, a.Status, a.Leads())
		}
	}
	for _, other := range []*Browser{person(t, "alice"), person(t, "bob"), watched(t)} { // another person, another session, nobody
		if a := form(other, shared.URL("auth", ""), "same-origin"); strings.Contains(a.Leads(), "code=") {
			t.Errorf("in another browser: %d leads to %q", a.Status, a.Leads())
		}
	}
	if a := form(b, shared.URL("auth", ""), "same-origin"); !strings.Contains(a.Leads(), "code=") {
		t.Errorf("from its own page: %d leads to %q\n%.300s", a.Status, a.Leads(), a.Body)
	}
}

// listener stands in the OAuth server's place and notes what arrives.
type listener struct {
	mu   sync.Mutex
	seen map[string]http.Header // by path
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[r.URL.Path] = r.Header.Clone()
	_, _ = io.Copy(io.Discard, r.Body) // it ends with the request
}

// No cookie ever reaches the OAuth server, and who asks only where a person does: so no program's endpoint can be used with a person's rights.
func TestWhatReachesTheOAuthServer(t *testing.T) {
	b := person(t, "bob")
	stop(t, "oidcprovider")
	socket := topology.Cloud{Sockets: daemon.Path(shared.sockets)}.OAuthSocket()
	_ = os.Remove(socket) // a process that has ended leaves it behind
	at, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{seen: map[string]http.Header{}}
	server := &http.Server{Handler: l}
	go func() { _ = server.Serve(at) }() // ends with Close
	t.Cleanup(func() { server.Close() })

	forged := map[string]string{"X-User-Context-Token": "forged", "X-Isolated-Cloud-User": "forged", "Origin": shared.URL("auth", ""),
		"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
	people := []string{"/oauth2/authorize", "/oauth2/decision"}
	for _, to := range []string{"GET /oauth2/authorize?client_id=x", "POST /oauth2/decision", "GET /.well-known/openid-configuration",
		"GET /.well-known/oauth-authorization-server", "GET /oauth2/jwks", "POST /oauth2/par", "POST /oauth2/token", "POST /oauth2/revoke"} {
		method, target, _ := strings.Cut(to, " ")
		path, _, _ := strings.Cut(target, "?")
		b.SetCookie(shared.URL("auth", "/"), "theme", "dark")
		must(t)(b.Do(method, shared.URL("auth", target), Navigation, forged, ""))
		l.mu.Lock()
		got, reached := l.seen[path]
		l.mu.Unlock()
		if !reached || got.Get("Cookie") != "" {
			t.Errorf("%s: reached %v, cookies %q", to, reached, got.Values("Cookie"))
		}
		tokens := got.Values(usercontext.Header)
		if wanted := slices.Contains(people, path); (len(tokens) == 1) != wanted || slices.Contains(tokens, "forged") {
			t.Errorf("%s: %d tokens", to, len(tokens))
		}
		if len(tokens) == 1 {
			minimal(t, tokens[0])
		}
	}
	nobody := watched(t)
	must(t)(nobody.Do("GET", shared.URL("auth", "/oauth2/authorize?client_id=x"), Navigation, map[string]string{"X-User-Context-Token": "forged"}, ""))
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.seen["/oauth2/authorize"].Values(usercontext.Header); len(got) != 0 {
		t.Errorf("a stranger is introduced: %q", got)
	}
	if _, reached := l.seen["/oauth2/session"]; reached {
		t.Error("the session resource is asked at the OAuth server")
	}
}

// minimal wants a token that tells the OAuth server what it needs and nothing personal.
func minimal(t *testing.T, token string) {
	t.Helper()
	claims := part(t, token, 1)
	want := []string{"acr", "amr", "aud", "auth_time", "exp", "iat", "isolated_cloud_id", "iss", "jti", "managed", "session_expiry", "sid", "signed_in", "sub"}
	if got := names(claims); !slices.Equal(got, want) || claims["aud"] != topology.OAuthAudience || claims["managed"] != true {
		t.Errorf("the OAuth server is told %v", claims)
	}
}

// The OAuth server's own files hold nothing that a thief could use, and no name.
func TestStolenOAuthStore(t *testing.T) {
	o, b := platform(t), person(t, "alice")
	v := o.begin()
	code := parsed(t, o.through(b, "alice", v)).Query().Get("code")
	store := string(must2(t)(os.ReadFile(filepath.Join(shared.Dir, "codes.db"))))
	uri := parsed(t, v.URL).Query().Get("request_uri")
	for what, value := range map[string]string{"code": code, "request_uri": uri, "part of request_uri": uri[strings.LastIndex(uri, ":")+1:], "name": "Arden", "address": "alice@"} {
		if strings.Contains(store, value) {
			t.Errorf("the store holds the %s", what)
		}
	}
	if !strings.Contains(store, Client) {
		t.Error("the store holds nothing of the client: this proves nothing")
	}
}
