package world

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// ticketFor signs somebody in from a target at the issue tracker and returns the address of the hand-over, unvisited.
func ticketFor(t *testing.T, b *Browser, name, target string) string {
	t.Helper()
	to := begin(t, b, name, shared.URL("issues", target))
	if strings.Contains(to, "/.isogate/enter?") {
		return to // signed in at the auth host already
	}
	a := must(t)(b.Step(to))
	if to = a.Header.Get("Location"); !strings.Contains(to, "/.isogate/enter?") {
		t.Fatalf("the callback answered %d, and leads to %q\n%.300s", a.Status, to, a.Body)
	}
	return to
}

// flowsAt are the flow cookies of a host, as somebody who stole or guessed them would plant them.
func flowsAt(b *Browser, name string) map[string]string {
	out := map[string]string{}
	for cookie, value := range b.Cookies(shared.URL(name, "/")) {
		if strings.HasPrefix(cookie, flowCookie) {
			out[cookie] = value
		}
	}
	return out
}

// wantRefused demands that a hand-over came to nothing.
func wantRefused(t *testing.T, b *Browser, a Answer) {
	t.Helper()
	wantPage(t, a, 400, startAgain)
	if len(a.Header.Values("Set-Cookie")) != 0 || hasSession(b, a.URL.Hostname()[:strings.Index(a.URL.Hostname(), ".")]) {
		t.Errorf("%s: cookies %q", a.URL.Path, a.Header.Values("Set-Cookie"))
	}
}

func TestTicketWorksOnce(t *testing.T) {
	b := watched(t)
	enter := ticketFor(t, b, "bob", "/once?a=b")
	proof := flowsAt(b, "issues")
	if a := must(t)(b.Step(enter)); a.Status != 303 || a.Header.Get("Location") != shared.URL("issues", "/once?a=b") || flowsOf(b, "issues") != 0 {
		t.Fatalf("%d to %s", a.Status, a.Header.Get("Location"))
	}
	before := handle(b, "issues")
	wantPage(t, must(t)(b.Step(enter)), 400, startAgain)
	for name, value := range proof { // the browser's history and its old cookies are in somebody's hands
		b.SetCookie(shared.URL("issues", "/"), name, value)
	}
	wantPage(t, must(t)(b.Step(enter)), 400, startAgain)
	if handle(b, "issues") != before || status(t, b, shared.URL("issues", "/whoami")) != 200 {
		t.Error("the replay changed the session")
	}
	other := watched(t)
	for name, value := range proof {
		other.SetCookie(shared.URL("issues", "/"), name, value)
	}
	wantRefused(t, other, must(t)(other.Step(enter)))
}

// Two tabs were sent to sign in; when the second comes back, the first is loading its page.
func TestSecondHandOverKeepsTheHandle(t *testing.T) {
	b := watched(t)
	first, second := ticketFor(t, b, "bob", "/first"), ticketFor(t, b, "bob", "/second")
	must(t)(b.Step(first))
	before := handle(b, "issues")
	if a := must(t)(b.Step(second)); a.Header.Get("Location") != shared.URL("issues", "/second") || flowsOf(b, "issues") != 0 {
		t.Errorf("%d to %s, %d flow cookies are left", a.Status, a.Header.Get("Location"), flowsOf(b, "issues"))
	}
	if handle(b, "issues") != before || status(t, bearer(t, "issues", before), shared.URL("issues", "/whoami")) != 200 {
		t.Error("the first tab's handle is dead")
	}
}

// A session that the host is in already gives way to the one that signs in now, and its handle dies.
func TestHandOverReplacesAnotherSession(t *testing.T) {
	b, mallory := watched(t), person(t, "alice")
	enter, planted := ticketFor(t, b, "bob", "/whoami"), handle(mallory, "issues")
	b.SetCookie(shared.URL("issues", "/"), handleCookie, planted)
	if e := echoOf(t, must(t)(b.Open(enter))); e.Claims["name"] != "Bob Birch" || handle(b, "issues") == planted {
		t.Errorf("entered as %v", e.Claims["name"])
	}
	if got := status(t, bearer(t, "issues", planted), shared.URL("issues", "/whoami")); got != 401 {
		t.Errorf("the planted handle: %d", got)
	}
}

