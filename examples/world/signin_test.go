package world

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// person is a watched browser in which somebody is signed in at the issue tracker.
func person(t *testing.T, name string) *Browser {
	t.Helper()
	b := watched(t)
	if a := must(t)(b.SignIn(shared.User(name), shared.URL("issues", "/whoami"))); a.Status != 200 {
		t.Fatalf("signing in %s: %d at %s\n%.600s", name, a.Status, a.URL, a.Body)
	}
	return b
}

// handle is the session cookie of a host.
func handle(b *Browser, name string) string { return b.Cookies(shared.URL(name, "/"))[handleCookie] }

// bearer is a new browser that holds a session cookie somebody gave it.
func bearer(t *testing.T, name, value string) *Browser {
	b := watched(t)
	b.SetCookie(shared.URL(name, "/"), handleCookie, value)
	return b
}

// knownAtAuth tells whether the auth host takes a browser for signed in: else it sends it to the provider.
func knownAtAuth(t *testing.T, b *Browser) bool {
	t.Helper()
	a := must(t)(b.Step(shared.URL("auth", "/.isogate/signin")))
	return !strings.Contains(a.Header.Get("Location"), shared.idpHost())
}

// postSignOut presses the button, and follows nothing.
func postSignOut(t *testing.T, b *Browser, name string) Answer {
	t.Helper()
	return must(t)(b.Do("POST", shared.URL(name, "/.isogate/logout"), Navigation, map[string]string{"Origin": shared.URL(name, "")}, ""))
}

func signOut(t *testing.T, b *Browser, name string) Answer {
	t.Helper()
	page := must(t)(b.Open(shared.URL(name, "/.isogate/logout")))
	if !strings.Contains(page.Body, "Sign out?") {
		t.Fatalf("no button to sign out: %d\n%.400s", page.Status, page.Body)
	}
	posted := postSignOut(t, b, name)
	wantPage(t, must(t)(b.Follow(posted)), 200, "You are signed out")
	return posted
}

func TestSignInLandsOnTheExactAddress(t *testing.T) {
	long := "/report?" + strings.Repeat("q", 2100)
	for _, target := range []string{
		"/", "/rest/api/issue/OPS-1?fields=summary&x=%20a+b", "/a%20b/%C3%A9?q=%C3%A9%20", "/x[1]?a[]=1&b[]=2", "/x?a={b}|c^d`e'f", "/x?",
		"/x?next=//evil.example&u=https://evil.example/?a=b", "/a:b@c/d;e=f?100%", "/x?a=1&a=2&a=3", "/x?" + strings.Repeat("a=1&", 450), "/x!$'()*,~-_.",
		"/x?a=%00%0d%0a", "/x?a=%2fb%2F..%2f&c=%25", "/" + strings.Repeat("p", 1900), "/x?" + strings.Repeat(`"`, 2000),
	} {
		wantLanding(t, target, target)
	}
	wantLanding(t, long, "/report")
	wantLanding(t, "/"+strings.Repeat("p", 2100)+"?a=b", "/")
}

func wantLanding(t *testing.T, target, want string) {
	t.Helper()
	b := watched(t)
	a := must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", target)))
	if want == "/x?" {
		want = "/x" // an empty query says nothing
	}
	if got := b.landed(); got != shared.URL("issues", want) {
		t.Errorf("%.80s: led to %.120q", target, got)
	}
	if want != "/" && a.URL.Path != "/rest/api/issue/OPS-1" {
		if e := echoOf(t, a); e.Target != want {
			t.Errorf("%.80s: the product received %.120q", target, e.Target)
		}
	}
}

// The way back is sealed, inside the address at the provider: whatever a person's target holds, that address stays short enough for servers
// that take 8 KB.
func TestAddressAtTheProviderStaysShort(t *testing.T) {
	for _, query := range []string{strings.Repeat("&", 2000), strings.Repeat("a=1&", 500), strings.Repeat("'", 2000), strings.Repeat(`"`, 2000), strings.Repeat("<", 2000)} {
		b := watched(t)
		a := must(t)(b.Step(shared.URL("issues", "/x?"+query)))
		a = must(t)(b.Step(a.Header.Get("Location")))
		if to := a.Header.Get("Location"); len(to) > 8000 || !strings.HasPrefix(to, "https://"+shared.idpHost()+"/") {
			t.Errorf("%.10s…: %d bytes: %.60s", query, len(to), to)
		}
	}
}

