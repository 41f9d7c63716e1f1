package signin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/session"
)

// handed is somebody who signed in as far as the way to a service, and the ticket for it.
func (r *outside) handed() (p person, ticket string) {
	r.t.Helper()
	p = r.person()
	answer := r.clouds["acme"].authorize(p.begins(supportHost, "/x", "a=b", "kim@acme.example"), "kim")
	ticket = p.get(callbackOf(answer)).led(r.t).Query().Get("ticket")
	if ticket == "" {
		r.t.Fatal("no ticket")
	}
	return p, ticket
}

func enter(host, ticket string) string {
	return "https://" + host + PathEnter + "?" + url.Values{"ticket": {ticket}}.Encode()
}

// A ticket opens at its host, for its browser, for 30 s.
func TestTicketOutside(t *testing.T) {
	r := newOutside(t)
	owner, ticket := r.handed()
	stranger := r.person()
	stranger.visit(supportHost, "/", "") // has a flow cookie there too
	cases := map[string]struct {
		in     person
		at     string
		after  time.Duration
		enters bool
	}{
		"as it is":                 {owner.copied(), enter(supportHost, ticket), 0, true},
		"at the last moment":       {owner.copied(), enter(supportHost, ticket), 29 * time.Second, true},
		"too late":                 {owner.copied(), enter(supportHost, ticket), 30 * time.Second, false},
		"another browser":          {stranger, enter(supportHost, ticket), 0, false},
		"a browser without cookie": {r.person(), enter(supportHost, ticket), 0, false},
		"another service":          {owner.copied(), enter(academyHost, ticket), 0, false},
		"the identity host":        {owner.copied(), enter(identityHost, ticket), 0, false},
		"a closed service":         {owner.copied(), enter(closedHost, ticket), 0, false},
		"cut":                      {owner.copied(), enter(supportHost, ticket[1:]), 0, false},
		"longer":                   {owner.copied(), enter(supportHost, ticket+"A"), 0, false},
		"with a line break":        {owner.copied(), enter(supportHost, ticket+"\n"), 0, false},
		"empty":                    {owner.copied(), enter(supportHost, ""), 0, false},
		"absent":                   {owner.copied(), atSupport + PathEnter, 0, false},
		"twice":                    {owner.copied(), enter(supportHost, ticket) + "&ticket=" + ticket, 0, false},
	}
	for at := 0; at < len(ticket); at += len(ticket) / 16 {
		cases[fmt.Sprintf("flipped at %d", at)] = struct {
			in     person
			at     string
			after  time.Duration
			enters bool
		}{owner.copied(), enter(supportHost, flipped(ticket, at)), 0, false}
	}
	began := r.clock.nanos.Load()
	for name, tt := range cases {
		r.clock.nanos.Store(began + int64(tt.after))
		for _, host := range []string{academyHost, closedHost, identityHost} { // the flow cookie of support, wherever it could be tried
			for name, value := range tt.in.jar[supportHost] {
				tt.in.jar.keep(host, []*http.Cookie{{Name: name, Value: value}})
			}
		}
		got := tt.in.get(tt.at)
		entered := got.location == atSupport+"/x?a=b" && tt.in.at(supportHost).Subject == "kim"
		if entered != tt.enters || !tt.enters && strings.Contains(strings.Join(got.header.Values("set-cookie"), " "), session.OutsideCookie) {
			t.Errorf("%s: %d %s, entered %t", name, got.status, got.reason(), entered)
		}
	}
}

// notEntered brings a ticket that opens nothing here. The page that says so stands at an address without it: a script of the service that has
// opened the window could read it there, and give it to the browser that it was made for.
func (p person) notEntered(at string) response {
	p.t.Helper()
	got := p.get(at)
	if got.status != http.StatusSeeOther || got.location != strings.Split(at, "?")[0] || strings.Contains(got.body, "ticket") {
		p.t.Errorf("%d, to %s", got.status, got.location)
	}
	return p.get(got.location)
}

// A ticket that a browser brought cannot be brought by it again: its flow cookie is gone. A living session is never replaced by a bad one.
func TestTicketOutsideIsSpent(t *testing.T) {
	r := newOutside(t)
	p, ticket := r.handed()
	p.get(enter(supportHost, ticket))
	before := p.jar[supportHost][session.OutsideCookie]
	if got := p.notEntered(enter(supportHost, ticket)); got.reason() != "start-again" || p.jar[supportHost][session.OutsideCookie] != before || before == "" {
		t.Errorf("again: %d %s", got.status, got.reason())
	}
}

// A session that ended during the hand-over is not entered.
func TestTicketOfASessionThatEnded(t *testing.T) {
	r := newOutside(t)
	r.clouds["acme"].lasts = 10 * time.Second
	p, ticket := r.handed()
	r.clock.advance(10 * time.Second)
	if got := p.notEntered(enter(supportHost, ticket)); got.reason() != "start-again" || p.jar[supportHost][session.OutsideCookie] != "" {
		t.Errorf("%d %s", got.status, got.reason())
	}
}

