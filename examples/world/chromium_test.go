package world

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// chromiumTab is one tab of a real browser, and what it reports of itself.
type chromiumTab struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex
	exchanges map[network.RequestID]*exchange
	visited   []string // redirects included
	faults    []string // without bad statuses, which the tests look at themselves
}

// exchange is a request as it left the browser, and its answer.
type exchange struct {
	url     string
	session bool // whether our session cookie was sent along
	status  int64
}

// chromium starts a browser with a new profile. Instead of a CA, which it would take from the machine's store alone, it is told the keys
// of the server certificates; any other certificate fails.
func chromium(t *testing.T) *chromiumTab {
	t.Helper()
	program, err := exec.LookPath(cmp.Or(os.Getenv("CHROMIUM"), "chromium"))
	if err != nil {
		t.Fatalf("no Chromium: install the package chromium, as make test does, or name the program in CHROMIUM (%v)", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], // these choose a new profile, which is removed in the end
		chromedp.ExecPath(program), chromedp.WindowSize(1280, 800),
		chromedp.NoSandbox, // it opens nothing but this world, and containers often lack what the sandbox needs
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join([]string{
			keyHash(t, shared.secret("ingress"), "issues."+Domain), keyHash(t, shared.secret("idp"), acme.provider),
			keyHash(t, shared.Platform.secret("tls"), "support."+commercialDomain), keyHash(t, shared.Platform.secret("login"), loginHost+"."+commercialDomain),
		}, ",")))
	ctx, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	return newChromiumTab(t, ctx)
}

// keyHash is the SHA-256 of the public key in the certificate NAME.pem, once the world's CA vouches for that.
func keyHash(t *testing.T, name, host string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(name+".pem", name+".key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: shared.CA.Pool(), DNSName: host}); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func newChromiumTab(t *testing.T, parent context.Context) *chromiumTab {
	t.Helper()
	ctx, end := chromedp.NewContext(parent)
	t.Cleanup(end)
	c := &chromiumTab{t: t, ctx: ctx, exchanges: map[network.RequestID]*exchange{}}
	if err := chromedp.Listen(ctx, c.record); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chromiumTab) record(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		c.one(e.RequestID).url = e.Request.URL
		if e.Type == network.ResourceTypeDocument {
			c.visited = append(c.visited, e.Request.URL)
		}
	case *network.EventRequestWillBeSentExtraInfo:
		c.one(e.RequestID).session = slices.ContainsFunc(e.AssociatedCookies, func(a *network.AssociatedCookie) bool {
			return (a.Cookie.Name == sessionCookie || a.Cookie.Name == outsideCookie) && len(a.BlockedReasons) == 0
		})
	case *network.EventResponseReceivedExtraInfo:
		c.one(e.RequestID).status = e.StatusCode
	case *runtime.EventExceptionThrown:
		c.faults = append(c.faults, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && !strings.HasPrefix(e.Entry.Text, "Failed to load resource: ") {
			c.faults = append(c.faults, e.Entry.Text)
		}
	}
}

func (c *chromiumTab) one(id network.RequestID) *exchange {
	if c.exchanges[id] == nil {
		c.exchanges[id] = &exchange{}
	}
	return c.exchanges[id]
}

// exchange finds what is known of the request to an address.
func (c *chromiumTab) exchange(address string) exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.exchanges {
		if e.url == address {
			return *e
		}
	}
	return exchange{}
}

// documents and complaints are what was visited since the last open, and the console's errors.
func (c *chromiumTab) documents() []string  { return c.list(&c.visited) }
func (c *chromiumTab) complaints() []string { return c.list(&c.faults) }

func (c *chromiumTab) list(of *[]string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(*of)
}

// saw tells whether the last way led over a host.
func (c *chromiumTab) saw(host string) bool {
	return slices.ContainsFunc(c.documents(), func(s string) bool { return strings.HasPrefix(s, "https://"+host) })
}

// isQuiet fails for every error in the console, such as a violation of a page's policy, that is not expected.
func (c *chromiumTab) isQuiet(expected ...string) {
	c.t.Helper()
	for _, fault := range c.complaints() {
		if !slices.ContainsFunc(expected, func(s string) bool { return strings.Contains(fault, s) }) {
			c.t.Errorf("the console says: %s", fault)
		}
	}
}