func TestOneSignInForAllProducts(t *testing.T) {
	b := person(t, "alice")
	issues := echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami"))))
	page := must(t)(b.Open(shared.URL("wiki", "/a?b=c")))
	wiki := echoOf(t, page)
	for _, hop := range page.Via {
		if strings.Contains(hop, shared.idpHost()) {
			t.Errorf("the person was sent to the provider again: %s", hop)
		}
	}
	if wiki.Target != "/a?b=c" || wiki.Claims["sub"] != issues.Claims["sub"] || wiki.Claims["sid"] != issues.Claims["sid"] {
		t.Errorf("at the wiki %v of %v, at the issue tracker %v", wiki.Target, wiki.Claims, issues.Claims)
	}
	if wiki.Claims["aud"] != "wiki" || issues.Claims["aud"] != "issues" || wiki.Claims["email"] != nil {
		t.Errorf("claims at the wiki %v, at the issue tracker %v", wiki.Claims, issues.Claims)
	}
	handles := map[string]bool{}
	for _, name := range []string{"auth", "issues", "wiki"} {
		handles[handle(b, name)] = true
		if flowsOf(b, name) != 0 {
			t.Errorf("a flow cookie is left at %s", name)
		}
	}
	if len(handles) != 3 || handles[""] {
		t.Errorf("three hosts share %d handles", len(handles))
	}
	if a := must(t)(bearer(t, "wiki", handle(b, "issues")).Do("GET", shared.URL("wiki", "/whoami"), Fetch, nil, "")); a.Status != 401 {
		t.Errorf("the issue tracker's handle at the wiki: %d", a.Status)
	}
}

func TestSignInAtTheAuthHostItself(t *testing.T) {
	b := watched(t)
	a := must(t)(b.SignIn(shared.User("bob"), shared.URL("auth", "/.isogate/signin")))
	if a.Status != 200 || a.URL.String() != shared.URL("auth", "/.isogate/session") || !strings.Contains(a.Body, "Bob Birch") {
		t.Errorf("%d at %s", a.Status, a.URL)
	}
	if a := must(t)(b.Open(shared.URL("auth", "/.isogate/signin"))); a.Status != 200 || a.URL.String() != shared.URL("auth", "/.isogate/session") {
		t.Errorf("signed in: %d at %s", a.Status, a.URL)
	}
}

// Session fixation: a cookie from before the sign-in names no session after it (GHSA-f24x-5g9q-753f).
func TestSessionFromBeforeTheSignInIsNotUsed(t *testing.T) {
	mallory := person(t, "alice")
	planted := map[string]string{"issues": handle(mallory, "issues"), "auth": handle(mallory, "auth")}
	for _, unknown := range []bool{true, false} {
		b := watched(t)
		page := must(t)(b.Open(shared.URL("wiki", "/whoami")))
		for name, value := range planted {
			if unknown {
				value = strings.Repeat("A", 43)
			}
			b.SetCookie(shared.URL(name, "/"), handleCookie, value)
		}
		e := echoOf(t, must(t)(b.Authenticate(shared.User("bob"), page)))
		if e.Claims["name"] != "Bob Birch" {
			t.Errorf("signed in as %v", e.Claims["name"])
		}
		if got := handle(b, "auth"); got == planted["auth"] || got == strings.Repeat("A", 43) || got == "" {
			t.Errorf("the planted cookie is in use (unknown: %v)", unknown)
		}
	}
	if knownAtAuth(t, bearer(t, "auth", planted["auth"])) || status(t, bearer(t, "issues", planted["issues"]), shared.URL("issues", "/whoami")) != 401 {
		t.Error("the planted session lives on")
	}
}

// begin opens an address until the provider's answer, or our own hand-over, would come: it returns that address, unvisited. Where the
// provider asks who is there, it is told.
func begin(t *testing.T, b *Browser, name, address string) string {
	t.Helper()
	a := must(t)(b.Step(address))
	for range maxHops {
		if a.Status == 200 {
			a = authenticate(t, b, a, name)
		}
		to, err := a.URL.Parse(a.Header.Get("Location"))
		if err != nil || a.Status < 300 || a.Status > 399 {
			t.Fatalf("%s answered %d %v\n%.300s", a.URL.Path, a.Status, err, a.Body)
		}
		if to.Path == "/.isogate/callback" || to.Path == "/.isogate/enter" {
			return to.String()
		}
		a = must(t)(b.Step(to.String()))
	}
	t.Fatal("a loop")
	return ""
}