// Every kind of sealed value, in every other's place, even where one key seals them all.
func TestNoSealedValueOpensInAnothersPlace(t *testing.T) {
	r := newOutside(t)
	r.Sealed.Keys = r.Seal
	p, ticket := r.handed()
	fresh := r.person()
	location := fresh.visit(supportHost, "/x", "")
	values := map[string]string{
		"flow": strings.TrimPrefix(location, atIdentity+PathSignIn+"?flow="), "ticket": ticket,
		"session of the identity host": p.jar[identityHost][session.OutsideCookie],
	}
	answer := r.clouds["acme"].authorize(fresh.begins(supportHost, "/x", "", "kim@acme.example"), "kim")
	values["state"] = answer.Get("state")
	p.get(enter(supportHost, ticket))
	values["session of a service"] = p.jar[supportHost][session.OutsideCookie]
	places := map[string]func(value string) bool{
		"flow": func(value string) bool {
			_, asks := buttons(fresh.copied().get(atIdentity + PathSignIn + "?" + url.Values{"flow": {value}}.Encode()))[PathSignIn]
			return asks
		},
		"state": func(value string) bool {
			q := url.Values{"state": {value}, "code": answer["code"], "iss": answer["iss"]}
			b := fresh.copied()
			b.get(callbackOf(q))
			return b.at(identityHost).Cloud != ""
		},
		"ticket": func(value string) bool {
			var opened outsideTicket
			return r.unsealFor(purposeOutsideTicket, supportHost, value, &opened) == nil
		},
		"session of the identity host": func(value string) bool { _, err := r.Sealed.Open(identityHost, value); return err == nil },
		"session of a service":         func(value string) bool { _, err := r.Sealed.Open(supportHost, value); return err == nil },
		"session of another service":   func(value string) bool { _, err := r.Sealed.Open(academyHost, value); return err == nil },
	}
	for kind, value := range values {
		for place, opens := range places {
			if want := kind == place; value == "" || opens(value) != want {
				t.Errorf("a %s in the place of a %s: opens %t", kind, place, !want)
			}
		}
	}
}

// ownFlow is the name of a flow cookie that a test makes.
const ownFlow = session.CookiePrefix + "_flow_00000000000aaaaaaaa"

