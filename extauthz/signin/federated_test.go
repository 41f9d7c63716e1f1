package signin

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/extauthz/session"
)

// Answers that are not the one that the cloud gave to this sign-in.
func TestCallbackOutside(t *testing.T) {
	add := func(name, value string) func(url.Values) { return func(q url.Values) { q.Add(name, value) } }
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	del := func(name string) func(url.Values) { return func(q url.Values) { q.Del(name) } }
	twice := func(name string) func(url.Values) { return func(q url.Values) { q.Add(name, q.Get(name)) } }
	refused := func(word string) func(url.Values) { return func(q url.Values) { q.Del("code"); q.Set("error", word) } }
	const again, bad, cancelled, down = "start-again", "bad-request", "sign-in-cancelled", "cloud-unavailable"
	for _, tt := range []answerCase{
		{"as it is", "", func(url.Values) {}},
		{"a parameter that means nothing", "", set("session_state", "x")},
		{"no state", again, del("state")}, {"state doubled", bad, twice("state")}, {"an empty state", again, set("state", "")},
		{"a state that is cut", again, func(q url.Values) { q.Set("state", q.Get("state")[1:]) }},
		{"a state that is longer", again, func(q url.Values) { q.Set("state", q.Get("state")+"A") }},
		{"a flipped bit", again, func(q url.Values) { q.Set("state", flipped(q.Get("state"), len(q.Get("state"))/2)) }},
		{"the code as the state", again, func(q url.Values) { q.Set("state", q.Get("code")) }},
		{"no issuer", again, del("iss")}, {"issuer doubled", bad, twice("iss")}, {"an empty issuer", again, set("iss", "")},
		{"another issuer", again, set("iss", "https://evil.example")}, {"two issuers", bad, add("iss", "https://evil.example")},
		{"the issuer with a slash", again, func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }},
		{"no code", again, del("code")}, {"code doubled", bad, twice("code")}, {"an empty code", again, set("code", "")},
		{"cancelled", cancelled, refused("access_denied")}, {"cancelled beside a code", cancelled, set("error", "access_denied")},
		{"cancelled by another issuer", again, func(q url.Values) { refused("access_denied")(q); q.Set("iss", "https://evil.example") }},
		{"login_required", again, refused("login_required")}, {"an unknown error", again, refused("<script>")}, {"an empty error", again, set("error", "")},
		{"error doubled", bad, func(q url.Values) { q["error"] = []string{"access_denied", "x"} }},
		{"down", down, refused("temporarily_unavailable")}, {"broken", down, refused("server_error")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newOutside(t)
			p := r.person()
			answer := r.clouds["acme"].authorize(p.begins(supportHost, "/x", "a=b", "kim@acme.example"), "kim")
			tt.change(answer)
			got := p.get(callbackOf(answer))
			asked := r.clouds["acme"].times(cloudToken)
			if tt.want == "" {
				if got.status != http.StatusSeeOther || p.at(identityHost).Cloud == "" || asked == 0 {
					t.Errorf("a truthful answer: %d %s", got.status, got.reason())
				}
				return
			}
			if got.reason() != tt.want || p.at(identityHost).Cloud != "" {
				t.Errorf("%d %s, want %s; signed in at %q", got.status, got.reason(), tt.want, p.at(identityHost).Cloud)
			}
			if asked != 0 {
				t.Error("the code was redeemed before the answer was looked at")
			}
			if strings.Contains(got.body, "<script>") || strings.Contains(got.body, "evil.example") || strings.Contains(got.body, answer.Get("code")) && answer.Get("code") != "" {
				t.Error("the page repeats the answer")
			}
		})
	}
}

// The mix-up attack (RFC 9700 section 4.4): one cloud of the directory passes a person on to the other, to be handed its code.
func TestMixUpBetweenClouds(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	ways := p.types(p.get(p.visit(supportHost, "/", "")), "kim@zeta.example")
	begun := p.post(atIdentity+PathFederatedStart, buttons(ways)[PathFederatedStart]).led(t) // at zeta, which is evil
	evil := r.clouds["zeta"].authorize(begun, "kim")
	mallory := r.person()
	honest := r.clouds["acme"].authorize(mallory.begins(supportHost, "/", "", "m@acme.example"), "victim")
	for name, answer := range map[string]url.Values{
		"the honest one's answer, with the evil one's state": {"state": {evil.Get("state")}, "code": {honest.Get("code")}, "iss": {honest.Get("iss")}},
		"the honest one's whole answer":                      honest,
	} {
		other := p.copied()
		if got := other.get(callbackOf(answer)); got.reason() != "start-again" || other.at(identityHost).Cloud != "" {
			t.Errorf("%s: %d %s", name, got.status, got.reason())
		}
	}
	if r.clouds["zeta"].times(cloudToken) != 0 || r.clouds["acme"].times(cloudToken) != 0 {
		t.Error("a code was redeemed")
	}
}