// authenticate gives name and password, and goes no further. A second factor, where it is asked for, is given too.
func authenticate(t *testing.T, b *Browser, page Answer, name string) Answer {
	t.Helper()
	action, fields, err := page.form()
	if err != nil {
		t.Fatal(err)
	}
	user := shared.User(name)
	fields.Set("username", user.Username)
	fields.Set("password", user.Password)
	if user.TOTP != "" && fields.Has("code") {
		code, err := totp.GenerateCode(user.TOTP, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		fields.Set("code", code)
	}
	return must(t)(b.Do("POST", action, Navigation, map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://" + shared.idpHost(),
	}, fields.Encode()))
}

// GHSA-f24x: a sign-in gives the auth host a new handle, and the one from before is dead; the session goes on in place.
func TestSecondSignInGivesANewHandleAndTheOldOneIsDead(t *testing.T) {
	b := watched(t)
	second := must(t)(b.Open(shared.URL("wiki", "/second"))) // a tab that waits at the provider
	first := echoOf(t, must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", "/first"))))
	old, oldIssues := handle(b, "auth"), handle(b, "issues")
	e := echoOf(t, must(t)(b.Authenticate(shared.User("bob"), second)))
	if e.Target != "/second" || e.Claims["sid"] != first.Claims["sid"] {
		t.Errorf("landed on %s in session %v, was %v", e.Target, e.Claims["sid"], first.Claims["sid"])
	}
	if handle(b, "auth") == old || handle(b, "auth") == "" {
		t.Error("no new handle at the auth host")
	}
	if knownAtAuth(t, bearer(t, "auth", old)) {
		t.Error("the old cookie of the auth host works")
	}
	if handle(b, "issues") != oldIssues || status(t, b, shared.URL("issues", "/whoami")) != 200 {
		t.Error("the session at the issue tracker was lost")
	}
}

func TestAnotherPersonInTheSameBrowserEndsTheFirstSession(t *testing.T) {
	b := watched(t)
	second := must(t)(b.Open(shared.URL("wiki", "/second")))
	must(t)(b.SignIn(shared.User("alice"), shared.URL("issues", "/first")))
	must(t)(b.Open(shared.URL("wiki", "/whoami")))
	old := map[string]string{"auth": handle(b, "auth"), "issues": handle(b, "issues"), "wiki": handle(b, "wiki")}
	if e := echoOf(t, must(t)(b.Authenticate(shared.User("bob"), second))); e.Claims["name"] != "Bob Birch" || e.Target != "/second" {
		t.Errorf("landed on %s as %v", e.Target, e.Claims["name"])
	}
	for _, name := range []string{"issues", "wiki"} {
		if got := status(t, bearer(t, name, old[name]), shared.URL(name, "/whoami")); got != 401 {
			t.Errorf("the first person's cookie at %s: %d", name, got)
		}
	}
	if knownAtAuth(t, bearer(t, "auth", old["auth"])) {
		t.Error("the first person's cookie works at the auth host")
	}
	if e := echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami")))); e.Claims["name"] != "Bob Birch" {
		t.Errorf("the issue tracker still sees %v", e.Claims["name"])
	}
}

func TestSignOutEndsTheSessionEverywhere(t *testing.T) {
	b := person(t, "bob")
	must(t)(b.Open(shared.URL("wiki", "/whoami")))
	old := map[string]string{"auth": handle(b, "auth"), "issues": handle(b, "issues"), "wiki": handle(b, "wiki")}
	a := signOut(t, b, "issues")
	wantCleared(t, a)
	if hasSession(b, "issues") {
		t.Error("the cookie is still there")
	}
	for _, name := range []string{"issues", "wiki"} {
		if got := status(t, bearer(t, name, old[name]), shared.URL(name, "/whoami")); got != 401 {
			t.Errorf("the old cookie at %s: %d", name, got)
		}
	}
	if status(t, b, shared.URL("wiki", "/whoami")) != 401 || knownAtAuth(t, bearer(t, "auth", old["auth"])) {
		t.Error("signed out at one product only")
	}
	wantPage(t, must(t)(b.Open(shared.URL("issues", "/.isogate/logout"))), 200, "You are signed out")
	wantPage(t, must(t)(b.Follow(postSignOut(t, b, "issues"))), 200, "You are signed out") // without a session it is no error
}

