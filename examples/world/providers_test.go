package world

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"isogate/examples/idp"
)

// withPartner gives the running world a second provider, for another e-mail domain.
func withPartner(t *testing.T) idp.User {
	t.Helper()
	t.Cleanup(func() { // runs when the file is as it was
		eventually(t, "one provider again", func() bool {
			a, err := shared.Browser().Open(shared.URL("issues", "/"))
			return err == nil && strings.Contains(a.Body, `name="password"`)
		})
	})
	edit(t, shared.File(), "      domains: [acme.example, partner.example]\n", fmt.Sprintf(`      domains: [acme.example]
    - id: partner
      name: Partner
      issuer: https://%s
      client_id: isogate
      client_secret: secrets/client_secret
      domains: [partner.example]
`, shared.idpHost()))
	eventually(t, "the address is asked for", func() bool {
		a, err := shared.Browser().Open(shared.URL("issues", "/"))
		return err == nil && strings.Contains(a.Body, "Work e-mail address")
	})
	return shared.User("erin")
}

func TestProviderIsChosenByTheDomainOfTheAddress(t *testing.T) {
	erin := withPartner(t)
	deep := shared.URL("issues", "/browse/OPS-1?view=a%20b")
	for _, c := range []struct {
		name, typed, provider string
		user                  idp.User
	}{
		{"one provider", "bob@acme.example", "corp", shared.User("bob")},
		{"the other, in capitals", "Erin@PARTNER.example", "partner", erin},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := shared.Browser()
			page := must(t)(b.Open(deep))
			page = must(t)(b.Submit(page, map[string]string{"email": c.typed}))
			landed := must(t)(b.Authenticate(c.user, page))
			if landed.Status != 200 || landed.URL.String() != deep {
				t.Fatalf("landed with %d at %s", landed.Status, landed.URL)
			}
			own := must(t)(b.Open(shared.URL("auth", "/.isogate/session")))
			if !strings.Contains(strings.ToLower(own.Body), c.provider) || !strings.Contains(own.Body, c.user.Name) {
				t.Errorf("the own session does not say %s and %s", c.provider, c.user.Name)
			}
		})
	}
}

// One provider's word counts nothing for the domain of the other's people.
func TestProviderIsBelievedForItsOwnDomainsOnly(t *testing.T) {
	erin := withPartner(t)
	b := shared.Browser()
	page := must(t)(b.Submit(must(t)(b.Open(shared.URL("issues", "/"))), map[string]string{"email": "anybody@acme.example"}))
	refused := must(t)(b.Authenticate(erin, page))
	if refused.Status != http.StatusForbidden || !strings.Contains(refused.Body, "does not belong to this organisation") {
		t.Fatalf("got %d\n%.300s", refused.Status, refused.Body)
	}
	if got := status(t, b, shared.URL("issues", "/whoami")); got != 401 {
		t.Errorf("a refused person got %d", got)
	}
	another := must(t)(b.Open(shared.URL("auth", "/.isogate/signin?prompt=login")))
	if another.Status != 200 || !strings.Contains(another.Body, "Work e-mail address") {
		t.Errorf("no way to another account: %d", another.Status)
	}
}

