package world

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// outsideTab is a tab of a new browser; on a phone if that is wanted, whose pictures have names of their own.
func outsideTab(t *testing.T, phone bool) (c *chromiumTab, picture func(name string)) {
	t.Helper()
	c = chromium(t)
	prefix := "20-outside-"
	if phone {
		prefix = "21-phone-outside-"
		c.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulatePortrait, chromedp.EmulateScale(2)))
	}
	return c, func(name string) {
		t.Helper()
		c.fits()
		c.shot(prefix + name)
	}
}

// press clicks the button of a label.
func (c *chromiumTab) press(label string) {
	c.t.Helper()
	value(c, chromedp.Evaluate[chromedp.Void](`(() => {
		const found = [...document.querySelectorAll("button")].find(b => b.textContent.trim() === "`+label+`");
		if (!found) throw "no such button";
		setTimeout(() => found.click());
	})()`))
}

// shows waits for a page with a heading.
func (c *chromiumTab) shows(heading string) {
	c.t.Helper()
	eventually(c.t, "the page "+heading, func() bool {
		got, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](`document.readyState === "complete" ? document.querySelector("h1").textContent : ""`))
		return err == nil && got == heading // an error: the page is just changing
	})
}

// types fills in the e-mail address as a person does, and sends it by the keyboard.
func (c *chromiumTab) types(email string) {
	c.t.Helper()
	eventually(c.t, "the focus is on the address", func() bool {
		return value(c, chromedp.Evaluate[string](`document.activeElement.name || ""`)) == "email"
	})
	c.do(chromedp.SendKeys(chromedp.CSS("input[name=email]"), email+"\r"))
}

// A real browser goes the whole way outside and back: two services with one sign-in, the sign-out at a service, and the one inside.
func TestChromiumOutside(t *testing.T) {
	for _, phone := range []bool{false, true} {
		c, picture := outsideTab(t, phone)
		c.open(at("support", "/case/7?view=a%20b"))
		c.shows("Sign in")
		picture("1-address")
		c.types("alice@acme.example")
		c.shows("Choose how to sign in")
		picture("2-ways")
		c.press(standard)
		c.shows("Sign in with your organisation")
		picture("3-standard-refused")
		c.press(shared.button())
		c.do(chromedp.WaitVisible(chromedp.CSS("#username")))
		c.authenticate("alice")
		c.do(chromedp.WaitVisible(chromedp.CSS(`button[value="continue"]`)))
		picture("4-confirm")
		c.press(goOn)
		c.lands(at("support", "/case/7?view=a%20b"))
		c.open(at("support", "/"))
		c.shows("Hello, person of an isolated cloud")
		picture("5-service")
		c.holdsOnly(outsideCookie)
		c.otherService()
		c.tenant(picture)
		c.leavesOutside(picture)
		c.leavesInside()
		c.isQuiet()
	}
}

// holdsOnly looks at the cookies of the host that is shown.
func (c *chromiumTab) holdsOnly(name string) {
	c.t.Helper()
	held, err := chromedp.Call(c.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		c.t.Fatal(err)
	}
	if len(held.Cookies) != 1 {
		c.t.Fatalf("%d cookies at the host, want 1", len(held.Cookies))
	}
	if k := held.Cookies[0]; k.Name != name || !k.HTTPOnly || !k.Secure || k.SameSite != network.CookieSameSiteLax || k.Session {
		k.Value = ""
		c.t.Errorf("the cookie of the host: %+v", k)
	}
	if got := value(c, chromedp.Evaluate[string](`document.cookie`)); got != "" {
		c.t.Errorf("scripts can read %q", got)
	}
}

// otherService opens the second service, which asks nothing, and has a page of it attack the first.
func (c *chromiumTab) otherService() {
	c.t.Helper()
	c.open(at("market", "/"))
	c.shows("Hello, person of an isolated cloud")
	if c.saw("auth."+Domain) || c.saw(shared.idpHost()) || !c.saw("id."+commercialDomain) {
		c.t.Errorf("the way to the second service: %q", c.documents())
	}
	if got := c.fetch("/whoami", `{method: "POST", body: "x"}`); !strings.HasPrefix(got, "200 ") {
		c.t.Errorf("a request to the page's own host: %.300s", got)
	}
	hits, target := shared.Platform.Services["support"].Hits(), at("support", "/attack")
	got := c.fetch(target, `{method: "POST", body: "x", mode: "no-cors", credentials: "include"}`)
	eventually(c.t, "an answer to the cross-origin request", func() bool { return c.exchange(target).status != 0 })
	if e := c.exchange(target); e.status != 403 || !e.session || shared.Platform.Services["support"].Hits() != hits {
		c.t.Errorf("cross-origin POST: status %d, cookie sent %v, %d requests reached the service; the page got %.100s", e.status, e.session, shared.Platform.Services["support"].Hits()-hits, got)
	}
}

