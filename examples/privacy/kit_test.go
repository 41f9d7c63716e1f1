package privacy

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"isogate/envoy/daemon"
	"isogate/examples/service"
	"isogate/examples/world"
)

// What people read on the buttons outside, and the cookie that holds the session there.
const (
	goOn     = "Continue"
	toAcme   = "Continue with Acme"
	standard = "Sign in with a password"
	sealed   = "__Host-isogate_federated"
)

// must unwraps an answer that a test cannot do without.
func must(t *testing.T) func(world.Answer, error) world.Answer {
	return func(a world.Answer, err error) world.Answer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// want demands a status.
func want(t *testing.T, what string, a world.Answer, status int) {
	t.Helper()
	if a.Status != status {
		t.Errorf("%s: %d at %s, want %d\n%.300s", what, a.Status, a.URL.Host+a.URL.Path, status, a.Body)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// at is an address outside.
func (s *stage) at(name, path string) string { return s.Platform.URL(name, path) }

// status is that of a script's request, 0 where the connection fails.
func (s *stage) status(b *world.Browser, address string) int {
	a, err := b.Do("GET", address, world.Fetch, nil, "")
	if err != nil {
		return 0
	}
	return a.Status
}

// echo is what a service says of a page that it gave.
func echo(t *testing.T, a world.Answer) (e service.Echo) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil || a.Status != 200 {
		t.Fatalf("%s (%d) is no echo: %v\n%.500s", a.URL, a.Status, err, a.Body)
	}
	return e
}

// lookup types an address at the identity host.
func (s *stage) lookup(t *testing.T, b *world.Browser, email string) world.Answer {
	t.Helper()
	return must(t)(b.Press(must(t)(b.Open(s.at("support", "/"))), goOn, map[string]string{"email": email}))
}

// federate opens an address outside as somebody, and does what the pages ask for.
func (s *stage) federate(t *testing.T, b *world.Browser, p person, address string) world.Answer {
	t.Helper()
	page := must(t)(b.Open(address))
	if strings.Contains(page.Body, `name="email"`) {
		page = must(t)(b.Press(page, goOn, map[string]string{"email": p.Email}))
		page = must(t)(b.Press(page, toAcme, nil))
	}
	if strings.Contains(page.Body, `name="password"`) {
		page = must(t)(b.Authenticate(p.User, page))
	}
	if strings.HasPrefix(page.URL.Path, "/oauth2/") && page.Status == 200 {
		page = must(t)(b.Press(page, goOn, nil))
	}
	return page
}

// member is a browser in which somebody is signed in at a service.
func (s *stage) member(t *testing.T, p person) *world.Browser {
	t.Helper()
	b := s.Browser()
	want(t, "signing in outside", s.federate(t, b, p, s.at("support", "/whoami")), 200)
	return b
}

// holder is a browser that holds nothing but a value as a cookie of a host outside.
func (s *stage) holder(name, cookie, value string) *world.Browser {
	b := s.Browser()
	b.SetCookie(s.at(name, "/"), cookie, value)
	return b
}

// post presses a button and follows nothing.
func post(t *testing.T, b *world.Browser, page world.Answer, label string) world.Answer {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(page.Body))
	if err != nil {
		t.Fatal(err)
	}
	for form := range tree.Descendants() {
		if form.Data != "form" || !strings.Contains(inner(form), label) {
			continue
		}
		fields := url.Values{}
		for node := range form.Descendants() {
			if node.Data == "input" || node.Data == "button" && strings.TrimSpace(inner(node)) == label && attribute(node, "name") != "" {
				fields.Set(attribute(node, "name"), attribute(node, "value"))
			}
		}
		to, err := page.URL.Parse(attribute(form, "action"))
		if err != nil {
			t.Fatal(err)
		}
		return must(t)(b.Do("POST", to.String(), world.Navigation, ownForm(to.Scheme+"://"+to.Host), fields.Encode()))
	}
	t.Fatalf("the page at %s (%d) has no button %q, but %q", page.URL.Path, page.Status, label, page.Buttons())
	return world.Answer{}
}

// ownForm are the headers of a form that a host's own page sends.
func ownForm(origin string) map[string]string {
	return map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": origin, "Sec-Fetch-Site": "same-origin"}
}

func inner(node *html.Node) (all string) {
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			all += n.Data
		}
	}
	return all
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// parsed reads an address that we were given.
func parsed(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// raw sends bytes to a host through the edge, inside of TLS, and gives what comes back. A name that the edge does not know is an error.
func (s *stage) raw(serverName, text string) (string, error) {
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: s.CA.Pool(), ServerName: serverName}}
	conn, err := dialer.Dial("tcp", s.Edge())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// http2 sends one request to the commercial Envoy itself, past the relay, which speaks HTTP/1.1 alone.
func (s *stage) http2(t *testing.T, method, address string, header map[string]string) int {
	t.Helper()
	u := parsed(t, address)
	client := daemon.Connect{u.Host: s.file.Platform.Listeners.Commercial}.Client(s.CA.Pool())
	defer client.CloseIdleConnections()
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s: %w", method, address, err))
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 {
		t.Fatalf("%s", answer.Proto)
	}
	return answer.StatusCode
}