// wantCleared demands that the cookie is removed with the attributes that it was set with; otherwise browsers keep it (CVE-2025-55162).
func wantCleared(t *testing.T, signedOut Answer) {
	t.Helper()
	cleared := (&http.Response{Header: signedOut.Header}).Cookies()
	b := watched(t)
	entered := must(t)(b.Step(ticketFor(t, b, "bob", "/whoami")))
	for _, set := range (&http.Response{Header: entered.Header}).Cookies() {
		if set.Name != handleCookie {
			continue
		}
		set.Value, set.MaxAge, set.Raw = "", -1, ""
		at := slices.IndexFunc(cleared, func(c *http.Cookie) bool { return c.Name == handleCookie })
		if at < 0 {
			t.Fatalf("the cookie is not cleared: %v", cleared)
		}
		cleared[at].Raw = ""
		if set.String() != cleared[at].String() || !set.Secure || !set.HttpOnly || set.Path != "/" || set.Domain != "" || set.SameSite != http.SameSiteLaxMode {
			t.Errorf("set as %s, cleared as %s", set, cleared[at])
		}
		return
	}
	t.Error("no session cookie was set")
}

// Any page can cause a GET.
func TestOnlyAFormOfTheHostSignsOut(t *testing.T) {
	b := person(t, "bob")
	for _, c := range []struct {
		name, method string
		kind, extra  map[string]string
		want         int
	}{
		{"link", "GET", Navigation, nil, 200},
		{"image", "GET", map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, nil, 200},
		{"HEAD", "HEAD", Navigation, nil, 405},
		{"another site's form", "POST", Navigation, map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
		{"another product's form", "POST", Navigation, map[string]string{"Origin": strings.TrimSuffix(shared.URL("wiki", ""), "/")}, 403},
		{"form without an origin", "POST", nil, nil, 403},
		{"another method by header", "GET", Navigation, map[string]string{"X-Http-Method-Override": "POST"}, 200},
	} {
		if a := must(t)(b.Do(c.method, shared.URL("issues", "/.isogate/logout"), c.kind, c.extra, "")); a.Status != c.want || len(a.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: %d, cookies %q", c.name, a.Status, a.Header.Values("Set-Cookie"))
		}
		if status(t, b, shared.URL("issues", "/whoami")) != 200 {
			t.Fatalf("%s signed the person out", c.name)
		}
	}
}

// It stands last, so that it sees what all tests of the sign-in left behind; alone it looks at one sign-in of its own.
func TestZLogsHoldNoSecret(t *testing.T) {
	b := person(t, "alice")
	must(t)(b.Open(shared.URL("wiki", "/whoami")))
	secret("token", strings.Join(echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami")))).Headers["x-user-context-token"], ""))
	signOut(t, b, "wiki")
	for _, u := range shared.Users {
		secret("password", u.Password)
		secret("e-mail address", u.Email)
	}
	secret("client secret", shared.clientSecret())
	files, err := filepath.Glob(filepath.Join(shared.Dir, "log", "*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("logs: %v %v", files, err)
	}
	ingress := filepath.Join(shared.Dir, "log", "envoy-ingress.log")
	size := len(must2(t)(os.ReadFile(ingress)))
	status(t, b, shared.URL("issues", "/whoami"))
	eventually(t, "the access log is written", func() bool { return len(must2(t)(os.ReadFile(ingress))) > size })
	secrets.Lock()
	defer secrets.Unlock()
	signIns := false
	for _, file := range files {
		text := string(must2(t)(os.ReadFile(file)))
		signIns = signIns || strings.Contains(text, "signed in")
		for value, what := range secrets.seen {
			if strings.Contains(text, value) {
				t.Errorf("%s holds a %s: %q", filepath.Base(file), what, value)
			}
		}
		for _, found := range token.FindAllString(text, 1) {
			t.Errorf("%s holds a token: %.20s…", filepath.Base(file), found)
		}
	}
	if !signIns {
		t.Error("no log says that anybody signed in: are these the logs?")
	}
	t.Logf("%d secrets looked for in %d logs", len(secrets.seen), len(files))
}

func must2(t *testing.T) func([]byte, error) []byte {
	return func(raw []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
}
