package world

import (
	"strings"
	"testing"
	"time"

	"isogate/examples/idp"
)

// visits counts how often a way led to the identity provider's sign-in.
func visits(a Answer) (n int) {
	for _, at := range append(a.Via, a.URL.String()) {
		if strings.HasPrefix(at, "https://"+shared.idpHost()+"/authorize?") {
			n++
		}
	}
	return n
}

// prompt=none shows no page, whatever is missing (OpenID Connect Core 1.0 section 3.1.2.1).
func TestPromptNone(t *testing.T) {
	o := platform(t)
	unknown := watched(t)
	v := o.begin("prompt", "none")
	o.told(v, must(t)(unknown.Open(v.URL)), "login_required")

	b := person(t, "bob")
	v = o.begin("prompt", "none")
	o.told(v, must(t)(b.Open(v.URL)), "consent_required")
	o.enter(b, "bob")
	v = o.begin("prompt", "none")
	if s, err := o.Finish(t.Context(), v, must(t)(b.Open(v.URL)).Leads()); err != nil || s.Claims["sub"] == nil {
		t.Errorf("signed in and confirmed: %v", err)
	}
	time.Sleep(1100 * time.Millisecond) // auth_time counts in seconds
	v = o.begin("prompt", "none", "max_age", "0")
	o.told(v, must(t)(b.Open(v.URL)), "login_required")
	v = o.begin("prompt", "none", "acr_values", idp.ACRMFA)
	o.told(v, must(t)(b.Open(v.URL)), "unmet_authentication_requirements")

	guest := person(t, "erin")
	v = o.begin("prompt", "none")
	o.told(v, must(t)(guest.Open(v.URL)), "access_denied")
}

// prompt=login has the person prove themselves again, and leaves the session and what it gave as they were.
func TestPromptLogin(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	before := o.enter(b, "bob", "max_age", "3600")
	sid := echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami")))).Claims["sid"]
	time.Sleep(1100 * time.Millisecond) // auth_time counts in seconds

	v := o.begin("prompt", "login", "max_age", "3600")
	page := must(t)(b.Open(v.URL))
	if !strings.Contains(page.Body, `name="password"`) || visits(page) != 1 {
		t.Fatalf("the person is not asked again: %d at %s", page.Status, page.URL)
	}
	page = must(t)(b.Authenticate(shared.User("bob"), page))
	after, err := o.Finish(t.Context(), v, page.Leads())
	if err != nil {
		t.Fatal(err)
	}
	if after.Claims["auth_time"].(float64) <= before.Claims["auth_time"].(float64) {
		t.Errorf("auth_time was %v and is %v", before.Claims["auth_time"], after.Claims["auth_time"])
	}
	if got := echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami")))).Claims["sid"]; got != sid {
		t.Errorf("the session %v became %v", sid, got)
	}
	o.session(before)
	o.session(after)
	if page := must(t)(b.Open(o.begin().URL)); asks(page) {
		t.Error("the session is as before, and must confirm again")
	}
}

// Who is sent to sign in again and signs in as somebody else is somebody else, with a session of their own.
func TestPromptLoginAsAnother(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	bob := o.enter(b, "bob")
	v := o.begin("prompt", "login")
	page := must(t)(b.Authenticate(shared.User("alice"), must(t)(b.Open(v.URL))))
	if !asks(page) {
		t.Fatalf("the other person's confirmation counted: %d leads to %q", page.Status, page.Leads())
	}
	alice, err := o.Finish(t.Context(), v, must(t)(b.Submit(page, map[string]string{"decision": "continue"})).Leads())
	if err != nil || alice.Claims["sub"] == bob.Claims["sub"] {
		t.Fatalf("%v %v", err, alice.Claims["sub"])
	}
	if !o.dead(bob) {
		t.Error("the session that was replaced lives on outside")
	}
}

func TestMaxAge(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	s := o.enter(b, "bob", "max_age", "3600")
	signedIn := int64(s.Claims["auth_time"].(float64))
	if age := time.Now().Unix() - signedIn; age < 0 || age > 60 {
		t.Errorf("auth_time is %d s ago", age)
	}
	if s := o.enter(b, "bob"); s.Claims["auth_time"] != nil { // only who asks is told
		t.Errorf("auth_time %v", s.Claims["auth_time"])
	}
	time.Sleep(2100 * time.Millisecond)
	page := must(t)(b.Open(o.begin("max_age", "3600").URL))
	if visits(page) != 0 || page.Leads() == "" {
		t.Errorf("young enough, and led to %s", page.URL)
	}
	v := o.begin("max_age", "1")
	page = must(t)(b.Open(v.URL))
	if !strings.Contains(page.Body, `name="password"`) {
		t.Fatalf("too old, and not asked again: %d at %s, leads to %q", page.Status, page.URL, page.Leads())
	}
	again, err := o.Finish(t.Context(), v, must(t)(b.Authenticate(shared.User("bob"), page)).Leads())
	if err != nil || int64(again.Claims["auth_time"].(float64)) <= signedIn {
		t.Errorf("%v: auth_time was %d and is %v", err, signedIn, again.Claims["auth_time"])
	}
}

