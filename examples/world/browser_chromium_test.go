package world

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const sessionCookie = "__Host-isogate_session"

// One person, two tabs: what only a real browser decides (cookies, CORS, CSP, fetch metadata, WebSockets) together with our answers.
func TestChromiumWalk(t *testing.T) {
	issues := chromium(t)
	issues.signIn("alice", shared.URL("issues", "/browse/OPS-1?view=a%20b"))
	if got := value(issues, chromedp.TextContent(chromedp.CSS("pre"))); !strings.Contains(got, `"target":"/browse/OPS-1?view=a%20b"`) {
		t.Errorf("the product was asked for something else: %.300s", got)
	}
	issues.open(shared.URL("issues", "/"))
	issues.greets("Alice Arden")
	issues.shot("3-issues")
	usesOwnHost(t, issues)

	wiki := newChromiumTab(t, issues.ctx)
	wiki.open(shared.URL("wiki", "/"))
	wiki.greets("Alice Arden")
	wiki.shot("4-wiki")
	if wiki.saw(shared.idpHost()) || !wiki.saw("auth."+Domain) {
		t.Errorf("the way to the second product: %q", wiki.documents())
	}
	attacksSibling(t, wiki)

	signsOut(t, issues)
	if got := wiki.fetch("/whoami", "{}"); !strings.HasPrefix(got, "401 ") || !strings.Contains(got, `"sign_in":"`+shared.URL("auth", "/.isogate/signin")+`"`) {
		t.Errorf("the other tab after the sign-out: %.300s", got)
	}
	wiki.open(shared.URL("wiki", "/"))
	if at := value(wiki, chromedp.Location()); !strings.HasPrefix(at, "https://"+shared.idpHost()+"/") || wiki.heading() != "Sign in" {
		t.Errorf("after the sign-out the provider still knows the person: %s", at)
	}
	issues.isQuiet()
	wiki.isQuiet("blocked by CORS policy", "WebSocket connection to 'wss://issues.")
	hearsViolations(t, issues)
}

// A phone, and a person without a second factor.
func TestChromiumOnAPhone(t *testing.T) {
	phone := chromium(t)
	phone.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulatePortrait, chromedp.EmulateScale(2)))
	phone.signIn("bob", shared.URL("wiki", "/"))
	phone.greets("Bob Birch")
	phone.fits()

	phone.open(shared.URL("wiki", "/.isogate/logout"))
	phone.fits()
	phone.shot("7-phone-sign-out")

	phone.open(shared.URL("auth", "/.isogate/callback?state=old&code=old"))
	if got := phone.heading(); got != "Please start again" {
		t.Errorf("the page of an old link says %q", got)
	}
	phone.fits()
	phone.shot("8-phone-start-again")
	phone.isQuiet()
}

// usesOwnHost does what a product's own page may do, and what a script in it must not be able to see.
func usesOwnHost(t *testing.T, issues *chromiumTab) {
	t.Helper()
	for _, options := range []string{"{}", `{method: "POST", body: "x"}`} {
		if got := issues.fetch("/whoami", options); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, shared.User("alice").Email) {
			t.Errorf("fetch %s of its own host: %.300s", options, got)
		}
	}
	if got := issues.socket("issues"); got != "ping" {
		t.Errorf("WebSocket of its own host: %q", got)
	}
	held, err := chromedp.Call(issues.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		t.Fatal(err)
	}
	if len(held.Cookies) != 1 { // the flow cookies are gone
		t.Fatalf("%d cookies at the host, want 1", len(held.Cookies))
	}
	if c := held.Cookies[0]; c.Name != sessionCookie || !c.HTTPOnly || !c.Secure || c.SameSite != network.CookieSameSiteLax || c.Domain != "issues."+Domain {
		c.Value = ""
		t.Errorf("the cookie of the host: %+v", c)
	}
	if got := value(issues, chromedp.Evaluate[string](`document.cookie`)); got != "" {
		t.Errorf("scripts can read %q", got)
	}
}

// attacksSibling plays a product whose page a stranger controls. To the browser the sibling is the same site, so SameSite=Lax sends its
// session cookie along, and CORS hides only the answer: it is our check of the origin that keeps the request from the product.
func attacksSibling(t *testing.T, wiki *chromiumTab) {
	t.Helper()
	if got := wiki.fetch("/whoami", `{method: "POST", body: "x"}`); !strings.HasPrefix(got, "200 ") {
		t.Errorf("the same request to the page's own host: %.300s", got)
	}
	hits, target := shared.Products["issues"].Hits(), shared.URL("issues", "/rest/api/issue/OPS-1?attack")
	if got := wiki.fetch(target, `{method: "POST", body: "x", credentials: "include"}`); !strings.HasPrefix(got, "TypeError") {
		t.Errorf("the page could read %.300s", got)
	}
	eventually(t, "an answer to the cross-origin request", func() bool { return wiki.exchange(target).status != 0 })
	if got := wiki.exchange(target); got.status != 403 || !got.session {
		t.Errorf("cross-origin POST: status %d, session cookie sent %v; want 403 and true", got.status, got.session)
	}
	if got := wiki.socket("issues"); got != "refused" {
		t.Errorf("cross-origin WebSocket: %q", got)
	}
	if reached := shared.Products["issues"].Hits() - hits; reached != 0 {
		t.Errorf("%d cross-origin requests reached the product", reached)
	}
}

// signsOut goes by the product's link and the one button.
func signsOut(t *testing.T, issues *chromiumTab) {
	t.Helper()
	issues.do(chromedp.Click(chromedp.CSS("header a")))
	issues.lands(shared.URL("issues", "/.isogate/logout"))
	issues.shot("5-sign-out")
	if got := issues.heading(); got != "Sign out?" {
		t.Errorf("the sign-out page says %q", got)
	}
	issues.do(chromedp.Click(chromedp.CSS("form button")), chromedp.WaitNotPresent(chromedp.CSS("form")))
	issues.lands(shared.URL("auth", "/.isogate/logout")) // by way of the provider, which has ended its own session
	issues.shot("6-signed-out")
	if got := issues.heading(); got != "You are signed out" {
		t.Errorf("the page after it says %q", got)
	}
}

// hearsViolations proves that silence means something: one image on a page of ours must be heard as a violation.
func hearsViolations(t *testing.T, c *chromiumTab) {
	t.Helper()
	value(c, chromedp.Evaluate[chromedp.Void](`document.body.append(Object.assign(new Image(), {src: "/image.png"}))`))
	eventually(t, "a violation is heard", func() bool {
		return slices.ContainsFunc(c.complaints(), func(s string) bool { return strings.Contains(s, "Content Security Policy") })
	})
}
