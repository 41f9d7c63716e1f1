package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestRoutes(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	cases := []struct {
		host, path string
		route      string // as the check is told
		status     int
		body       string // its beginning
	}{
		{"issues", "/a?b=c", "product issues", 200, `{"Method":"GET","Path":"/a?b=c"`},
		{"wiki", "/", "product wiki", 200, `{"Method":"GET"`},
		{"ISSUES", "/", "product issues", 200, `{"Method":"GET"`},
		{"issues", "/.isogate/enter", "door issues", 200, "door /.isogate/enter"},
		{"issues", "/x/../.isogate/enter", "door issues", 200, "door /.isogate/enter"},
		{"issues", "//.isogate//enter", "door issues", 200, "door /.isogate/enter"},
		{"issues", "/.isogate", "product issues", 200, `{"Method":"GET","Path":"/.isogate"`},
		{"issues", "/.well-known/uct/jwks.json", "product issues", 200, `{"Method"`},
		{"auth", "/.isogate/signin", "door auth", 200, "door /.isogate/signin"},
		{"auth", "/.well-known/uct/jwks.json", "door auth", 200, "door /.well-known/uct/jwks.json"},
		{"auth", "/.well-known/uct/jwks.json/x", "none auth", 404, `{"type":"about:blank","title":"Not Found"`},
		{"auth", "/oauth2/session", "door auth", 200, "door /oauth2/session"},
		{"auth", "/oauth2/x/../session", "door auth", 200, "door /oauth2/session"},
		{"auth", "/oauth2/session/x", "oauth auth", 200, "oauth GET /oauth2/session/x"},
		{"auth", "/oauth2/sessions", "oauth auth", 200, "oauth GET /oauth2/sessions"},
		{"auth", "/oauth2/authorize?client_id=a&b=c%20d", "oauth auth", 200, "oauth GET /oauth2/authorize?client_id=a&b=c%20d 0"},
		{"auth", "/.well-known/openid-configuration", "oauth auth", 200, "oauth GET /.well-known/openid-configuration"},
		{"auth", "/.well-known/oauth-authorization-server", "oauth auth", 200, "oauth GET /.well-known/oauth-authorization-server"},
		{"auth", "/.well-known/oauth-authorization-server/x", "none auth", 404, `{"type":"about:blank"`},
		{"auth", "/oauth2", "none auth", 404, `{"type":"about:blank"`},
		{"auth", "/OAuth2/token", "none auth", 404, `{"type":"about:blank"`},
		{"issues", "/oauth2/token", "product issues", 200, `{"Method":"GET","Path":"/oauth2/token"`},
		{"other", "/oauth2/token", "nothing", 421, `{"type":"about:blank"`},
		{"auth", "/", "none auth", 404, `{"type":"about:blank","title":"Not Found"`},
		{"other", "/", "nothing", 421, `{"type":"about:blank","title":"Misdirected Request"`},
		{"other", "/.isogate/enter", "nothing", 421, `{"type":"about:blank"`},
	}
	for _, c := range cases {
		name := c.host + c.path
		w.check.tell(pass)
		response := w.get(t, c.host+"."+domain, c.path)
		if body := read(t, response); response.StatusCode != c.status || !strings.HasPrefix(body, c.body) {
			t.Errorf("%s: got %d %q", name, response.StatusCode, body)
		}
		questions := w.check.questions()
		if len(questions) != 1 {
			t.Errorf("%s: the check was asked %d times", name, len(questions))
			continue
		}
		if got := describe(questions[0]); got != c.route {
			t.Errorf("%s: the check was told %q, want %q", name, got, c.route)
		}
		if got := questions[0].GetAttributes().GetTlsSession().GetSni(); !strings.EqualFold(got, c.host+"."+domain) {
			t.Errorf("%s: the check was told the server name %q", name, got)
		}
		if got := questions[0].GetAttributes().GetSource().GetAddress().GetSocketAddress(); got.GetAddress() != "203.0.113.7" || got.GetPortValue() != 4711 {
			t.Errorf("%s: the check was told the address %v", name, got)
		}
	}
}

// A body far beyond Envoy's buffer passes, though routes may retry and Envoy keeps for that what it can.
func TestLargeBody(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	const size = 8 << 20
	response := w.raw(t, "issues."+domain, fmt.Sprintf("POST / HTTP/1.1\r\nHost: issues.%s\r\nContent-Length: %d\r\n\r\n%s", domain, size, strings.Repeat("x", size)))
	if got := seenBy(t, read(t, response)); got.Body != size {
		t.Errorf("the product got %d bytes", got.Body)
	}
}

