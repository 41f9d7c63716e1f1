package signin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/session"
)

// The whole way: a service, the identity host, the isolated cloud, and back.
func TestSignInOutside(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	at := p.begins(supportHost, "/x", "a=b", "kim@acme.example")
	handed := p.get(callbackOf(r.clouds["acme"].authorize(at, "sub-of-kim")))
	if !strings.HasPrefix(handed.location, atSupport+PathEnter+"?ticket=") || handed.status != http.StatusSeeOther {
		t.Fatalf("the callback: %d %q %s", handed.status, handed.location, handed.reason())
	}
	entered := p.get(handed.location)
	if entered.status != http.StatusSeeOther || entered.location != atSupport+"/x?a=b" {
		t.Fatalf("the service: %d %q %s", entered.status, entered.location, entered.reason())
	}
	for _, host := range []string{identityHost, supportHost} {
		o := p.at(host)
		now := r.clock.now().Truncate(time.Second)
		if o.Cloud != r.clouds["acme"].entry.ID || o.Subject != "sub-of-kim" || o.Grant != r.clouds["acme"].living()[0] || o.Token == "" || len(o.Key) != 32 {
			t.Errorf("%s: not the session that was made", host)
		}
		if !o.Start.Equal(now) || !o.Checked.Equal(now) || !o.Ends.Equal(now.Add(8*time.Hour)) {
			t.Errorf("%s: from %s to %s, checked %s", host, o.Start, o.Ends, o.Checked)
		}
	}
	for host, cookies := range p.jar {
		for name := range cookies {
			if name != session.OutsideCookie {
				t.Errorf("%s: %s is left over", host, name)
			}
		}
	}
	if r.count(resultOK) != 1 {
		t.Errorf("%d sign-ins were counted", r.count(resultOK))
	}
}

// The isolated cloud's limit counts where it is nearer than 24 h.
func TestSessionOutsideEndsInTime(t *testing.T) {
	for _, tt := range []struct{ lasts, want time.Duration }{{time.Minute, time.Minute}, {24 * time.Hour, 24 * time.Hour}, {30 * 24 * time.Hour, 24 * time.Hour}} {
		r := newOutside(t)
		r.clouds["acme"].lasts = tt.lasts
		p := r.person()
		p.signsIn(supportHost, "kim")
		if o := p.at(supportHost); o.Ends.Sub(o.Start) != tt.want {
			t.Errorf("inside %s: outside %s, want %s", tt.lasts, o.Ends.Sub(o.Start), tt.want)
		}
	}
}

// Whoever is signed in at the identity host reaches the next service without a page.
func TestNextServiceNeedsNoAddress(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	p.signsIn(supportHost, "kim")
	pushed := r.clouds["acme"].times(cloudPAR)
	entered := p.get(p.get(p.visit(academyHost, "/course", "")).led(t).String())
	if entered.location != "https://"+academyHost+"/course" || p.at(academyHost).Grant != p.at(supportHost).Grant {
		t.Errorf("%d %q %s", entered.status, entered.location, entered.reason())
	}
	if r.clouds["acme"].times(cloudPAR) != pushed {
		t.Error("the isolated cloud was asked to sign in again")
	}
	if got := p.get(atIdentity + PathSignIn); got.location != atSupport+"/" {
		t.Errorf("without a target: %d %q", got.status, got.location)
	}
}

// A session that is over inside leads to the page, and not from host to host for ever; one of which nothing is known goes on.
func TestSessionIsAskedForBeforeItIsHandedOver(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	p.signsIn(supportHost, "kim")
	r.clouds["acme"].change(func(c *cloud) {
		c.instead[cloudSession] = func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable")
		}
	})
	if got := p.get(p.visit(academyHost, "/", "")); !strings.HasPrefix(got.location, "https://"+academyHost+PathEnter) {
		t.Errorf("while nothing is known: %d %q", got.status, got.location)
	}
	r.clouds["acme"].change(func(c *cloud) {
		c.instead = map[string]http.HandlerFunc{}
		for _, s := range c.sessions {
			s.dead = true
		}
	})
	got := p.get(p.visit(academyHost, "/", ""))
	if _, asks := buttons(got)[PathSignIn]; !asks || p.at(identityHost).Cloud != "" {
		t.Errorf("over: %d %q, at the identity host %q", got.status, got.location, p.at(identityHost).Cloud)
	}
}

// A shorter limit inside shows at once.
func TestHandOverTakesTheLimitOfTheMoment(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	p.signsIn(supportHost, "kim")
	r.clock.advance(10 * time.Minute)
	r.clouds["acme"].change(func(c *cloud) { c.lasts = 5 * time.Minute })
	p.get(p.get(p.visit(academyHost, "/", "")).led(t).String())
	for _, host := range []string{identityHost, academyHost} {
		if o := p.at(host); !o.Ends.Equal(o.Checked.Add(5*time.Minute)) || o.Checked.Sub(o.Start) != 10*time.Minute {
			t.Errorf("%s: ends %s after the check", host, o.Ends.Sub(o.Checked))
		}
	}
}

// What asks for no page gets none, and no cookie.
func TestIdentityAnswersNavigationsAlone(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	for _, address := range []string{atIdentity + PathSignIn, atIdentity + PathFederatedCallback + "?state=x", atSupport + PathEnter + "?ticket=x"} {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("sec-fetch-mode", "cors")
		request.Header.Set("sec-fetch-dest", "empty")
		w := record(r, request)
		if w.Code != http.StatusUnauthorized || w.Header().Get("content-type") != "application/problem+json" || len(w.Header().Values("set-cookie")) > 0 {
			t.Errorf("%s: %d %s", address, w.Code, w.Header())
		}
	}
	for _, address := range []string{
		atSupport + PathSignIn, atSupport + PathFederatedCallback, "https://evil.example" + PathEnter, "https://evil.example" + PathSignIn, atIdentity + "/", atIdentity + "/.isogate/session",
	} {
		if got := p.get(address); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", address, got.status)
		}
	}
	if got := p.post(atSupport+PathFederatedStart, url.Values{}); got.status != http.StatusNotFound {
		t.Errorf("start at a service: %d", got.status)
	}
}

// Every answer of the door keeps its address to itself and out of caches.
func TestIdentityHeaders(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	at := p.visit(supportHost, "/", "")
	asks := p.get(at)
	ways := p.types(asks, "kim@acme.example")
	begun := p.post(atIdentity+PathFederatedStart, buttons(ways)[PathFederatedStart])
	handed := p.get(callbackOf(r.clouds["acme"].authorize(begun.led(t), "kim")))
	entered := p.get(handed.location)
	for name, got := range map[string]response{"asks": asks, "ways": ways, "begun": begun, "handed": handed, "entered": entered} {
		if got.header.Get("referrer-policy") != "no-referrer" || got.header.Get("cache-control") != "no-store" {
			t.Errorf("%s: %v", name, got.header)
		}
	}
	for _, cookie := range begun.header.Values("set-cookie") {
		if !strings.HasPrefix(cookie, "__Host-isogate_flow_") || !strings.HasSuffix(cookie, "; Path=/; Secure; HttpOnly; SameSite=Lax") {
			t.Errorf("a cookie of another kind: %s", cookie)
		}
	}
}