func (c *chromiumTab) tenant(picture func(string)) {
	c.t.Helper()
	c.open(at("tenant", "/"))
	c.shows("Not open to this account")
	picture("6-tenant")
}

// leavesOutside signs out at a service; the other one follows, and inside the session goes on.
func (c *chromiumTab) leavesOutside(picture func(string)) {
	c.t.Helper()
	c.open(at("support", "/"))
	c.do(chromedp.Click(chromedp.CSS("header a")))
	c.shows("Sign out?")
	picture("7-sign-out")
	c.press("Sign out")
	c.shows("You are signed out")
	picture("8-signed-out")
	c.open(at("login", "/")) // any page of another host
	within(c.t, "the other service follows", func() bool {
		c.open(at("market", "/"))
		return c.heading() == "Sign in"
	})
	c.types("alice@acme.example")
	c.shows("Choose how to sign in")
	c.press(shared.button())
	c.shows("Hello, person of an isolated cloud")
	if c.saw(shared.idpHost()) {
		c.t.Errorf("the provider was asked again: %q", c.documents())
	}
}

// leavesInside signs out at a product; the services follow.
func (c *chromiumTab) leavesInside() {
	c.t.Helper()
	c.open(shared.URL("issues", "/"))
	c.greets("Alice Arden")
	c.do(chromedp.Click(chromedp.CSS("header a")))
	c.shows("Sign out?")
	c.press("Sign out")
	c.shows("You are signed out")
	within(c.t, "the service follows", func() bool {
		c.open(at("market", "/"))
		return c.heading() == "Sign in"
	})
}

// What goes wrong ends at pages that people understand.
func TestChromiumOutsideRefusals(t *testing.T) {
	for _, phone := range []bool{false, true} {
		c, picture := outsideTab(t, phone)
		c.open(at("market", "/"))
		c.types("someone@unknown.example")
		c.shows("Choose how to sign in")
		if got := value(c, chromedp.Evaluate[[]string](`[...document.querySelectorAll("button")].map(b => b.textContent)`)); !slices.Equal(got, []string{standard}) {
			t.Errorf("the buttons are %q", got)
		}
		picture("a-standard-only")
		c.press(standard)
		c.shows("Standard sign-in")

		c.open(at("market", "/"))
		c.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("form").noValidate = true`))
		c.types("no address")
		eventually(t, "the alert", func() bool {
			got, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](`document.querySelector("[role=alert]").textContent`))
			return err == nil && strings.Contains(got, "not an e-mail address")
		})
		if text := value(c, chromedp.Evaluate[string](`document.querySelector("input[name=email]").value`)); text != "" {
			t.Errorf("the field holds %q", text)
		}
		picture("b-no-address")

		c.open(at("market", "/"))
		c.types("bob@acme.example")
		c.shows("Choose how to sign in")
		c.press(shared.button())
		c.do(chromedp.WaitVisible(chromedp.CSS("#username")))
		c.authenticate("bob")
		c.do(chromedp.WaitVisible(chromedp.CSS(`button[value="cancel"]`)))
		c.press("Cancel")
		c.shows("You were not signed in")
		picture("c-cancelled")

		c.open(at("market", "/.isogate/enter?ticket=old"))
		c.shows("Please start again")
		picture("d-start-again")
		c.isQuiet()
	}
}

// Where the cloud or the check does not answer, the pages say so.
func TestChromiumOutsideFaults(t *testing.T) {
	c, picture := outsideTab(t, true)
	c.open(at("support", "/"))
	c.types("bob@acme.example")
	c.shows("Choose how to sign in")
	t.Run("cloud", func(t *testing.T) {
		away(t, "oidcprovider")
		c.press(shared.button())
		c.shows("Sign-in is not available right now")
		picture("e-cloud-away")
	})
	t.Run("check", func(t *testing.T) {
		away(t, "extauthz-commercial")
		c.open(at("support", "/"))
		c.shows("Not available right now")
		picture("f-check-away")
	})
	c.isQuiet()
}
