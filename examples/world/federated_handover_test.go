package world

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/keys"
)

// ticketOutside begins at an address of a host outside, in a browser that is signed in at the identity host, and gives the hand-over unvisited.
func ticketOutside(t *testing.T, b *Browser, name, target string) string {
	t.Helper()
	a := must(t)(b.Step(must(t)(b.Step(at(name, target))).Leads()))
	if !strings.HasPrefix(a.Leads(), at(name, "/.isogate/enter?ticket=")) {
		t.Fatalf("the identity host leads to %q (%d)\n%.300s", a.Leads(), a.Status, a.Body)
	}
	noteQuery(parsed(t, a.Leads()))
	return a.Leads()
}

// fresh is a browser that is signed in at the identity host and at no service.
func fresh(t *testing.T, name string) *Browser {
	t.Helper()
	b := member(t, name)
	drops(b, "support", outsideCookie)
	return b
}

// refusedOutside demands that a hand-over came to nothing.
func refusedOutside(t *testing.T, b *Browser, a Answer) {
	t.Helper()
	if a.Status == 303 && a.Leads() == "https://"+a.URL.Host+a.URL.Path { // no page stands at the address with the ticket
		a = must(t)(b.Follow(a))
	}
	wantPage(t, a, 400, startAgain)
	for _, c := range a.Set {
		if c.Name == outsideCookie && c.MaxAge >= 0 {
			t.Errorf("%s gave a session", a.URL.Path)
		}
	}
}

func TestOutsideTicketInAnotherBrowser(t *testing.T) {
	for name, plant := range map[string]func(thief *Browser){
		"without a flow cookie":         func(*Browser) {},
		"with a flow cookie of its own": func(thief *Browser) { must(t)(thief.Step(at("support", "/"))) },
		"with a flow cookie of the same name": func(thief *Browser) {
			thief.SetCookie(at("support", "/"), flowCookie+"00000000000aaaaaa", "AAAAAAAAAAAAAAAAAAAAAA")
		},
		"signed in as somebody else": func(thief *Browser) { federate(t, thief, shared.Cloud, "alice", at("market", "/")) },
	} {
		t.Run(name, func(t *testing.T) {
			b, thief := fresh(t, "bob"), watched(t)
			enter := ticketOutside(t, b, "support", "/private")
			plant(thief)
			refusedOutside(t, thief, must(t)(thief.Step(enter)))
			if outsideOf(thief, "support") != "" {
				t.Error("the thief holds a session")
			}
			if e := serviceOf(t, must(t)(b.Open(enter))); e.Target != "/private" {
				t.Errorf("the right browser landed on %s", e.Target)
			}
		})
	}
}

// The stated exception to "works once": a ticket is stored nowhere. But the flow cookie is gone after the first time, so only a thief who has that
// too, within 30 s, enters with it, and then with nothing that the cookie jar that was stolen does not hold already.
func TestOutsideTicketAgain(t *testing.T) {
	b := fresh(t, "bob")
	enter := ticketOutside(t, b, "support", "/once")
	if a := must(t)(b.Step(enter)); a.Status != 303 || a.Leads() != at("support", "/once") || len(proofsAt(b, "support")) != 0 {
		t.Fatalf("%d to %q", a.Status, a.Leads())
	}
	before := outsideOf(b, "support")
	refusedOutside(t, b, must(t)(b.Step(enter)))
	if outsideOf(b, "support") != before || !known(t, b, "support") {
		t.Error("the replay changed the session")
	}
}

func TestOutsideTicketOfAnotherHost(t *testing.T) {
	b := fresh(t, "bob")
	enter := ticketOutside(t, b, "support", "/")
	must(t)(b.Step(at("market", "/"))) // so that there is a flow at the marketplace too
	for name, value := range proofsAt(b, "support") {
		b.SetCookie(at("market", "/"), name, value)
		b.SetCookie(at("id", "/"), name, value)
	}
	for _, other := range []string{"market", "id", "tenant"} {
		refusedOutside(t, b, must(t)(b.Step(strings.Replace(enter, "//support.", "//"+other+".", 1))))
	}
	inside := strings.Replace(enter, at("support", ""), shared.URL("issues", ""), 1)
	wantPage(t, must(t)(b.Step(inside)), 400, startAgain)
}

