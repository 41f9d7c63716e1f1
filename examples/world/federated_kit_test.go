package world

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"isogate/examples/service"
)

// outsideCookie holds the session outside, sealed.
const outsideCookie = "__Host-isogate_federated"

// What people read on the buttons of the identity host.
const (
	goOn     = "Continue"
	standard = "Sign in with a password"
)

func (c *Cloud) button() string { return goOn + " with " + c.of.title }

// federate opens an address outside as somebody of a cloud, and does what the pages ask for: the address, the cloud's button, the provider's pages,
// the confirmation. It ends at the page where nothing of it is asked any more.
func federate(t *testing.T, b *Browser, c *Cloud, name, address string) Answer {
	t.Helper()
	page := must(t)(b.Open(address))
	if strings.Contains(page.Body, `name="email"`) {
		page = must(t)(b.Press(page, goOn, map[string]string{"email": c.User(name).Email}))
		page = must(t)(b.Press(page, c.button(), nil))
	}
	if strings.Contains(page.Body, `name="password"`) {
		page = must(t)(b.Authenticate(c.User(name), page))
	}
	if asks(page) {
		page = must(t)(b.Press(page, goOn, nil))
	}
	return page
}

// member is a browser in which somebody of the first cloud is signed in at the Support Centre.
func member(t *testing.T, name string) *Browser {
	t.Helper()
	b := watched(t)
	if page := federate(t, b, shared.Cloud, name, at("support", "/whoami")); page.Status != 200 || page.URL.String() != at("support", "/whoami") {
		t.Fatalf("signing %s in outside: %d at %s\n%.800s", name, page.Status, page.URL, page.Body)
	}
	return b
}

// at is an address outside.
func at(name, path string) string { return shared.Platform.URL(name, path) }

// given is what a service says of a request of a page's script, and the status: 200, or what the check or Envoy says.
func given(t *testing.T, b *Browser, name string) (e service.Echo, status int) {
	t.Helper()
	a, err := b.Do("GET", at(name, "/whoami"), Fetch, nil, "")
	if err != nil {
		t.Log(err)
		return e, 0
	}
	if a.Status == 200 {
		e = serviceOf(t, a)
	}
	return e, a.Status
}

func serviceOf(t *testing.T, a Answer) (e service.Echo) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil {
		t.Fatalf("%s (%d) is no echo: %v\n%.500s", a.URL, a.Status, err, a.Body)
	}
	return e
}

// known tells whether a service knows somebody.
func known(t *testing.T, b *Browser, name string) bool {
	t.Helper()
	_, status := given(t, b, name)
	return status == 200
}

// outsideOf is the sealed session that a browser holds at a host outside, "" without one.
func outsideOf(b *Browser, name string) string { return b.Cookies(at(name, "/"))[outsideCookie] }

// holder is a browser that holds nothing but a value as the session at a host outside.
func holder(t *testing.T, name, value string) *Browser {
	b := watched(t)
	b.SetCookie(at(name, "/"), outsideCookie, value)
	return b
}

// drops removes a cookie of a host outside from a browser.
func drops(b *Browser, name, cookie string) {
	u, _ := url.Parse(at(name, "/"))
	b.jar.SetCookies(u, []*http.Cookie{{Name: cookie, Path: "/", MaxAge: -1}})
}

// proofsAt are the flow cookies of a host outside.
func proofsAt(b *Browser, name string) map[string]string {
	out := map[string]string{}
	for cookie, value := range b.Cookies(at(name, "/")) {
		if strings.HasPrefix(cookie, flowCookie) {
			out[cookie] = value
		}
	}
	return out
}

// leavesTo has a browser stop where a way leads to a host, as Leads says then; again undoes it.
func leavesTo(b *Browser, host string) (again func()) {
	all := b.knows
	b.knows = maps.Clone(all)
	delete(b.knows, host)
	return func() { b.knows = all }
}

// signOutOutside presses the button of a host outside.
func signOutOutside(t *testing.T, b *Browser, name string) Answer {
	t.Helper()
	page := must(t)(b.Open(at(name, "/.isogate/logout")))
	if !slices.Equal(page.Buttons(), []string{"Sign out"}) {
		t.Fatalf("the sign-out page: %d at %s with %q\n%.600s", page.Status, page.URL, page.Buttons(), page.Body)
	}
	return must(t)(b.Press(page, "Sign out", nil))
}

// insideLives tells whether a browser's session in a cloud lives.
func insideLives(t *testing.T, b *Browser, c *Cloud) bool {
	t.Helper()
	return must(t)(b.Step(c.URL("auth", "/.isogate/session"))).Status == 200
}

// problemOf is the reason of a problem.
func problemOf(a Answer) string {
	var problem struct{ Reason string }
	if err := json.Unmarshal([]byte(a.Body), &problem); err != nil {
		return errors.Join(errors.New("no problem"), err).Error()
	}
	return problem.Reason
}