// A ticket is bound to the browser that began: whoever else brings it, it is dead from then on (CVE-2022-39222 of dex is the same matter).
func TestTicketInAnotherBrowser(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(thief *Browser)
	}{
		{"without a flow cookie", func(*Browser) {}},
		{"with a flow cookie of its own", func(thief *Browser) { must(t)(thief.Step(shared.URL("issues", "/"))) }},
		{"with a flow cookie of the same name", func(thief *Browser) {
			thief.SetCookie(shared.URL("issues", "/"), flowCookie+"00000000000aaaaaa", "AAAAAAAAAAAAAAAAAAAAAA")
		}},
		{"signed in as somebody else", func(thief *Browser) { must(t)(thief.SignIn(shared.User("alice"), shared.URL("wiki", "/"))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, thief := watched(t), watched(t)
			enter := ticketFor(t, b, "bob", "/private")
			c.plant(thief)
			wantRefused(t, thief, must(t)(thief.Step(enter)))
			wantRefused(t, b, must(t)(b.Step(enter))) // dead for the right browser too
			if e := echoOf(t, must(t)(b.Open(shared.URL("issues", "/private")))); e.Claims["name"] != "Bob Birch" {
				t.Errorf("afterwards: %v", e.Claims["name"])
			}
		})
	}
}

func TestTwoFlowCookiesOfOneName(t *testing.T) {
	b := watched(t)
	enter := ticketFor(t, b, "bob", "/")
	for name := range flowsAt(b, "issues") {
		a := must(t)(b.Do("GET", enter, Navigation, map[string]string{"Cookie": name + "=AAAAAAAAAAAAAAAAAAAAAA"}, ""))
		wantPage(t, a, 400, "not valid")
		if hasSession(b, "issues") {
			t.Error("a session was opened")
		}
	}
	if a := must(t)(b.Open(enter)); a.Status != 200 { // the ticket was not touched
		t.Errorf("afterwards: %d", a.Status)
	}
}

func TestTicketOfAnotherHost(t *testing.T) {
	b := watched(t)
	enter := ticketFor(t, b, "bob", "/")
	must(t)(b.Step(shared.URL("wiki", "/"))) // so that there is a flow at the wiki too
	for name, value := range flowsAt(b, "issues") {
		b.SetCookie(shared.URL("wiki", "/"), name, value)
	}
	wantRefused(t, b, must(t)(b.Step(strings.Replace(enter, "//issues.", "//wiki.", 1))))
	wantRefused(t, b, must(t)(b.Step(enter)))
	atAuth := ticketFor(t, b, "bob", "/")
	if a := must(t)(b.Step(strings.Replace(atAuth, "//issues.", "//auth.", 1))); a.Status != 400 {
		t.Errorf("at the auth host: %d", a.Status)
	}
}

func TestTicketsThatWereNeverGiven(t *testing.T) {
	b := watched(t)
	enter := ticketFor(t, b, "bob", "/x")
	base, ticket, _ := strings.Cut(enter, "?ticket=")
	u, _ := url.Parse(must(t)(b.Step(shared.URL("issues", "/"))).Header.Get("Location"))
	for name, query := range map[string]string{
		"none": "", "empty": "?ticket=", "forged": "?ticket=" + strings.Repeat("A", 43), "truncated": "?ticket=" + ticket[:42], "longer": "?ticket=" + ticket + "A",
		"padded": "?ticket=" + ticket + "=", "doubled": "?ticket=" + ticket + "&ticket=" + ticket, "doubled with another": "?ticket=A&ticket=" + ticket,
		"by another name": "?Ticket=" + ticket, "after a semicolon": "?a;ticket=" + ticket, "flow": "?ticket=" + u.Query().Get("flow"),
		"handle": "?ticket=" + handle(b, "auth"), "broken escape": "?ticket=%zz", "line break": "?ticket=%0a" + ticket, "huge": "?ticket=" + strings.Repeat("A", 20000),
	} {
		a := must(t)(b.Step(base + query))
		if a.Status < 400 || a.Status >= 500 || hasSession(b, "issues") || len(a.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: %d, cookies %q", name, a.Status, a.Header.Values("Set-Cookie"))
		}
	}
	for _, kind := range []map[string]string{Fetch, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, nil} {
		if a := must(t)(b.Do("GET", enter, kind, nil, "")); a.Status != 401 || hasSession(b, "issues") {
			t.Errorf("%v: %d", kind, a.Status)
		}
	}
	if e := echoOf(t, must(t)(b.Open(enter))); e.Target != "/x" { // none of it took the ticket
		t.Errorf("afterwards: %s", e.Target)
	}
}