func TestAddressThatNobodySignsIn(t *testing.T) {
	withPartner(t)
	b := shared.Browser()
	page := must(t)(b.Open(shared.URL("issues", "/x")))
	for _, typed := range []string{"kim@nowhere.example", "kim@sub.acme.example", "kim", "", "a@b@acme.example", `Kim <kim@acme.example>`, "kim@acme.example.", strings.Repeat("a", 300) + "@acme.example", `"><script>@x`} {
		a := must(t)(b.Submit(page, map[string]string{"email": typed}))
		if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "Nobody signs in here") || strings.Contains(a.Body, "<script") {
			t.Errorf("%q: %d", typed, a.Status)
		}
	}
	for name, body := range map[string]string{"no flow of ours": "email=bob%40acme.example&flow=x", "doubled": "email=a%40acme.example&email=b%40acme.example", "too long": "email=" + strings.Repeat("a", 20<<10)} {
		a := must(t)(b.Do("POST", shared.URL("auth", "/.isogate/signin"), Navigation, map[string]string{
			"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}, body))
		if a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	cross := must(t)(b.Do("POST", shared.URL("auth", "/.isogate/signin"), Navigation, map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example"}, "email=bob%40acme.example"))
	if cross.Status != http.StatusForbidden {
		t.Errorf("another site's form: %d", cross.Status)
	}
}

// Sign-out reaches the provider: else the next sign-in would pass without a question.
func TestSignOutAtTheProvider(t *testing.T) {
	b := signedIn(t, "bob")
	page := must(t)(b.Open(shared.URL("issues", "/.isogate/logout")))
	out := must(t)(b.Submit(page, nil))
	if out.Status != 200 || out.URL.String() != shared.URL("auth", "/.isogate/logout") || !strings.Contains(out.Body, "You are signed out") {
		t.Fatalf("ended at %s with %d", out.URL, out.Status)
	}
	visited := strings.Join(out.Via, " ")
	if !strings.Contains(visited, "https://"+shared.idpHost()+"/end_session?") || strings.Count(visited, "id_token_hint") != 1 {
		t.Errorf("the way: %s", visited)
	}
	again := must(t)(b.Open(shared.URL("issues", "/")))
	if again.URL.Host != shared.idpHost() || !strings.Contains(again.Body, `name="password"`) {
		t.Errorf("the provider signs in without a question: %d at %s", again.Status, again.URL)
	}
}

func TestSignOutWhileTheProviderIsDown(t *testing.T) {
	b := signedIn(t, "bob")
	if err := shared.IDP.Stop(); err != nil {
		t.Fatal(err)
	}
	defer startIDP(t)
	page := must(t)(b.Open(shared.URL("wiki", "/.isogate/logout")))
	eventually(t, "the provider is known to be down", func() bool {
		a, err := shared.Browser().Open(shared.URL("issues", "/"))
		return err == nil && a.Status == http.StatusServiceUnavailable
	})
	if out := must(t)(b.Submit(page, nil)); out.Status != 200 || !strings.Contains(out.Body, "You are signed out") {
		t.Errorf("got %d at %s", out.Status, out.URL)
	}
	if got := status(t, b, shared.URL("issues", "/whoami")); got != 401 {
		t.Errorf("still in: %d", got)
	}
}

func TestOwnSession(t *testing.T) {
	stranger := must(t)(shared.Browser().Step(shared.URL("auth", "/.isogate/session")))
	if stranger.Status != http.StatusUnauthorized || !strings.Contains(stranger.Body, shared.URL("auth", "/.isogate/signin")) {
		t.Errorf("a stranger got %d", stranger.Status)
	}
	b := signedIn(t, "alice")
	own := must(t)(b.Open(shared.URL("auth", "/.isogate/session")))
	for _, want := range []string{"Alice Arden", "alice@acme.example", "Corp", "30 minutes", "Sign out"} {
		if !strings.Contains(own.Body, want) {
			t.Errorf("the own session does not say %q", want)
		}
	}
	if strings.Contains(own.Body, "eyJ") || own.Header.Get("Cache-Control") != "no-store" {
		t.Error("the page shows a token or may be kept")
	}
	direct := must(t)(b.Open(shared.URL("auth", "/.isogate/signin")))
	if direct.URL.Path != "/.isogate/session" {
		t.Errorf("a sign-in without a target ended at %s", direct.URL)
	}
}

func TestLimitsByGroup(t *testing.T) {
	alice, bob := signedIn(t, "alice"), signedIn(t, "bob")
	edit(t, shared.File(), "  ca: ca/ca.pem", "    exceptions:\n      - {groups: [engineering], idle: 1s, absolute: 1h}\n  ca: ca/ca.pem")
	eventually(t, "the engineer's session ends", func() bool {
		a, err := alice.Do("GET", shared.URL("auth", "/.isogate/session"), Navigation, nil, "") // no activity
		return err == nil && a.Status == 401
	})
	if got := status(t, bob, shared.URL("issues", "/whoami")); got != 200 {
		t.Errorf("somebody else's session ended too: %d", got)
	}
}

func TestSessionsEndWithTheirProvidersDomain(t *testing.T) {
	b := signedIn(t, "bob")
	edit(t, shared.File(), "      domains: [acme.example, partner.example]\n", "      domains: [other.example]\n")
	eventually(t, "the session is over", func() bool {
		return status(t, b, shared.URL("issues", "/whoami")) == 401 && must(t)(b.Step(shared.URL("auth", "/.isogate/session"))).Status == 401
	})
}

// A product that was never opened has no session of its own while the person is signed in elsewhere: it must not say otherwise.
func TestSignOutAtAProductThatWasNeverOpened(t *testing.T) {
	b := signedIn(t, "bob")
	page := must(t)(b.Open(shared.URL("wiki", "/.isogate/logout")))
	if page.URL.String() != shared.URL("auth", "/.isogate/logout") || !strings.Contains(page.Body, "Sign out?") {
		t.Fatalf("%d at %s", page.Status, page.URL)
	}
	must(t)(b.Submit(page, nil))
	if got := status(t, b, shared.URL("issues", "/whoami")); got != 401 {
		t.Errorf("still signed in: %d", got)
	}
}