// value runs one action, for ten seconds at most.
func value[T any](c *chromiumTab, action chromedp.Action[T]) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		c.t.Fatalf("%v, after %q", err, c.documents())
	}
	return v
}

func (c *chromiumTab) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	value(c, chromedp.Steps(steps...))
}

// open navigates and waits until the page at the end of all redirects is there.
func (c *chromiumTab) open(address string) {
	c.t.Helper()
	c.mu.Lock()
	c.visited = nil
	c.mu.Unlock()
	c.do(chromedp.Navigate(address))
}

// lands waits until the tab shows exactly this address.
func (c *chromiumTab) lands(address string) {
	c.t.Helper()
	eventually(c.t, "landing at "+address, func() bool {
		at, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](`document.readyState === "complete" ? location.href : ""`))
		return err == nil && at == address // an error: the page is just changing
	})
}

// signIn opens an address and does at the provider what a person does there, up to the address. Who has a second factor is photographed.
func (c *chromiumTab) signIn(name, address string) {
	c.t.Helper()
	c.open(address)
	if shared.User(name).TOTP != "" {
		c.shot("1-provider")
	}
	c.authenticate(name)
	c.lands(address)
}

// authenticate fills in the provider's pages.
func (c *chromiumTab) authenticate(name string) {
	c.t.Helper()
	person := shared.User(name)
	if at := value(c, chromedp.Location()); !strings.HasPrefix(at, "https://"+shared.idpHost()+"/") {
		c.t.Fatalf("signing in begins at %s", at)
	}
	button := chromedp.Click(chromedp.CSS("button"))
	c.do(chromedp.SendKeys(chromedp.CSS("#username"), person.Username), chromedp.SendKeys(chromedp.CSS("#password"), person.Password), button)
	if person.TOTP != "" {
		c.do(chromedp.WaitVisible(chromedp.CSS("#code")))
		c.shot("2-second-factor")
		code, err := totp.GenerateCode(person.TOTP, time.Now())
		if err != nil {
			c.t.Fatal(err)
		}
		c.do(chromedp.SendKeys(chromedp.CSS("#code"), code), button)
	}
}

func (c *chromiumTab) heading() string {
	c.t.Helper()
	return value(c, chromedp.TextContent(chromedp.CSS("h1")))
}

func (c *chromiumTab) greets(person string) {
	c.t.Helper()
	if got := c.heading(); got != "Hello, "+person {
		c.t.Errorf("the page says %q to %s", got, person)
	}
}

// fits fails where a page must be scrolled sideways.
func (c *chromiumTab) fits() {
	c.t.Helper()
	if wide := value(c, chromedp.Evaluate[int](`document.documentElement.scrollWidth - window.innerWidth`)); wide > 0 {
		c.t.Errorf("%q is %d px too wide", c.heading(), wide)
	}
}

// fetch is what a script in the page gets: the status and the text, or the error.
func (c *chromiumTab) fetch(address, options string) string {
	c.t.Helper()
	return value(c, chromedp.Evaluate[string](fmt.Sprintf(`fetch(%q, %s).then(async r => r.status + " " + await r.text(), String)`, address, options), chromedp.EvalAwaitPromise))
}

// socket has the page send "ping" to a product's WebSocket, and returns what comes back, or "refused".
func (c *chromiumTab) socket(product string) string {
	c.t.Helper()
	return value(c, chromedp.Evaluate[string](fmt.Sprintf(`new Promise(done => {
		const s = new WebSocket(%q);
		s.onopen = () => s.send("ping");
		s.onmessage = e => { done(e.data); s.close() };
		s.onerror = () => done("refused");
	})`, strings.Replace(shared.URL(product, "/ws"), "https:", "wss:", 1)), chromedp.EvalAwaitPromise))
}

// shot keeps a picture of what the tab shows, for people to look at, in the folder SHOTS or .shots of the project.
func (c *chromiumTab) shot(name string) {
	c.t.Helper()
	dir := cmp.Or(os.Getenv("SHOTS"), ".shots")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(shared.Root, dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), value(c, chromedp.CaptureScreenshot()), 0o644); err != nil {
		c.t.Fatal(err)
	}
}
