package world

import (
	"strings"
	"testing"
	"time"
)

// within demands that something outside happens by the next question to the isolated cloud, with room for a slow machine.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	began := time.Now()
	eventually(t, what, holds)
	took := time.Since(began)
	t.Logf("%s after %d ms", what, took.Milliseconds())
	if took > 2*checkEvery+3*time.Second {
		t.Errorf("%s only after %s", what, took)
	}
}

// Who signs out at one service is signed out at all of them, by the grant, and stays signed in inside.
func TestSignOutAtAService(t *testing.T) {
	b := member(t, "alice")
	must(t)(b.Open(at("market", "/")))
	stolen, elsewhere := holder(t, "support", outsideOf(b, "support")), holder(t, "market", outsideOf(b, "market"))
	page := signOutOutside(t, b, "support")
	wantPage(t, page, 200, "You are signed out")
	if !strings.Contains(page.Body, "Inside your organisation’s cloud you stay signed in") {
		t.Errorf("the page does not say what goes on:\n%s", page.Body)
	}
	cleared := false
	for _, c := range page.Set {
		cleared = cleared || c.Name == outsideCookie && c.MaxAge < 0 && c.Secure && c.Path == "/"
	}
	if !cleared || outsideOf(b, "support") != "" {
		t.Error("the cookie is not cleared")
	}
	within(t, "the cookie that was cleared opens nothing", func() bool { return !known(t, stolen, "support") })
	within(t, "the other service follows", func() bool { return !known(t, b, "market") })
	if outsideOf(b, "market") != "" {
		t.Error("the other service's cookie stays")
	}
	if known(t, elsewhere, "market") {
		t.Error("a copy of it opens the service")
	}
	if !insideLives(t, b, shared.Cloud) || status(t, b, shared.URL("issues", "/whoami")) != 401 { // never opened there
		t.Error("the session inside has ended")
	}
	page = federate(t, b, shared.Cloud, "alice", at("support", "/whoami"))
	if page.Status != 200 || visits(page) != 0 {
		t.Errorf("signing in again: %d at %s, %d visits at the provider", page.Status, page.URL, visits(page))
	}
}

// A sign-out is a form of the host itself.
func TestOnlyAFormOfTheHostSignsOutOutside(t *testing.T) {
	b := member(t, "bob")
	address := at("support", "/.isogate/logout")
	for origin, site := range map[string]string{"https://evil.example": "cross-site", at("market", ""): "same-site", at("id", ""): "same-site", "null": "cross-site"} {
		a := must(t)(b.Do("POST", address, Navigation, map[string]string{"Origin": origin, "Sec-Fetch-Site": site, "Content-Type": "application/x-www-form-urlencoded"}, ""))
		if a.Status != 403 {
			t.Errorf("from %s: %d", origin, a.Status)
		}
	}
	for _, kind := range []map[string]string{Navigation, Fetch, nil} {
		must(t)(b.Do("GET", address, kind, nil, ""))
	}
	time.Sleep(checkEvery + 200*time.Millisecond)
	if !known(t, b, "support") {
		t.Error("the person was signed out by another page")
	}
}

// Who has no session at a service's host is led to the identity host, which has one, and is told when they have none there either.
func TestSignOutWithoutASessionOutside(t *testing.T) {
	b := member(t, "bob")
	page := must(t)(b.Open(at("market", "/.isogate/logout")))
	if page.URL.Host != shared.Platform.host("id") || len(page.Buttons()) != 1 {
		t.Errorf("%d at %s with %q", page.Status, page.URL, page.Buttons())
	}
	must(t)(b.Press(page, "Sign out", nil))
	within(t, "the service follows", func() bool { return !known(t, b, "support") })
	for _, name := range []string{"support", "id", "tenant"} {
		wantPage(t, must(t)(watched(t).Open(at(name, "/.isogate/logout"))), 200, "You are signed out")
	}
}

// A sign-out inside ends the sessions outside with their next question (K2).
func TestSignOutInsideEndsServices(t *testing.T) {
	b := member(t, "alice")
	must(t)(b.Open(at("market", "/")))
	must(t)(b.Open(shared.URL("issues", "/")))
	signOut(t, b, "issues")
	for _, name := range []string{"support", "market"} {
		within(t, name+" follows", func() bool { return !known(t, b, name) })
	}
	page := must(t)(b.Open(at("support", "/")))
	if !strings.Contains(page.Body, `name="email"`) || page.URL.Host != shared.Platform.host("id") {
		t.Errorf("a navigation afterwards: %d at %s", page.Status, page.URL)
	}
	if outsideOf(b, "id") != "" {
		t.Error("the identity host keeps its cookie")
	}
}

// Another person who signs in inside the same browser ends the first one's session inside, and with it those outside.
func TestAnotherPersonInside(t *testing.T) {
	b := member(t, "alice")
	alice, _ := given(t, b, "support")
	must(t)(b.Open(shared.URL("issues", "/")))
	signOut(t, b, "issues")
	must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", "/")))
	within(t, "the service follows", func() bool { return !known(t, b, "support") })
	if e := serviceOf(t, federate(t, b, shared.Cloud, "bob", at("support", "/whoami"))); e.User == alice.User || e.Cloud != shared.ID {
		t.Error("the second person is the first one outside")
	}
}

// Asking whether a session lives keeps no session alive: only the person's own requests inside are activity.
func TestServicesAreNoActivity(t *testing.T) {
	b := member(t, "bob")
	edit(t, shared.File(), "idle: 30m", "idle: 4s")
	began := time.Now()
	within(t, "the session is idle inside, and ends outside", func() bool {
		time.Sleep(200 * time.Millisecond)
		return !known(t, b, "support")
	})
	if lived := time.Since(began); lived > 12*time.Second {
		t.Errorf("it lived for %s", lived)
	}
}
