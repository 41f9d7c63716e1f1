package world

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	handleCookie = "__Host-isogate_session"
	flowCookie   = "__Host-isogate_flow_"
)

// secrets are what passed through the browsers of these tests and may stand in no log: handles, proofs, tickets, sealed values, codes.
var secrets = struct {
	sync.Mutex
	seen map[string]string // what it is, by value
}{seen: map[string]string{}}

func secret(what, value string) {
	if len(value) < 16 { // shorter ones are no secret of ours, and would be found everywhere
		return
	}
	secrets.Lock()
	defer secrets.Unlock()
	secrets.seen[value] = what
}

// witness looks at every answer that a browser gets: it collects the secrets, and demands what holds of all answers.
type witness struct {
	t    *testing.T
	next http.RoundTripper

	mu    sync.Mutex
	enter string // where a hand-over led last, byte by byte
}

// watched is a browser with a witness.
func watched(t *testing.T) *Browser {
	t.Helper()
	warnings(t)
	b := shared.Browser()
	b.client.Transport = &witness{t: t, next: b.client.Transport}
	return b
}

// landed is the address to which the last hand-over led.
func (b *Browser) landed() string {
	w := b.client.Transport.(*witness)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.enter
}

var token = regexp.MustCompile(`eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}`)

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, c := range r.Cookies() {
		secret("cookie "+c.Name, c.Value)
	}
	noteQuery(r.URL)
	response, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	for _, c := range response.Cookies() {
		secret("cookie "+c.Name, c.Value)
	}
	if isOurs(r.URL.Hostname()) {
		w.judge(r, response)
	}
	return response, nil
}

// isOurs tells whether a host stands behind an Envoy of ours.
func isOurs(host string) bool {
	return strings.HasSuffix(host, "."+Domain) || strings.HasSuffix(host, "."+globex.domain) || slices.Contains(guarded(), host)
}

func noteQuery(u *url.URL) {
	for name, values := range u.Query() {
		if slices.Contains([]string{"flow", "state", "ticket", "code", "nonce", "code_challenge"}, name) {
			for _, value := range values {
				secret(name, value)
			}
		}
	}
}

// judge demands that no answer of ours is an accident, leads elsewhere, or lets the secrets of its address out.
func (w *witness) judge(r *http.Request, response *http.Response) {
	at := r.Method + " " + r.URL.Host + r.URL.Path
	if code := response.StatusCode; code >= 500 && code != 503 {
		w.t.Errorf("%s answered %d", at, code)
	}
	header := response.Header
	secretive := []string{"/.isogate/signin", "/.isogate/callback", "/.isogate/enter", "/.isogate/federated/callback"} // their addresses are secrets
	if slices.Contains(secretive, r.URL.Path) && (header.Get("Referrer-Policy") != "no-referrer" || header.Get("Cache-Control") != "no-store") {
		w.t.Errorf("%s: referrer policy %q, caching %q", at, header.Get("Referrer-Policy"), header.Get("Cache-Control"))
	}
	if r.URL.Path == "/oauth2/authorize" && response.StatusCode != 503 && // its pages have forms, whose Origin would be null without a referrer
		(!slices.Contains([]string{"no-referrer", "same-origin"}, header.Get("Referrer-Policy")) || header.Get("Cache-Control") != "no-store") {
		w.t.Errorf("%s: referrer policy %q, caching %q", at, header.Get("Referrer-Policy"), header.Get("Cache-Control"))
	}
	if response.StatusCode < 300 || response.StatusCode > 399 {
		return
	}
	to, err := url.Parse(header.Get("Location"))
	if err != nil || to.Scheme != "https" || !slices.Contains(hosts(), to.Host) || to.User != nil {
		w.t.Errorf("%s leads to %q (%v)", at, header.Get("Location"), err)
		return
	}
	noteQuery(to)
	if r.URL.Path == "/.isogate/enter" {
		w.mu.Lock()
		w.enter = header.Get("Location")
		w.mu.Unlock()
	}
}

// hosts are the only ones that a person may be sent to: the world's, and those of the OAuth clients.
func hosts() (out []string) {
	for _, address := range []string{shared.callback(), portalCallback} {
		if u, err := url.Parse(address); err == nil {
			out = append(out, u.Host)
		}
	}
	for host := range shared.Connect() {
		out = append(out, host)
	}
	return out
}

// flowsOf counts the flow cookies of a host.
func flowsOf(b *Browser, name string) (n int) {
	for cookie := range b.Cookies(shared.URL(name, "/")) {
		if strings.HasPrefix(cookie, flowCookie) {
			n++
		}
	}
	return n
}

// hasSession tells whether a browser holds a session cookie of a host.
func hasSession(b *Browser, name string) bool {
	return b.Cookies(shared.URL(name, "/"))[handleCookie] != ""
}

