package world

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A person goes from a service's address to that very address, with one sign-in inside, and then to every other service without another.
func TestFederatedSignIn(t *testing.T) {
	b := watched(t)
	const deep = "/case/7?view=a%20b&q=%C3%A9&list[]=1"
	page := federate(t, b, shared.Cloud, "alice", at("support", deep))
	support := serviceOf(t, page)
	if page.URL.String() != at("support", deep) || support.Target != deep || support.Name != "support" {
		t.Errorf("landed at %s, which is %s of %s", page.URL, support.Target, support.Name)
	}
	if support.Cloud != shared.ID || len(support.User) != 22 {
		t.Errorf("the service was given the cloud %q and the user %q", support.Cloud, support.User)
	}
	second := must(t)(b.Open(at("market", deep)))
	market := serviceOf(t, second)
	for _, via := range second.Via {
		if strings.Contains(via, Domain) || strings.Contains(via, shared.idpHost()) {
			t.Errorf("the second service led to %s", via)
		}
	}
	if market.Target != deep || market.Cloud != shared.ID || market.User == support.User || market.User == "" {
		t.Errorf("the second service was given %+v", market)
	}
	if n := len(proofsAt(b, "support")) + len(proofsAt(b, "market")) + len(proofsAt(b, "id")); n != 0 {
		t.Errorf("%d flow cookies are left", n)
	}
}

// Each service knows each person by an id of its own, which stays the same.
func TestPeopleHaveAnIDAtEachService(t *testing.T) {
	ids := map[string]string{}
	for _, name := range []string{"alice", "bob"} {
		b := member(t, name)
		must(t)(b.Open(at("market", "/")))
		for _, id := range []string{"support", "market"} {
			e, _ := given(t, b, id)
			if other, seen := ids[e.User]; seen || e.User == "" {
				t.Errorf("%s at %s is %q, and so is %s", name, id, e.User, other)
			}
			ids[e.User] = name + " at " + id
		}
	}
	again, _ := given(t, member(t, "alice"), "support")
	if ids[again.User] != "alice at support" {
		t.Errorf("alice signs in again and is %q", ids[again.User])
	}
}