// A provider that claims that nobody has signed in anew must not lead round in circles.
func TestProviderThatKeepsAnOldSignIn(t *testing.T) {
	o, b := platform(t), person(t, "bob")
	shared.Provider.Mutate(set("auth_time", in(-2*time.Hour)))
	t.Cleanup(func() { shared.Provider.Mutate(nil) })
	for _, wish := range [][]string{{"prompt", "login"}, {"max_age", "60"}} {
		v := o.begin(wish...)
		page := must(t)(b.Open(v.URL))
		if strings.Contains(page.Body, `name="password"`) {
			page = must(t)(b.Authenticate(shared.User("bob"), page))
		}
		if v.URL != "" && visits(page) > 1 {
			t.Errorf("%v: %d visits at the provider", wish, visits(page))
		}
		o.told(v, page, "login_required")
	}
}

func TestACRValues(t *testing.T) {
	o := platform(t)
	strong := watched(t)
	s := o.enter(strong, "alice", "acr_values", "urn:example:retina "+idp.ACRMFA)
	if s.Claims["acr"] != idp.ACRMFA || s.Claims["amr"] != nil || s.Claims["auth_time"] != nil {
		t.Errorf("acr %v, amr %v, auth_time %v", s.Claims["acr"], s.Claims["amr"], s.Claims["auth_time"])
	}
	if s := o.enter(strong, "alice"); s.Claims["acr"] != nil { // only who asks is told
		t.Errorf("acr %v", s.Claims["acr"])
	}
	for name, b := range map[string]*Browser{"signed in": person(t, "bob"), "new": watched(t)} {
		v := o.begin("acr_values", idp.ACRMFA)
		page := must(t)(b.Open(v.URL))
		if strings.Contains(page.Body, `name="password"`) {
			page = must(t)(b.Authenticate(shared.User("bob"), page))
		}
		o.told(v, page, "unmet_authentication_requirements")
		if asks(page) {
			t.Errorf("%s: asked to confirm what cannot be", name)
		}
	}
	v := o.begin("acr_values", "urn:example:retina", "prompt", "none")
	o.told(v, must(t)(strong.Open(v.URL)), "unmet_authentication_requirements")
}

// A pushed request may be visited again and again until it is answered: reloads, abandoned tabs, the back button.
func TestVisitedAgain(t *testing.T) {
	o, b := platform(t), watched(t)
	v := o.begin()
	for range 3 {
		if page := must(t)(b.Open(v.URL)); !strings.Contains(page.Body, `name="password"`) {
			t.Fatalf("%d at %s", page.Status, page.URL)
		}
	}
	page := must(t)(b.SignIn(shared.User("bob"), v.URL))
	for range 2 {
		if page = must(t)(b.Open(v.URL)); !asks(page) {
			t.Fatalf("%d at %s", page.Status, page.URL)
		}
	}
	code := parsed(t, must(t)(b.Submit(page, map[string]string{"decision": "continue"})).Leads()).Query().Get("code")
	if _, err := o.Exchange(t.Context(), v, code); err != nil {
		t.Fatal(err)
	}
	wantPage(t, must(t)(b.Open(v.URL)), 400, "<h1>")
	wantPage(t, must(t)(b.Submit(page, map[string]string{"decision": "continue"})), 400, "<h1>")
}

// People of a domain that the organisation does not manage use the products, and no service outside (K3).
func TestUnmanagedPerson(t *testing.T) {
	o, b := platform(t), watched(t)
	v := o.begin()
	page := must(t)(b.SignIn(shared.User("erin"), v.URL))
	if asks(page) || page.Leads() != "" || !strings.Contains(page.Body, "<h1>") || strings.Contains(page.Body, "erin") || strings.Contains(page.Body, "partner.example") {
		t.Fatalf("%d at %s, leads to %q:\n%.800s", page.Status, page.URL, page.Leads(), page.Body)
	}
	o.told(v, must(t)(b.Submit(page, map[string]string{"decision": "cancel"})), "access_denied")
	if got := must(t)(b.Open(shared.URL("issues", "/whoami"))); got.Status != 200 {
		t.Errorf("the product: %d", got.Status)
	}
	v = o.begin()
	page = must(t)(b.Open(v.URL))
	forced := must(t)(b.Submit(page, map[string]string{"decision": "continue"}))
	if strings.Contains(forced.Leads(), "code=") {
		t.Error("the form was changed, and a code came")
	}
}