// wantPage demands a page of ours with a status and a word.
func wantPage(t *testing.T, a Answer, status int, word string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, word) || !strings.Contains(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s answered %d %s, want %d and a page that says %q:\n%.500s", a.URL.Path, a.Status, a.Header.Get("Content-Type"), status, word, a.Body)
	}
}

const startAgain = "Please start again"

// restored is one tab of a browser that opens an address of its own.
type restored struct {
	address, target string
	callback        string // the provider's answer, unvisited
	page            Answer
	err             error
}

func twenty() []*restored {
	var tabs []*restored
	for i := range 20 {
		target := fmt.Sprintf("/deep/%d?tab=%d", i, i)
		tabs = append(tabs, &restored{address: shared.URL([]string{"issues", "wiki"}[i%2], target), target: target})
	}
	return tabs
}

// together does something in all tabs at once.
func together(tabs []*restored, do func(*restored)) {
	var all sync.WaitGroup
	for _, one := range tabs {
		all.Go(func() { do(one) })
	}
	all.Wait()
}

// oauth2-proxy#3258, authservice#222, gateway#9820. A browser that restores its tabs opens all of them at once. One person signs in once, in whichever tab.
func TestTwentyTabsAtOnce(t *testing.T) {
	b := watched(t)
	tabs := twenty()
	together(tabs, func(one *restored) { one.page, one.err = b.Open(one.address) })
	for _, one := range tabs {
		if one.err != nil || !strings.Contains(one.page.Body, `name="password"`) {
			t.Fatalf("%s: %v, %d at %s", one.address, one.err, one.page.Status, one.page.URL)
		}
	}
	first := tabs[0]
	first.page, first.err = b.Authenticate(shared.User("bob"), first.page)
	together(tabs[1:], func(one *restored) { one.page, one.err = b.Open(one.page.URL.String()) }) // reloaded: the provider knows the person by now
	landed := 0
	for _, one := range tabs {
		switch {
		case one.err != nil:
			t.Errorf("%s: %v", one.address, one.err)
		case one.page.Status == 200:
			landed++
			if e := echoOf(t, one.page); e.Target != one.target {
				t.Errorf("%s landed on %s", one.address, e.Target)
			}
		default:
			wantPage(t, one.page, 400, startAgain)
		}
	}
	t.Logf("%d of 20 tabs landed on their own address", landed)
	if landed < 10 {
		t.Errorf("only %d of 20 tabs landed", landed)
	}
	wantOneSession(t, b)
}

// The provider knows the person and our session has ended, as on any morning: nobody asks anything, and all answers come back at once. They
// must end in one session, else signing out would leave the others alive.
func TestTwentyAnswersAtOnce(t *testing.T) {
	for _, first := range []bool{true, false} { // whether one comes back before the others
		b := watched(t)
		tabs := twenty()
		for _, one := range tabs {
			one.callback = begin(t, b, "bob", one.address)
		}
		if first {
			tabs[0].page, tabs[0].err = b.Open(tabs[0].callback)
			tabs = tabs[1:]
		}
		together(tabs, func(one *restored) { one.page, one.err = b.Open(one.callback) })
		for _, one := range tabs {
			if one.err != nil {
				t.Errorf("%s: %v", one.address, one.err)
			} else if e := echoOf(t, one.page); e.Target != one.target {
				t.Errorf("%s landed on %s", one.address, e.Target)
			}
		}
		wantOneSession(t, b)
	}
}

// wantOneSession demands that the session works at both products, is one, needs no flow any more, and ends at once.
func wantOneSession(t *testing.T, b *Browser) {
	t.Helper()
	var sids []any
	for _, name := range []string{"issues", "wiki"} {
		e := echoOf(t, must(t)(b.Open(shared.URL(name, "/whoami"))))
		sids = append(sids, e.Claims["sid"])
	}
	if sids[0] != sids[1] {
		t.Errorf("two sessions in one browser: %v", sids)
	}
	for _, name := range []string{"issues", "wiki", "auth"} {
		if n := flowsOf(b, name); n > 32 {
			t.Errorf("%d flow cookies are left at %s", n, name)
		} else if n > 0 {
			t.Logf("%d flow cookies are left at %s", n, name)
		}
	}
	signOut(t, b, "wiki")
	if got := status(t, b, shared.URL("issues", "/whoami")); got != 401 {
		t.Errorf("signed out at the wiki, and the issue tracker answers %d", got)
	}
}

// Tabs that come while the person is signed in elsewhere go through without a question.
func TestTwentyTabsOfASignedInPerson(t *testing.T) {
	b := watched(t)
	must(t)(b.SignIn(shared.User("bob"), shared.URL("auth", "/.isogate/signin")))
	forget(b, "issues", handleCookie)
	tabs := twenty()
	together(tabs, func(one *restored) { one.page, one.err = b.Open(one.address) })
	for _, one := range tabs {
		if one.err != nil {
			t.Errorf("%s: %v", one.address, one.err)
		} else if e := echoOf(t, one.page); e.Target != one.target {
			t.Errorf("%s landed on %s", one.address, e.Target)
		}
	}
	wantOneSession(t, b)
}

