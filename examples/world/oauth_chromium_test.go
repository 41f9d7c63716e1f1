package world

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A real browser goes the whole way of a federated sign-in: cookies, redirects and the policies of our pages together. The platform's own
// host is none of this world, so what the browser asks of it is noted and not answered.
func TestChromiumFederatedSignIn(t *testing.T) {
	o, tab := platform(t), chromium(t)
	v := o.begin()
	tab.open(v.URL)
	tab.authenticate("alice")
	tab.asked(o)
	tab.fits()
	tab.shot("9-confirm")
	tab.do(chromedp.Click(chromedp.CSS(`button[value="continue"]`)))
	s, err := o.Finish(t.Context(), v, tab.ledTo(o))
	if err != nil {
		t.Fatal(err)
	}
	o.session(s)

	again := newChromiumTab(t, tab.ctx) // the same person in the same browser, who has confirmed
	v = o.begin()
	again.leaves(v.URL)
	if _, err := o.Finish(t.Context(), v, again.ledTo(o)); err != nil || again.saw(shared.idpHost()) {
		t.Errorf("the second time: %v, by %q", err, again.documents())
	}
	tab.isQuiet()
	again.isQuiet()
}

func TestChromiumCancels(t *testing.T) {
	o, phone := platform(t), chromium(t)
	phone.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulatePortrait, chromedp.EmulateScale(2)))
	v := o.begin()
	phone.open(v.URL)
	phone.authenticate("bob")
	phone.asked(o)
	phone.fits()
	phone.shot("10-phone-confirm")
	phone.do(chromedp.Click(chromedp.CSS(`button[value="cancel"]`)))
	if _, code := refusal(second(o.Finish(t.Context(), v, phone.ledTo(o)))); code != "access_denied" {
		t.Errorf("the platform is told %q", code)
	}
	phone.isQuiet()
}

func TestChromiumUnmanagedPerson(t *testing.T) {
	o, phone := platform(t), chromium(t)
	phone.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulatePortrait, chromedp.EmulateScale(2)))
	v := o.begin()
	phone.open(v.URL)
	phone.authenticate("erin")
	eventually(t, "the page", func() bool {
		_, err := chromedp.Run(phone.ctx, chromedp.Evaluate[chromedp.Void](`if (!document.querySelector("button[value=cancel]")) throw "not yet"`))
		return err == nil
	})
	phone.fits()
	phone.shot("11-phone-not-managed")
	phone.do(chromedp.Click(chromedp.CSS(`button[value="cancel"]`)))
	if _, code := refusal(second(o.Finish(t.Context(), v, phone.ledTo(o)))); code != "access_denied" {
		t.Errorf("the platform is told %q", code)
	}
	phone.isQuiet()
}

// asked waits for the page to confirm.
func (c *chromiumTab) asked(o outside) {
	c.t.Helper()
	c.do(chromedp.WaitVisible(chromedp.CSS(`button[value="continue"]`)))
	if text := value(c, chromedp.TextContent(chromedp.CSS("main"))); !strings.Contains(text, "Commercial Platform") {
		c.t.Errorf("the page to confirm does not name the platform: %.300q", text)
	}
}

// leaves opens an address whose way ends at a host that is not there.
func (c *chromiumTab) leaves(address string) {
	c.t.Helper()
	_, _ = chromedp.Run(c.ctx, chromedp.Navigate(address)) // it says that the connection was closed
}

// ledTo waits until the browser asks for the client's redirect URI, and gives the address.
func (c *chromiumTab) ledTo(o outside) (address string) {
	c.t.Helper()
	eventually(c.t, "the browser is led back to the client", func() bool {
		for _, at := range c.documents() {
			if strings.HasPrefix(at, o.RedirectURI) {
				address = at
			}
		}
		return address != ""
	})
	return address
}