func TestOutsideTicketsThatWereNeverGiven(t *testing.T) {
	b := fresh(t, "bob")
	enter := ticketOutside(t, b, "support", "/x")
	base, ticket, _ := strings.Cut(enter, "?ticket=")
	flow := parsed(t, must(t)(b.Step(at("support", "/"))).Leads()).Query().Get("flow")
	for name, query := range map[string]string{
		"none": "", "empty": "?ticket=", "forged": "?ticket=" + strings.Repeat("A", len(ticket)), "cut": "?ticket=" + ticket[:len(ticket)-4], "longer": "?ticket=" + ticket + "A",
		"flipped": "?ticket=" + flip(ticket, len(ticket)/2), "flipped at the start": "?ticket=" + flip(ticket, 1), "flipped at the end": "?ticket=" + flip(ticket, len(ticket)-2),
		"doubled": "?ticket=" + ticket + "&ticket=" + ticket, "flow": "?ticket=" + flow, "session": "?ticket=" + outsideOf(b, "id"), "huge": "?ticket=" + strings.Repeat("A", 20000),
	} {
		a := must(t)(b.Open(base + query))
		if a.Status < 400 || a.Status >= 500 || len(a.Set) != 0 || outsideOf(b, "support") != "" {
			t.Errorf("%s: %d, cookies %d", name, a.Status, len(a.Set))
		}
	}
	for _, kind := range []map[string]string{Fetch, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, nil} {
		if a := must(t)(b.Do("GET", enter, kind, nil, "")); a.Status != 401 || outsideOf(b, "support") != "" {
			t.Errorf("%v: %d", kind, a.Status)
		}
	}
	if e := serviceOf(t, must(t)(b.Open(enter))); e.Target != "/x" {
		t.Errorf("afterwards: %s", e.Target)
	}
}

// A sealed session opens at its own host alone, whole alone, and no other sealed value opens as one.
func TestOutsideCookieInTheWrongPlace(t *testing.T) {
	b := member(t, "bob")
	must(t)(b.Open(at("market", "/")))
	value := outsideOf(b, "support")
	if !known(t, holder(t, "support", value), "support") {
		t.Fatal("the cookie alone does not open the service: this test proves nothing")
	}
	drops(b, "market", outsideCookie)
	ticket := parsed(t, ticketOutside(t, b, "market", "/")).Query().Get("ticket")
	flow := parsed(t, must(t)(watched(t).Step(at("support", "/"))).Leads()).Query().Get("flow")
	for name, planted := range map[string]string{
		"the identity host's": outsideOf(b, "id"), "another service's": func() string { must(t)(b.Open(at("market", "/"))); return outsideOf(b, "market") }(), "a ticket": ticket, "a flow": flow,
		"cut": value[:len(value)-1], "longer": value + "A", "flipped at the start": flip(value, 0), "flipped at the key's id": flip(value, 8), "flipped": flip(value, len(value)/2),
		"flipped at the end": flip(value, len(value)-1), "an inside handle": strings.Repeat("A", 43), "empty": "", "nonsense": "e30.e30.", "too long": strings.Repeat("A", 5000),
	} {
		hits := shared.Platform.Services["support"].Hits()
		if a := must(t)(holder(t, "support", planted).Do("GET", at("support", "/whoami"), Fetch, nil, "")); a.Status != 401 && a.Status != 400 {
			t.Errorf("%s: %d", name, a.Status)
		}
		if a := must(t)(holder(t, "support", planted).Step(at("support", "/whoami"))); a.Status != 302 && a.Status != 400 {
			t.Errorf("%s, a navigation: %d", name, a.Status)
		}
		if shared.Platform.Services["support"].Hits() != hits {
			t.Errorf("%s: the service was reached", name)
		}
	}
	twice := must(t)(watched(t).Do("GET", at("support", "/whoami"), Fetch, map[string]string{"Cookie": outsideCookie + "=" + value + "; " + outsideCookie + "=" + value}, ""))
	if twice.Status != 400 {
		t.Errorf("two of them: %d", twice.Status)
	}
	inside := watched(t)
	inside.SetCookie(shared.URL("issues", "/"), outsideCookie, value)
	inside.SetCookie(shared.URL("issues", "/"), handleCookie, value)
	if got := status(t, inside, shared.URL("issues", "/whoami")); got != 401 {
		t.Errorf("inside: %d", got)
	}
}

