package world

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// A person opens a page of the Support Centre that shows what their own isolated cloud says, and pages that say why there is nothing to see.
func TestChromiumIssue(t *testing.T) {
	for _, phone := range []bool{false, true} {
		c, picture := outsideTab(t, phone)
		c.open(at("support", "/"))
		c.types("bob@acme.example")
		c.shows("Choose how to sign in")
		c.press(shared.button())
		c.do(chromedp.WaitVisible(chromedp.CSS("#username")))
		c.authenticate("bob")
		c.do(chromedp.WaitVisible(chromedp.CSS(`button[value="continue"]`)))
		c.press(goOn)
		c.shows("Hello, person of an isolated cloud")
		c.do(chromedp.Click(chromedp.CSS("#issue")))
		c.shows("Backups of the wiki take longer than a night")
		if got := value(c, chromedp.TextContent(chromedp.CSS("#cloud"))); got != shared.ID {
			t.Errorf("the issue is of the cloud %q, not of %q", got, shared.ID)
		}
		picture("g-issue")
		c.open(at("support", "/issue/OPS-9"))
		c.shows("No such issue")
		picture("h-no-issue")
		c.open(at("market", "/issue/OPS-1"))
		c.shows("Not exposed")
		picture("i-not-exposed")
		t.Run("away", func(t *testing.T) {
			away(t, "envoy-gateway")
			c.open(at("support", "/issue/OPS-1"))
			c.shows("Not available right now")
			picture("j-gateway-away")
		})
		c.isQuiet()
	}
}