// What reaches a service is what the person sent, without anything of ours, of the network or of other parties, and who they are.
func TestWhatReachesAService(t *testing.T) {
	b := member(t, "alice")
	u := at("support", "/")
	b.SetCookie(u, "theme", "dark")
	forged := map[string]string{
		"X-Isolated-Cloud-Id": "forged", "X-Isolated-Cloud-User": "forged", "X-Isolated-Cloud-Token": "forged",
		"X-User-Context-Token": "forged", "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Real-Ip": "192.0.2.1", "X-Envoy-External-Address": "192.0.2.1",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate": "a=b", "Baggage": "user=alice", "B3": "1", "X-B3-Traceid": "1",
		"X-Request-Id": "forged", "Accept-Language": "en",
	}
	a := must(t)(b.Do("GET", at("support", "/whoami"), Fetch, forged, ""))
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	e := serviceOf(t, a)
	if e.Cloud != shared.ID || e.User == "forged" || fmt.Sprint(e.Headers["cookie"]) != "[theme=dark]" || e.Headers["x-request-id"][0] == "forged" ||
		e.Headers["x-isolated-cloud-token"][0] == "forged" {
		t.Errorf("given %q %q, cookies %q, request id %q", e.Cloud, e.User, e.Headers["cookie"], e.Headers["x-request-id"])
	}
	var names []string
	for name := range e.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"accept", "accept-encoding", "accept-language", "cookie", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "user-agent",
		"x-isolated-cloud-id", "x-isolated-cloud-token", "x-isolated-cloud-user", "x-request-id"}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "x-forwarded-proto" })
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("headers: %s", diff)
	}
	for _, name := range []string{"X_Isolated_Cloud_User", "x-isolated-cloud_id"} {
		a, err := b.Do("GET", at("support", "/whoami"), Fetch, map[string]string{name: "forged"}, "")
		if err == nil && a.Status < 400 { // over HTTP/2 the stream is reset
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

// A service cannot set our cookies.
func TestServiceCannotSetOurCookies(t *testing.T) {
	b := member(t, "bob")
	before := outsideOf(b, "support")
	a := must(t)(b.Do("GET", at("support", "/set-cookie"), Fetch, nil, ""))
	for _, c := range a.Set {
		if c.Name != "theme" && c.Value == "value" {
			t.Errorf("the service set %s", c.Name)
		}
	}
	if outsideOf(b, "support") != before || !known(t, b, "support") {
		t.Error("the session changed")
	}
}

// Without a session a navigation is led to the identity host, everything else gets a problem, and the service is not reached.
func TestWithoutASessionOutside(t *testing.T) {
	hits := shared.Platform.Services["support"].Hits()
	b := watched(t)
	if a := must(t)(b.Step(at("support", "/a?b=c"))); a.Status != 302 || !strings.HasPrefix(a.Leads(), at("id", "/.isogate/signin?flow=")) {
		t.Errorf("a navigation: %d to %q", a.Status, a.Leads())
	}
	for name, kind := range map[string]map[string]string{"fetch": Fetch, "script": nil, "frame": {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}} {
		a := must(t)(watched(t).Do("GET", at("support", "/"), kind, nil, ""))
		if a.Status != 401 || len(a.Set) != 0 || name != "frame" && problemOf(a) != "unauthenticated" {
			t.Errorf("%s: %d, cookies %q, %.200s", name, a.Status, a.Set, a.Body)
		}
	}
	for _, path := range []string{"/health", "/.well-known/uct/jwks.json", "/oauth2/authorize", "/oauth2/jwks", "/metrics", "/config_dump"} {
		if a := must(t)(watched(t).Get(at("support", path))); a.Status != 401 {
			t.Errorf("%s: %d", path, a.Status)
		}
		if a := must(t)(watched(t).Get(at("id", path))); a.Status != 404 {
			t.Errorf("identity host%s: %d", path, a.Status)
		}
	}
	if reached := shared.Platform.Services["support"].Hits() - hits; reached != 0 {
		t.Errorf("%d requests reached the service", reached)
	}
}

// Requests that change something come from the service's own pages.
func TestUnsafeRequestsOutside(t *testing.T) {
	b := member(t, "bob")
	for _, c := range []struct {
		name, origin, site string
		want               int
	}{
		{"own", at("support", ""), "same-origin", 200},
		{"sibling", at("market", ""), "same-site", 403},
		{"identity host", at("id", ""), "same-site", 403},
		{"stranger", "https://evil.example", "cross-site", 403},
		{"nothing said", "", "", 403},
	} {
		extra := map[string]string{"Sec-Fetch-Site": c.site}
		if c.origin != "" {
			extra["Origin"] = c.origin
		}
		kind := map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
		if c.site == "" {
			kind, extra = nil, nil
		}
		if a := must(t)(b.Do("POST", at("support", "/whoami"), kind, extra, "x=y")); a.Status != c.want {
			t.Errorf("%s: %d, want %d", c.name, a.Status, c.want)
		}
	}
}

// A standard tenant is not for people of isolated clouds, however they come.
func TestStandardTenant(t *testing.T) {
	tenant := shared.Platform.Services["tenant"]
	hits, b := tenant.Hits(), member(t, "alice")
	page := must(t)(b.Open(at("tenant", "/")))
	wantPage(t, page, 403, "Not open to this account")
	if outsideOf(b, "tenant") != "" {
		t.Error("a session was given to the tenant's host")
	}
	b.SetCookie(at("tenant", "/"), outsideCookie, outsideOf(b, "support"))
	if a := must(t)(b.Do("GET", at("tenant", "/"), Fetch, nil, "")); a.Status != 401 {
		t.Errorf("another host's session: %d", a.Status)
	}
	if !known(t, b, "support") {
		t.Error("the session at the Support Centre is gone")
	}
	first := watched(t) // who signs in from there
	if page := federate(t, first, shared.Cloud, "bob", at("tenant", "/")); page.Status != 403 || len(proofsAt(first, "tenant")) != 0 {
		t.Errorf("signing in from the tenant: %d at %s", page.Status, page.URL)
	}
	if reached := tenant.Hits() - hits; reached != 0 {
		t.Errorf("%d requests reached the tenant", reached)
	}
}

// The cookie is as the browser's rules want it, and the age is no more than a day.
func TestOutsideCookie(t *testing.T) {
	page := federate(t, watched(t), shared.Cloud, "alice", at("support", "/"))
	found := 0
	for _, c := range page.Set {
		if c.Name != outsideCookie {
			continue
		}
		found++
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.MaxAge <= 0 || c.MaxAge > 86400 || len(c.Value) > 4000 {
			c.Value = fmt.Sprint(len(c.Value), " bytes")
			t.Errorf("the cookie: %+v", c)
		}
	}
	if found != 2 { // the identity host's, and the service's
		t.Errorf("%d cookies were set", found)
	}
}