// Login CSRF: an attacker begins, and has a victim go on. Neither may end in a session at the product through it.
func TestFlowOfAnAttackerGivenToAVictim(t *testing.T) {
	for _, known := range []bool{false, true} {
		attacker, victim := watched(t), watched(t)
		link := must(t)(attacker.Step(shared.URL("issues", "/whoami"))).Header.Get("Location")
		var a Answer
		if known {
			must(t)(victim.SignIn(shared.User("bob"), shared.URL("wiki", "/")))
			a = must(t)(victim.Open(link))
		} else {
			a = must(t)(victim.SignIn(shared.User("bob"), link))
		}
		wantRefused(t, victim, a)
		wantRefused(t, attacker, must(t)(attacker.Step(a.URL.String()))) // even if the attacker saw where the victim was led
		if hasSession(victim, "issues") || hasSession(attacker, "issues") || knownAtAuth(t, attacker) {
			t.Errorf("a session came of it (victim known: %v)", known)
		}
	}
}

// The other way round: the attacker signs in and has the victim finish, to work in the attacker's account.
func TestAnswerOfAnAttackerGivenToAVictim(t *testing.T) {
	attacker, victim := watched(t), person(t, "bob")
	callback := begin(t, attacker, "alice", shared.URL("issues", "/whoami"))
	before := handle(victim, "auth")
	e := echoOf(t, must(t)(victim.Open(callback)))
	if e.Claims["name"] != "Bob Birch" || handle(victim, "auth") != before {
		t.Errorf("the victim is now %v", e.Claims["name"])
	}
	fresh := watched(t)
	wantRefused(t, fresh, must(t)(fresh.Open(callback)))
	must(t)(fresh.Open(shared.URL("issues", "/"))) // has flows of its own at both hosts
	wantRefused(t, fresh, must(t)(fresh.Open(callback)))
	enter := ticketFor(t, attacker, "alice", "/")
	wantPage(t, must(t)(victim.Step(enter)), 400, startAgain)
	if e := echoOf(t, must(t)(victim.Open(shared.URL("issues", "/whoami")))); e.Claims["name"] != "Bob Birch" {
		t.Errorf("a failed hand-over made the victim %v", e.Claims["name"])
	}
}

func TestSealedValuesInTheWrongPlace(t *testing.T) {
	b := watched(t)
	sealed, _ := url.Parse(must(t)(b.Step(shared.URL("issues", "/"))).Header.Get("Location"))
	flow := sealed.Query().Get("flow")
	begun, _ := url.Parse(must(t)(b.Step(sealed.String())).Header.Get("Location"))
	state := begun.Query().Get("state")
	signIn := shared.URL("auth", "/.isogate/signin?flow=")
	for name, address := range map[string]string{
		"state as flow": signIn + state, "empty flow": signIn, "flipped": signIn + flip(flow, len(flow)/2), "flipped at the end": signIn + flip(flow, len(flow)-2),
		"flipped at the start": signIn + flip(flow, 0), "cut": signIn + flow[:len(flow)-4], "doubled": signIn + flow + "&flow=" + flow,
		"flow as state": shared.URL("auth", "/.isogate/callback?code=x&state=") + flow, "an address": signIn + url.QueryEscape("https://evil.example/"),
	} {
		a := must(t)(b.Step(address))
		if a.Status != 400 || len(a.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: %d to %q", name, a.Status, a.Header.Get("Location"))
		}
	}
	// What a person can write beside the flow leads nowhere.
	for _, extra := range []string{"&rd=https://evil.example", "&redirect_uri=https://evil.example", "&next=//evil.example", "&host=evil.example"} {
		a := must(t)(b.Step(signIn + flow + extra))
		if strings.Contains(a.Header.Get("Location"), "evil") {
			t.Errorf("%s is led to %s", extra, a.Header.Get("Location"))
		}
	}
}