// forget removes a cookie from a browser.
func forget(b *Browser, name, cookie string) {
	u, _ := url.Parse(shared.URL(name, "/"))
	b.jar.SetCookies(u, []*http.Cookie{{Name: cookie, Path: "/", MaxAge: -1}})
}

// Pages poll in the background while their person signs in again.
func TestBackgroundFetchesDuringASignIn(t *testing.T) {
	b := watched(t)
	stop := make(chan struct{})
	var polling sync.WaitGroup
	for _, name := range []string{"issues", "wiki", "issues"} {
		polling.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := b.Do("GET", shared.URL(name, "/poll"), Fetch, nil, "")
				if err != nil || a.Status != 401 && a.Status != 200 {
					t.Errorf("%s: %d %v", name, a.Status, err)
				}
				for _, line := range a.Header.Values("Set-Cookie") {
					t.Errorf("a fetch at %s set %q", name, line)
				}
			}
		})
	}
	for _, name := range []string{"issues", "wiki"} {
		page := must(t)(b.Open(shared.URL(name, "/deep?x=y")))
		if page.Status == 200 && strings.Contains(page.Body, `name="password"`) {
			page = must(t)(b.Authenticate(shared.User("bob"), page))
		}
		if e := echoOf(t, page); e.Target != "/deep?x=y" || e.Name != name {
			t.Errorf("landed on %s %s", e.Name, e.Target)
		}
	}
	close(stop)
	polling.Wait()
	wantOneSession(t, b)
}

func TestAbandonedSignInsLeaveFewCookies(t *testing.T) {
	b := watched(t)
	for i := range 50 {
		a := must(t)(b.Step(shared.URL("issues", fmt.Sprintf("/page/%d", i))))
		must(t)(b.Step(a.Header.Get("Location"))) // to the provider, and no further
	}
	for _, name := range []string{"issues", "auth"} {
		if n := flowsOf(b, name); n > 32 || n < 16 {
			t.Errorf("%d flow cookies at %s, want at most 32, the newest", n, name)
		}
	}
	e := echoOf(t, must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", "/page/last"))))
	if e.Target != "/page/last" {
		t.Errorf("landed on %s", e.Target)
	}
}

func TestStrangeFlowCookiesDoNoHarm(t *testing.T) {
	b := watched(t)
	for _, name := range []string{"issues", "auth"} {
		b.SetCookie(shared.URL(name, "/"), flowCookie+"00000000000aaaaaa", "AAAAAAAAAAAAAAAAAAAAAA") // of 1970
		b.SetCookie(shared.URL(name, "/"), flowCookie+"zzzzzzzzzzzzzzzzz", "")
		b.SetCookie(shared.URL(name, "/"), flowCookie, strings.Repeat("x", 500))
		b.SetCookie(shared.URL(name, "/"), "__Host-isogate_unknown", "x")
		b.SetCookie(shared.URL(name, "/"), "__host-isogate_session", "x")
	}
	if e := echoOf(t, must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", "/whoami")))); e.Name != "issues" {
		t.Errorf("landed at %s", e.Name)
	}
}

// blocked is a jar that keeps nothing of our hosts, and of the provider's too if all is set.
type blocked struct {
	http.CookieJar
	all bool
}

func (j blocked) SetCookies(u *url.URL, cookies []*http.Cookie) {
	if !j.all && u.Host == shared.idpHost() {
		j.CookieJar.SetCookies(u, cookies)
	}
}

// A browser that keeps no cookies must come to rest at a page that says so.
func TestBlockedCookiesEndAtAClearPage(t *testing.T) {
	b := watched(t)
	b.client.Jar = blocked{b.jar, false}
	a := must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", "/whoami")))
	wantPage(t, a, 400, startAgain)
	if !strings.Contains(a.Body, "cookies are blocked") {
		t.Error("the page does not say why")
	}
	again := must(t)(b.Open(shared.URL("issues", "/whoami"))) // the provider knows the person by now: nothing stops a loop but us
	wantPage(t, again, 400, startAgain)
	if len(again.Via) > 8 {
		t.Errorf("%d hops: %q", len(again.Via), again.Via)
	}
	none := watched(t)
	none.client.Jar = blocked{none.jar, true}
	if a := must(t)(none.Open(shared.URL("issues", "/whoami"))); len(a.Via) > 8 || a.Status == 200 && !strings.Contains(a.Body, "password") {
		t.Errorf("%d after %d hops", a.Status, len(a.Via))
	}
}
