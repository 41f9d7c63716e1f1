package world

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/net/html"

	"isogate/envoy/daemon"
	"isogate/examples/idp"
)

// Browser is a client that behaves as a browser does where it matters here: it keeps cookies, says by fetch metadata what kind of request it
// makes, and follows redirects one by one. It trusts the world's CA alone and dials where the world says.
type Browser struct {
	client *http.Client
	jar    http.CookieJar
	knows  daemon.Connect // the names that are there
}

// Answer is what came back.
type Answer struct {
	Status int
	Proto  string
	URL    *url.URL // that answered
	Header http.Header
	Body   string
	Via    []string       // the addresses that redirected here, in order
	Set    []*http.Cookie // that were set on the way here, in order
	Leaf   string         // who issued the server's certificate, and for whom
}

// maxHops is more than any of our ways needs; a loop is an error.
const maxHops = 12

// Browser opens a new browser, without any cookie.
func (w *World) Browser() *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it cannot fail without options
	}
	knows := daemon.Connect(w.Connect())
	client := knows.Client(w.CA.Pool())
	client.Jar, client.Timeout = jar, 15*time.Second
	return &Browser{client: client, jar: jar, knows: knows}
}

// Kinds of requests, as fetch metadata tells them.
var (
	Navigation = map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none", "Accept": "text/html,*/*;q=0.8"}
	Fetch      = map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Accept": "*/*"}
)

// Do sends one request and follows nothing. Headers are kind's, then extra's; the extra header Host names another :authority.
func (b *Browser) Do(method, address string, kind, extra map[string]string, body string) (Answer, error) {
	request, err := http.NewRequest(method, address, bytes.NewReader([]byte(body)))
	if err != nil {
		return Answer{}, err
	}
	for _, set := range []map[string]string{kind, extra} {
		for name, value := range set {
			request.Header.Set(name, value)
			if name == "Host" {
				request.Host = value
			}
		}
	}
	response, err := b.client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Status: response.StatusCode, Proto: response.Proto, URL: response.Request.URL, Header: response.Header, Body: string(text), Set: response.Cookies()}
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		a.Leaf = response.TLS.PeerCertificates[0].Subject.CommonName
	}
	return a, nil
}

// Get is a request that says nothing of itself, as a script's.
func (b *Browser) Get(address string) (Answer, error) { return b.Do("GET", address, nil, nil, "") }

// Step is a navigation that does not follow what it is told.
func (b *Browser) Step(address string) (Answer, error) {
	return b.Do("GET", address, Navigation, nil, "")
}

// Open navigates and follows redirects to the page that is shown in the end.
func (b *Browser) Open(address string) (Answer, error) {
	a, err := b.Step(address)
	if err != nil {
		return a, err
	}
	return b.Follow(a)
}

// Follow goes on from an answer while it redirects, by its status or by a page that refreshes at once. It ends at the answer that leads out
// of the world.
func (b *Browser) Follow(a Answer) (Answer, error) {
	via, set := append([]string(nil), a.Via...), a.Set
	for target := a.Leads(); target != ""; target = a.Leads() {
		next, err := a.URL.Parse(target)
		if err != nil {
			return a, err
		}
		if _, there := b.knows[next.Host]; !there {
			break
		}
		if len(via) == maxHops {
			return a, fmt.Errorf("world: more than %d redirects, the last to %s", maxHops, target)
		}
		via = append(via, a.URL.String())
		if a, err = b.Step(next.String()); err != nil {
			return a, err
		}
		set = append(set, a.Set...)
	}
	a.Via, a.Set = via, set
	return a, nil
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)

// Leads is where an answer leads by itself, "" if nowhere.
func (a Answer) Leads() string {
	if a.Status >= 300 && a.Status < 400 {
		return a.Header.Get("Location")
	}
	if m := refresh.FindStringSubmatch(a.Body); m != nil && a.Status == http.StatusOK {
		return html.UnescapeString(m[1])
	}
	return ""
}

// SignIn opens an address as somebody who is not signed in, gives name, password and, where it is asked for, the second factor, and returns
// the page that they land on.
func (b *Browser) SignIn(u idp.User, address string) (Answer, error) {
	page, err := b.Open(address)
	if err != nil {
		return page, err
	}
	return b.Authenticate(u, page)
}

// Authenticate fills in the identity provider's pages from the one that is shown.
func (b *Browser) Authenticate(u idp.User, page Answer) (Answer, error) {
	if !strings.Contains(page.Body, `name="password"`) {
		return page, fmt.Errorf("world: %s (%d) is no sign-in page:\n%.400s", page.URL.Path, page.Status, page.Body)
	}
	page, err := b.Submit(page, map[string]string{"username": u.Username, "password": u.Password})
	if err != nil || !strings.Contains(page.Body, `name="code"`) {
		return page, err
	}
	if u.TOTP == "" {
		return page, errors.New("world: a second factor is asked of somebody who has none")
	}
	code, err := totp.GenerateCode(u.TOTP, time.Now())
	if err != nil {
		return page, err
	}
	return b.Submit(page, map[string]string{"code": code})
}

// Cookies are what the browser would send to an address, by name.
func (b *Browser) Cookies(address string) map[string]string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for _, c := range b.jar.Cookies(u) {
		out[c.Name] = c.Value
	}
	return out
}

// SetCookie plants a cookie, as a test that plays the attacker needs.
func (b *Browser) SetCookie(address, name, value string) {
	if u, err := url.Parse(address); err == nil {
		b.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
	}
}

// User finds one of the world's people.
func (w *World) User(name string) idp.User {
	for _, u := range w.Users {
		if u.Username == name {
			return u
		}
	}
	return idp.User{}
}
