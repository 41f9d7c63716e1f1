package world

import (
	"strings"
	"testing"
	"time"
)

// Each edit of the isolated file that ends a session outside does so with the next question, and without a sign-in in between (L2).
func TestEditsInsideEndServices(t *testing.T) {
	for name, c := range map[string]struct{ old, fresh string }{
		"federated limit":                {"federated: 24h", "federated: 1s"},
		"federated limit of some people": {"  ca: ca/ca.pem\n  connect", "    exceptions:\n      - {groups: [staff], federated: 1s}\n  ca: ca/ca.pem\n  connect"},
		"domain pending":                 {"    - name: acme.example\n      state: verified\n", "    - name: acme.example\n      state: pending\n"},
		"client removed":                 {"    - id: commercial\n", "    - id: commercial2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := member(t, "bob")
			edit(t, shared.File(), c.old, c.fresh)
			within(t, "the session ends", func() bool { return !known(t, b, "support") })
			if outsideOf(b, "support") != "" {
				t.Error("the cookie stays")
			}
			if !insideLives(t, b, shared.Cloud) {
				t.Error("the session inside ended too")
			}
		})
	}
}

// A limit that comes before the next question ends the session by its cookie alone.
func TestOutsideEndsWithoutAsking(t *testing.T) {
	other := member(t, "alice")
	t.Run("short", func(t *testing.T) {
		edit(t, shared.File(), "federated: 24h", "federated: 4s")
		time.Sleep(time.Second) // until the file is read
		b := shared.Browser()   // which is not watched: an answer that its session does not live to see is cut, with 503
		page := federate(t, b, shared.Cloud, "bob", at("support", "/whoami"))
		began := time.Now()
		if page.Status != 200 {
			t.Fatalf("%d at %s", page.Status, page.URL)
		}
		for _, c := range page.Set {
			if c.Name == outsideCookie && c.MaxAge > 5 {
				t.Errorf("Max-Age is %d s", c.MaxAge)
			}
		}
		away(t, "extauthz") // nobody can be asked
		eventually(t, "the session ends", func() bool {
			time.Sleep(100 * time.Millisecond)
			_, status := given(t, b, "support")
			if status != 200 && status != 401 && status != 503 {
				t.Errorf("the service: %d", status)
			}
			return status == 401
		})
		if lived := time.Since(began); lived > 7*time.Second {
			t.Errorf("it lived for %s", lived)
		}
	})
	federate(t, other, shared.Cloud, "alice", at("support", "/"))
	heard(t, other)
}

// A shorter limit moves the end of the cookie that the next answer sets, a longer one moves it back.
func TestAgeFollowsTheFile(t *testing.T) {
	b := member(t, "bob")
	age := func() (seconds int) {
		a := must(t)(b.Do("GET", at("support", "/whoami"), Fetch, nil, ""))
		for _, c := range a.Set {
			if c.Name == outsideCookie {
				seconds = c.MaxAge
			}
		}
		return seconds
	}
	t.Run("shorter", func(t *testing.T) {
		edit(t, shared.File(), "federated: 24h", "federated: 10m")
		within(t, "the age is shorter", func() bool { got := age(); return got > 0 && got <= 600 })
	})
	within(t, "and longer again", func() bool { return age() > 600 })
}

// An answer to a script renews the cookie too, and no more often than the cloud is asked.
func TestCookieIsRenewedNoMoreThanAsked(t *testing.T) {
	b := member(t, "bob")
	began, renewed, last := time.Now(), 0, outsideOf(b, "support")
	for time.Since(began) < 3*checkEvery {
		if !known(t, b, "support") {
			t.Fatal("signed out")
		}
		if now := outsideOf(b, "support"); now != last {
			renewed, last = renewed+1, now
		}
		time.Sleep(50 * time.Millisecond)
	}
	if renewed < 1 || renewed > 5 {
		t.Errorf("renewed %d times in %s", renewed, 3*checkEvery)
	}
}

// The directory's entry decides too: a cloud that is gone from it has nobody outside any more, and one that comes back has.
func TestCloudLeavesTheDirectory(t *testing.T) {
	b, grace := member(t, "bob"), watched(t)
	federate(t, grace, shared.Globex, "grace", at("support", "/"))
	t.Run("gone", func(t *testing.T) {
		edit(t, shared.Platform.File(), "    domains: [acme.example]\n    issuer: "+shared.URL("auth", "")+"\n    ca: ca/ca.pem\n    client:\n      id: commercial\n      key: commercial/client-acme\n"+
			"    gateway: "+local(shared.ports.gateway)+"\n", "")
		eventually(t, "its people are signed out", func() bool { return !known(t, b, "support") })
		if page := lookup(t, b, "bob@acme.example"); strings.Contains(page.Body, shared.button()) {
			t.Error("its button is still there")
		}
		if !known(t, grace, "support") {
			t.Error("the other cloud's people are signed out too")
		}
		if got := status(t, b, shared.URL("issues", "/health")); got != 200 {
			t.Errorf("the edge does not forward its names any more: %d", got)
		}
	})
	eventually(t, "it is back", func() bool {
		return strings.Contains(lookup(t, watched(t), "bob@acme.example").Body, shared.button())
	})
}