// flip changes one character of a base64url text.
func flip(s string, at int) string {
	other := byte('A')
	if s[at] == other {
		other = 'B'
	}
	return s[:at] + string(other) + s[at+1:]
}

// Targets that some browser or some parser takes for another host. They are sent as they stand: no client of ours repairs them. See
// GHSA-qqxw-m5fj-f7gv and GHSA-4mf2-f3wh-gvf2 of oauth2-proxy.
func TestTargetsThatNameAnotherHost(t *testing.T) {
	for _, target := range []string{
		"//evil.example", "///evil.example", "////evil.example/%2e%2e", `/\evil.example`, `/\/evil.example`, `//\evil.example`, `\\evil.example`,
		"/%2f%2fevil.example", "/%2fevil.example", "/%5cevil.example", "/%5c%5cevil.example", "https:evil.example", "https://evil.example/", "https:/evil.example",
		"//evil.example%2f..", "/.evil.example", "/@evil.example", "/:443@evil.example", "/%40evil.example", "/%09/evil.example", "/%0d%0aLocation:%20https://evil.example",
		"/\t/evil.example", "/.//evil.example", "/./\\evil.example", "/..//evil.example", "/;//evil.example", "/;@evil.example", "/?//evil.example", "/#//evil.example",
		"/%2e%2e//evil.example", "/%E3%80%82evil.example", "/\u3002evil.example", "/x/..//evil.example", "//evil.example@issues." + Domain, "/%252fevil.example", "evil.example",
		"/javascript:alert(1)", "/%00//evil.example", "/ /evil.example", "/.%09/evil.example",
	} {
		location, code, err := raw(target)
		if err != nil || code >= 400 {
			continue // refused at once
		}
		if !strings.HasPrefix(location, shared.URL("auth", "/.isogate/signin?flow=")) && code != 200 {
			t.Errorf("%q: %d to %q", target, code, location)
			continue
		}
		b := watched(t)
		wantHome(t, b, target, location)
	}
}

// wantHome goes through the whole sign-in with a target that somebody else's request began, and again with cookies of one's own.
func wantHome(t *testing.T, b *Browser, target, location string) {
	t.Helper()
	if location != "" { // the flow began elsewhere: it must end at a page of ours
		if a := must(t)(b.SignIn(shared.User("bob"), location)); !strings.HasSuffix(a.URL.Hostname(), "."+Domain) {
			t.Errorf("%q: the browser is at %s", target, a.URL)
		}
	}
	b = watched(t)
	page, err := b.Open(shared.URL("issues", "/") + strings.TrimPrefix(target, "/"))
	if err != nil || !strings.Contains(page.Body, `name="password"`) {
		return
	}
	a := must(t)(b.Authenticate(shared.User("bob"), page))
	to, err := url.Parse(b.landed())
	if err != nil || a.URL.Host != shared.hosts()["issues"] || to.Host != shared.hosts()["issues"] || strings.HasPrefix(to.Path, "//") {
		t.Errorf("%q: led to %q, the browser is at %s", target, b.landed(), a.URL)
	}
}

// raw sends a navigation with exactly this target over HTTP/1.1.
func raw(target string) (location string, code int, err error) {
	host := shared.hosts()["issues"]
	conn, err := tls.Dial("tcp", shared.Edge(), &tls.Config{RootCAs: shared.CA.Pool(), ServerName: "issues." + Domain, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return "", 0, err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\nConnection: close\r\n\r\n", target, host)
	if err != nil {
		return "", 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	return response.Header.Get("Location"), response.StatusCode, nil
}