// callbackOf signs somebody in inside, up to the cloud's answer, which it gives unvisited.
func callbackOf(t *testing.T, b *Browser, name string) string {
	t.Helper()
	page := must(t)(b.Press(lookup(t, b, "x@acme.example"), shared.button(), nil))
	page = must(t)(b.Authenticate(shared.User(name), page))
	again := leavesTo(b, shared.Platform.host("id"))
	defer again()
	callback := must(t)(b.Press(page, goOn, nil)).Leads()
	if !strings.HasPrefix(callback, at("id", "/.isogate/federated/callback?")) {
		t.Fatalf("the cloud leads to %q", callback)
	}
	noteQuery(parsed(t, callback))
	return callback
}

// Login CSRF: an attacker begins and has a victim finish, or the other way round. Neither is signed in by it.
func TestAnswerOfACloudInAnotherBrowser(t *testing.T) {
	attacker, victim := watched(t), watched(t)
	callback := callbackOf(t, attacker, "bob")
	refusedOutside(t, victim, must(t)(victim.Open(callback)))
	must(t)(victim.Open(at("support", "/"))) // has flows of its own
	refusedOutside(t, victim, must(t)(victim.Open(callback)))
	alice := member(t, "alice")
	before, _ := given(t, alice, "support")
	if e := must(t)(alice.Open(callback)); e.URL.Path == "/.isogate/federated/callback" && e.Status == 200 {
		t.Errorf("a signed-in victim: %d at %s", e.Status, e.URL)
	}
	if after, _ := given(t, alice, "support"); after.User != before.User {
		t.Error("a signed-in victim became somebody else")
	}
	for name, change := range map[string]url.Values{
		"another state": {"state": {"A" + parsed(t, callback).Query().Get("state")[1:]}}, "no state": {"state": nil}, "two states": {"state": {"a", "b"}},
		"another issuer": {"iss": {shared.Globex.URL("auth", "")}}, "no issuer": {"iss": nil},
	} {
		u := parsed(t, callback)
		query := u.Query()
		for key, values := range change {
			query[key] = values
		}
		u.RawQuery = query.Encode()
		clone := watched(t)
		for cookie, value := range proofsAt(attacker, "id") {
			clone.SetCookie(at("id", "/"), cookie, value)
		}
		if a := must(t)(clone.Step(u.String())); a.Status != 400 || outsideOf(clone, "id") != "" {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if e := must(t)(attacker.Open(callback)); e.Status != 200 { // the attempts above redeemed no code: it was looked at first who answers
		t.Errorf("in the right browser: %d at %s\n%.300s", e.Status, e.URL, e.Body)
	}
	wantPage(t, must(t)(watched(t).Step(callback)), 400, startAgain)
}

// A new key seals once it has settled, an old one opens as long as it is there, and when it is gone its sessions are over: the person is signed
// in again without a question, since inside the session goes on.
func TestOutsideKeysRotate(t *testing.T) {
	b, other := member(t, "bob"), member(t, "alice")
	folder := shared.Platform.secret("federated")
	old, err := filepath.Glob(filepath.Join(folder, "*.key"))
	if err != nil || len(old) != 1 {
		t.Fatalf("%q %v", old, err)
	}
	if err := keys.GenerateSealer(folder, "next"); err != nil {
		t.Fatal(err)
	}
	settled := time.Now().Add(-keys.Settle - time.Second)
	if err := os.Chtimes(filepath.Join(folder, "next.key"), settled, settled); err != nil {
		t.Fatal(err)
	}
	prefix := func(b *Browser) string { return outsideOf(b, "support")[:8] }
	was := prefix(b)
	eventually(t, "the new key seals", func() bool {
		_, status := given(t, b, "support")
		return status == 200 && prefix(b) != was
	})
	if !known(t, other, "support") {
		t.Error("what the old key sealed does not open")
	}
	stale := holder(t, "support", outsideOf(other, "support"))
	if prefix(stale) != was {
		stale = nil // sealed anew meanwhile
	}
	if err := os.Remove(old[0]); err != nil {
		t.Fatal(err)
	}
	if stale != nil {
		eventually(t, "what the removed key sealed opens no more", func() bool { _, status := given(t, stale, "support"); return status == 401 })
	}
	if !known(t, b, "support") {
		t.Error("what the new key sealed does not open")
	}
	drops(other, "support", outsideCookie)
	drops(other, "id", outsideCookie)
	page := federate(t, other, shared.Cloud, "alice", at("support", "/whoami"))
	if page.Status != 200 || visits(page) != 0 {
		t.Errorf("signing in again: %d at %s, %d visits at the provider", page.Status, page.URL, visits(page))
	}
}