// An answer works in the browser that began, in time, and once.
func TestCallbackIsBoundToItsBrowser(t *testing.T) {
	r := newOutside(t)
	mallory, victim := r.person(), r.person()
	victim.begins(supportHost, "/", "", "v@acme.example") // it has a flow cookie too, of another sign-in
	answer := r.clouds["acme"].authorize(mallory.begins(supportHost, "/m", "", "m@acme.example"), "mallory")
	if got := victim.get(callbackOf(answer)); got.reason() != "start-again" || victim.at(identityHost).Cloud != "" || r.clouds["acme"].times(cloudToken) != 0 {
		t.Errorf("another's answer: %d %s", got.status, got.reason())
	}
	late := mallory.copied()
	if got := mallory.get(callbackOf(answer)); got.status != http.StatusSeeOther {
		t.Fatalf("in its own browser: %d %s", got.status, got.reason())
	}
	if got := mallory.get(callbackOf(answer)); got.location != atSupport+"/m" {
		t.Errorf("reloaded by who is signed in: %d %s %q", got.status, got.reason(), got.location)
	}
	if got := late.get(callbackOf(answer)); got.reason() != "start-again" || late.at(identityHost).Cloud != "" {
		t.Errorf("with the code that was used: %d %s", got.status, got.reason())
	}
	victim.signsIn(supportHost, "victim")
	before := victim.at(identityHost)
	if got := victim.get(callbackOf(answer)); got.location != atSupport+"/m" || victim.at(identityHost).Grant != before.Grant {
		t.Errorf("another's answer to who is signed in: %d %s", got.status, got.reason())
	}

	slow := r.person()
	answer = r.clouds["acme"].authorize(slow.begins(supportHost, "/", "", "s@acme.example"), "slow")
	r.clock.advance(session.FlowLifetime)
	if got := slow.get(callbackOf(answer)); got.reason() != "start-again" || slow.at(identityHost).Cloud != "" {
		t.Errorf("too late: %d %s", got.status, got.reason())
	}
}

// A cloud that left the directory during a sign-in signs nobody in.
func TestCallbackOfACloudThatIsGone(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	answer := r.clouds["acme"].authorize(p.begins(supportHost, "/", "", "kim@acme.example"), "kim")
	r.Clouds = NewFederations([]*Federation{r.federation("zeta")})
	if got := p.get(callbackOf(answer)); got.reason() != "start-again" || r.clouds["acme"].times(cloudToken) != 0 {
		t.Errorf("%d %s", got.status, got.reason())
	}
}

// Twenty tabs sign in, one after the other comes back: all are in one session, so that a sign-out in one ends them all.
func TestTwentyTabsOutside(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	hosts := []string{supportHost, academyHost}
	var begun []*url.URL
	for i := range 20 {
		begun = append(begun, p.begins(hosts[i%2], "/"+string(rune('a'+i)), "", "kim@acme.example"))
	}
	for i, at := range begun {
		handed := p.get(callbackOf(r.clouds["acme"].authorize(at, "kim")))
		entered := p.get(handed.led(t).String())
		if entered.location != "https://"+hosts[i%2]+"/"+string(rune('a'+i)) {
			t.Fatalf("tab %d: %d %s %q", i, entered.status, entered.reason(), entered.location)
		}
	}
	if living := r.clouds["acme"].living(); len(living) != 1 || p.at(supportHost).Grant != living[0] || p.at(academyHost).Grant != living[0] || p.at(identityHost).Grant != living[0] {
		t.Errorf("%d grants live", len(living))
	}
	for host, cookies := range p.jar {
		if len(cookies) != 1 {
			t.Errorf("%s: %d cookies are left", host, len(cookies))
		}
	}
}

// Abandoned sign-ins do not fill the browser.
func TestFlowCookiesOutsideNeverPileUp(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	form := url.Values{"cloud": {r.clouds["acme"].entry.ID}}
	for range 2 * session.MaxFlows {
		r.clock.advance(time.Millisecond)
		p.post(atIdentity+PathFederatedStart, form)
	}
	if held := len(p.jar[identityHost]); held != session.MaxFlows {
		t.Errorf("%d flow cookies", held)
	}
}

// All tabs at once: nobody is locked out, and nothing races.
func TestParallelCallbacks(t *testing.T) {
	r := newOutside(t)
	var all sync.WaitGroup
	for range 10 {
		p := r.person()
		answer := r.clouds["acme"].authorize(p.begins(supportHost, "/", "", "kim@acme.example"), "kim")
		all.Go(func() {
			if got := p.get(callbackOf(answer)); got.status != http.StatusSeeOther {
				t.Errorf("%d %s", got.status, got.reason())
			}
		})
	}
	all.Wait()
	if r.count(resultOK) != 10 {
		t.Errorf("%d sign-ins", r.count(resultOK))
	}
}

// Another person in the same browser ends the session before, at its cloud too.
func TestAnotherPersonOutside(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	answer := r.clouds["acme"].authorize(p.begins(supportHost, "/", "", "eve@acme.example"), "eve") // began before the first came back
	p.signsIn(supportHost, "kim")
	first := p.at(identityHost)
	p.get(p.get(callbackOf(answer)).led(t).String())
	if now := p.at(identityHost); now.Subject != "eve" || p.at(supportHost).Subject != "eve" {
		t.Errorf("signed in as %q", now.Subject)
	}
	if living := r.clouds["acme"].living(); len(living) != 1 || living[0] == first.Grant || !r.Grants.Ended(first.Cloud, first.Grant) {
		t.Errorf("%d grants live", len(living))
	}
}