// Where somebody comes back to is a path on a host of ours, whatever was sealed.
func TestTargetsOutside(t *testing.T) {
	r := newOutside(t)
	signedIn := r.person()
	signedIn.signsIn(supportHost, "kim")
	living := signedIn.jar[supportHost][session.OutsideCookie]
	for _, c := range []struct{ host, target string }{
		{supportHost, "//evil.example"}, {supportHost, "https://evil.example/"}, {supportHost, "@evil.example/"}, {supportHost, ""}, {supportHost, ".evil.example/"},
		{supportHost, ":1@evil.example/"}, {"evil.example", "/"}, {supportHost + ".evil.example", "/"}, {identityHost, "/"}, {identityHost, "/oauth2/authorize"},
		{"", "/"}, {supportHost + ":1", "/"}, {strings.ToUpper(supportHost), "/"},
	} {
		sealed, err := r.seal(purposeFlow, flow{Host: c.host, Target: c.target, Proof: proof("x"), Expires: r.clock.now().Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.person().get(atIdentity + PathSignIn + "?flow=" + sealed); got.reason() != "start-again" {
			t.Errorf("a flow to %s%s: %d", c.host, c.target, got.status)
		}
		ticket, err := r.sealFor(purposeOutsideTicket, supportHost, outsideTicket{Session: living, Proof: proof("x"), Target: c.target, Expires: r.clock.now().Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		p := r.person()
		p.jar.keep(supportHost, []*http.Cookie{{Name: ownFlow, Value: "x"}})
		path := c.target == "/" || c.target == "/oauth2/authorize"
		if got := p.get(enter(supportHost, ticket)); path && got.location != atSupport+c.target || !path && got.location != atSupport+PathEnter {
			t.Errorf("a ticket to %s: led to %s", c.target, got.location)
		}
	}
}

// A target is kept to the letter, and one that is too long for a state is given up, not the sign-in.
func TestLongTargets(t *testing.T) {
	for name, tt := range map[string]struct{ path, query, want string }{
		"plain":     {"/a%20b", "c=%2F&d={e}|f", "/a%20b?c=%2F&d={e}|f"},
		"long":      {"/x", strings.Repeat("a", 2000), "/x?" + strings.Repeat("a", 2000)},
		"too long":  {"/x", strings.Repeat("a", 5000), "/x"},
		"expanding": {"/x", strings.Repeat(`"`, 2000), "/"},
	} {
		r := newOutside(t)
		p := r.person()
		answer := r.clouds["acme"].authorize(p.begins(supportHost, tt.path, tt.query, "kim@acme.example"), "kim")
		if size := len(answer.Get("state")); size > 4<<10 {
			t.Errorf("%s: a state of %d bytes", name, size)
		}
		if entered := p.get(p.get(callbackOf(answer)).led(t).String()); entered.location != atSupport+tt.want {
			t.Errorf("%s: %d %s %q", name, entered.status, entered.reason(), entered.location)
		}
	}
}

// Signing out at a service clears its cookie with the attributes with which it was set, ends the grant, and leaves the identity host with none.
func TestSignOutOutside(t *testing.T) {
	for _, host := range []string{supportHost, identityHost} {
		r := newOutside(t)
		p := r.person()
		p.signsIn(supportHost, "kim")
		o, stolen := p.at(host), p.copied()
		asks := p.get("https://" + host + PathLogout)
		if _, button := buttons(asks)[PathLogout]; !button || p.at(host).Cloud == "" || len(r.clouds["acme"].living()) != 1 || len(asks.header.Values("set-cookie")) > 0 {
			t.Fatalf("%s: a GET: %d %s", host, asks.status, asks.reason())
		}
		got := p.post("https://"+host+PathLogout, url.Values{})
		if got.status != http.StatusOK || !strings.Contains(got.body, "within 1 minute") || !strings.Contains(got.body, "you stay signed in until you sign out there") {
			t.Errorf("%s: %d %s", host, got.status, got.reason())
		}
		if cookie := got.header.Values("set-cookie"); len(cookie) != 1 || cookie[0] != session.OutsideCookie+"=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax" {
			t.Errorf("%s: %v", host, cookie)
		}
		if len(r.clouds["acme"].living()) != 0 || !r.Grants.Ended(o.Cloud, o.Grant) {
			t.Errorf("%s: the grant lives", host)
		}
		for name, b := range map[string]person{"this browser": p, "a stolen cookie": stolen} {
			if _, asks := buttons(b.get(b.visit(academyHost, "/", "")))[PathSignIn]; !asks || b.at(identityHost).Cloud != "" {
				t.Errorf("%s: %s is still signed in", host, name)
			}
		}
	}
}

// At a shared computer the sign-out holds although the cloud does not hear of it; nobody waits for it for long, and the log says why, without a
// token.
func TestSignOutWhileTheCloudIsDown(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	p.signsIn(supportHost, "kim")
	o := p.at(supportHost)
	r.clouds["acme"].change(func(c *cloud) { c.instead[cloudRevoke], c.instead[cloudSession] = hangUp, hangUp })
	if got := p.post(atSupport+PathLogout, url.Values{}); got.status != http.StatusOK || p.at(supportHost).Cloud != "" || !strings.Contains(got.body, "could not be told") {
		t.Errorf("%d %s", got.status, got.reason())
	}
	if _, asks := buttons(p.get(p.visit(supportHost, "/", "")))[PathSignIn]; !asks {
		t.Error("the next person at this computer would be signed in")
	}
	if log := r.log.String(); !strings.Contains(log, "did not hear") || !strings.Contains(log, o.Cloud) || strings.Contains(log, o.Token) || strings.Contains(log, o.Grant) || strings.Contains(log, "kim") {
		t.Errorf("the log: %s", log)
	}
}

// Who has no session at a host is led to where they have one, if anywhere.
func TestSignOutWithoutASession(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	p.signsIn(supportHost, "kim")
	if got := p.get("https://" + academyHost + PathLogout); got.location != atIdentity+PathLogout {
		t.Errorf("at another service: %d %q", got.status, got.location)
	}
	if got := p.post("https://"+academyHost+PathLogout, url.Values{}); got.led(t).String() != atIdentity+PathLogout || got.status != http.StatusOK {
		t.Errorf("posted there: %d", got.status)
	}
	if len(r.clouds["acme"].living()) != 1 {
		t.Error("signed out")
	}
	stranger := r.person()
	stranger.jar.keep(identityHost, []*http.Cookie{{Name: session.OutsideCookie, Value: "garbage"}})
	got := stranger.get(atIdentity + PathLogout)
	if !strings.Contains(got.body, "You are signed out") || stranger.jar[identityHost][session.OutsideCookie] != "" {
		t.Errorf("a stranger: %d %s", got.status, got.reason())
	}
	for _, cookies := range []string{session.OutsideCookie + "=a; " + session.OutsideCookie + "=b", "__Host-isogate_flow_1=a; __Host-isogate_flow_1=b"} {
		request, err := http.NewRequest(http.MethodGet, atIdentity+PathLogout, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("cookie", cookies)
		if w := record(r, request); w.Code != http.StatusBadRequest {
			t.Errorf("doubled cookies: %d", w.Code)
		}
	}
}