// The part of path handling that Envoy does: check and product see one path, or nobody sees any.
func TestOnePath(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	cases := []struct{ sent, want string }{ // "" is a refusal
		{"/a/./b/../c", "/a/c"}, {"//a//b", "/a/b"}, {"/a/%2e%2e/b", "/b"}, {`/a\b`, "/a/b"}, {"/a/..;/b", "/b"}, {"/a%20b", "/a%20b"},
		{"/a%252fb", "/a%252fb"}, {"/a?x=/../b", "/a?x=/../b"}, {"/../../x", "/x"},
		{"/a%2fb", ""}, {"/a%5Cb", ""}, {"/a%00b", ""}, {"/a#f", ""}, {"a/b", ""}, {"*", ""},
	}
	for _, c := range cases {
		w.check.tell(pass)
		response := w.get(t, "issues."+domain, c.sent)
		if c.want == "" {
			if response.StatusCode < 400 || len(w.check.questions()) != 0 {
				t.Errorf("%s: got %d and %d questions, want a refusal", c.sent, response.StatusCode, len(w.check.questions()))
			}
			continue
		}
		product, check := seenBy(t, read(t, response)).Path, w.check.questions()[0].GetAttributes().GetRequest().GetHttp().GetPath()
		if product != c.want || check != c.want {
			t.Errorf("%s: the product saw %s and the check %s, want %s", c.sent, product, check, c.want)
		}
	}
}

// An upgrade passes only where a route allows it, and it ends within the product's limit.
func TestUpgrades(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	ask := func(host, path, protocol string) *http.Response {
		return w.get(t, host+"."+domain, path, "Connection: upgrade", "Upgrade: "+protocol)
	}
	for _, c := range []struct{ host, path, protocol string }{
		{"wiki", "/", "websocket"}, {"issues", "/", "other"}, {"issues", "/.isogate/x", "websocket"}, {"auth", "/", "websocket"}, {"auth", "/.isogate/x", "websocket"},
		{"auth", "/oauth2/authorize", "websocket"},
	} {
		if response := ask(c.host, c.path, c.protocol); response.StatusCode != 403 {
			t.Errorf("%v: got %d, want 403", c, response.StatusCode)
		}
	}
	if w.hits.Load() != 0 {
		t.Error("a refused upgrade reached a product")
	}
	conn := w.dial(t, "issues."+domain)
	_ = conn.SetDeadline(time.Now().Add(8 * time.Second))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: issues.%s\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", domain)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != 101 {
		t.Fatalf("got %v %v, want 101", response, err)
	}
	if got := response.Header.Values("Set-Cookie"); len(got) != 1 || got[0] != "a=1" {
		t.Errorf("the answer to the upgrade sets %q", got)
	}
	start := time.Now()
	_, err = reader.ReadByte()
	if took := time.Since(start); took > 4*time.Second || took < time.Second || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the stream ended after %s with %v, want 2 s", took, err)
	}
	if !errors.Is(err, io.EOF) {
		t.Logf("ended with %v", err)
	}
}

// What an OAuth client sends passes once and whole, but for a User Context Token: that one is the check's alone to give.
func TestOAuthServer(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	host := "auth." + domain
	form := strings.Repeat("x", 64<<10)
	post := func(path string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nX-User-Context-Token: forged\r\nContent-Length: %d\r\n\r\n%s", path, host, len(form), form)
	}
	if got, want := read(t, w.raw(t, host, post("/oauth2/token"))), "oauth POST /oauth2/token 65536 []"; got != want {
		t.Errorf("the OAuth server said %q, want %q", got, want)
	}
	w.check.tell(allowWith("x-user-context-token", "minted"))
	got, want := read(t, w.get(t, host, "/oauth2/authorize?a=b", "X-User-Context-Token: forged")), `oauth GET /oauth2/authorize?a=b 0 ["minted"]`
	if got != want {
		t.Errorf("the OAuth server said %q, want %q", got, want)
	}
	w.check.tell(deny(403, "no"))
	for _, path := range []string{"/oauth2/token", "/oauth2/session", "/oauth2/authorize", "/.well-known/openid-configuration"} {
		if response := w.get(t, host, path); response.StatusCode != 403 || read(t, response) != "no" {
			t.Errorf("%s passes the check: %d", path, response.StatusCode)
		}
	}
}

// The request log tells route, product and reason, and nothing personal: the query of an authorization request, too, stays out of it.
func TestRequestLog(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	read(t, w.get(t, "issues."+domain, "/personal?q=secret", "User-Agent: somebody"))
	read(t, w.get(t, "auth."+domain, "/oauth2/authorize?request_uri=secret&login_hint=personal", "User-Agent: somebody"))
	if err := w.envoy.Stop(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(w.envoy.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"route"`) {
			entries = append(entries, line)
		}
	}
	if len(entries) != 2 {
		t.Fatalf("%d entries, want 2: %s", len(entries), entries)
	}
	wanted := [][]string{{`"route":"issues"`, `"product":"issues"`}, {`"route":"auth.oauth"`, `"product":null`}}
	for i, entry := range entries {
		t.Log(entry)
		for _, want := range append(wanted[i], `"code":200`, `"method":"word"`, `"details":"via_upstream"`) {
			if !strings.Contains(entry, want) {
				t.Errorf("the log lacks %s: %s", want, entry)
			}
		}
		for _, personal := range []string{"personal", "secret", "somebody", "203.0.113.7", domain} {
			if strings.Contains(entry, personal) {
				t.Errorf("the log holds %q: %s", personal, entry)
			}
		}
	}
}
