package profile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// newCallingSide is a side whose support has a sidecar.
func newCallingSide(t testing.TB) (*side, session.Carrier) {
	t.Helper()
	s := newSide(t)
	carrier := session.Carrier{Service: "support", Keys: must(keys.OpenSealers(t.TempDir(), s.clock))(t), Now: s.clock}
	s.carriers = map[string]session.Carrier{"support": carrier}
	s.reload(directory(acmeID, globexID))
	return s, carrier
}

func TestAServiceWithASidecarIsGivenAToken(t *testing.T) {
	s, carrier := newCallingSide(t)
	day, soon := s.outside(), s.outside()
	soon.Ends = start.Add(2 * time.Minute)
	for _, tt := range []struct {
		name    string
		person  session.Outside
		in      check.Request
		expires time.Duration
	}{
		{"a navigation", day, to(supportHost, "GET", "/x", navigation...), 5 * time.Minute},
		{"a fetch", day, to(supportHost, "GET", "/x", fetch...), 5 * time.Minute},
		{"a form", day, to(supportHost, "POST", "/x", "origin", supportURL), 5 * time.Minute},
		{"a session near its end", soon, to(supportHost, "GET", "/x", fetch...), 2 * time.Minute},
		{"one is claimed", day, to(supportHost, "GET", "/x", HeaderToken, "mine", HeaderToken, "mine", "x_isolated_cloud_token", "m"), 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			v := s.expect(with(tt.in, "cookie", s.cookie(supportHost, tt.person)), pass(check.Session))
			got := must(carrier.Open(set(v, HeaderToken)))(t)
			if got.Cloud != acmeID || got.Token != tt.person.Token || string(got.Key) != string(tt.person.Key) || !got.Expires.Equal(start.Add(tt.expires)) {
				t.Error("what is carried is not the person's")
			}
			if slices.Contains(v.Remove, HeaderToken) {
				t.Error("it is removed again")
			}
			if claimed := "x_isolated_cloud_token"; len(tt.in.Header[claimed]) > 0 && !slices.Contains(v.Remove, claimed) {
				t.Errorf("removed: %q", v.Remove)
			}
			if len(v.Respond) != 0 {
				t.Errorf("the browser is given %v", v.Respond)
			}
		})
	}
}

// What a service carries is made anew for each request: a copy is worth nothing five minutes later.
func TestEachRequestIsGivenItsOwnToken(t *testing.T) {
	s, carrier := newCallingSide(t)
	in := with(to(supportHost, "GET", "/x"), "cookie", s.cookie(supportHost, s.outside()))
	first := set(s.expect(in, pass(check.Session)), HeaderToken)
	s.now = start.Add(30 * time.Second)
	second := set(s.expect(in, pass(check.Session)), HeaderToken)
	if first == second {
		t.Error("two requests are given one")
	}
	s.now = start.Add(5*time.Minute + time.Second)
	if _, err := carrier.Open(first); err == nil {
		t.Error("the first still opens")
	}
	must(carrier.Open(second))(t)
}

// A shorter limit inside, which the cloud has just told, bounds what is carried with the same request.
func TestATokenEndsWithTheRenewedSession(t *testing.T) {
	s, carrier := newCallingSide(t)
	in := with(to(supportHost, "GET", "/x"), "cookie", s.cookie(supportHost, s.outside()))
	s.now = start.Add(2 * every)
	s.clouds.says(endsAt(s.now.Add(time.Minute)))
	v := s.expect(in, pass(check.Session))
	if got := must(carrier.Open(set(v, HeaderToken)))(t); !got.Expires.Equal(s.now.Add(time.Minute)) {
		t.Errorf("expires %s", got.Expires)
	}
}

func TestNobodyElseIsGivenAToken(t *testing.T) {
	s, _ := newCallingSide(t)
	o := s.outside()
	ended := o
	ended.Grant = "ended"
	s.answers.End(ended)
	for _, tt := range []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"a service without a sidecar", with(to(statusHost, "GET", "/x"), "cookie", s.cookie(statusHost, o)), pass(check.Session)},
		{"where one is claimed", with(to(statusHost, "GET", "/x", HeaderToken, "mine"), "cookie", s.cookie(statusHost, o)), pass(check.Session)},
		{"our own endpoint", with(to(supportHost, "GET", "/.isogate/logout", HeaderToken, "mine"), "cookie", s.cookie(supportHost, o)), pass(check.Own)},
		{"nobody", to(supportHost, "GET", "/x", HeaderToken, "mine"), deny(401, check.Unauthenticated)},
		{"a session that has ended", with(to(supportHost, "GET", "/x"), "cookie", s.cookie(supportHost, ended)), deny(401, check.Unauthenticated)},
		{"another site", with(to(supportHost, "POST", "/x"), "cookie", s.cookie(supportHost, o)), deny(403, check.CrossOrigin)},
		{"a service that is closed to the person", with(to(payrollHost, "GET", "/x"), "cookie", s.cookie(payrollHost, o)), deny(403, check.Federation)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			v := s.expect(tt.in, tt.want)
			if got := set(v, HeaderToken); got != "" {
				t.Errorf("is given %q", got)
			}
			if claimed := len(tt.in.Header[HeaderToken]) > 0; v.Allow && claimed != slices.Contains(v.Remove, HeaderToken) {
				t.Errorf("removed: %q", v.Remove)
			}
			for _, line := range append(v.Respond, v.Answer.Header...) {
				if strings.HasPrefix(line.Name, "x-isolated-") {
					t.Errorf("the browser is told %s", line.Name)
				}
			}
		})
	}
}

// Where a token cannot be made, nobody passes as if the service had none.
func TestATokenThatCannotBeMadeDenies(t *testing.T) {
	s, carrier := newCallingSide(t)
	carrier.Now = func() time.Time { return start.Add(25 * time.Hour) }
	s.carriers["support"] = carrier
	v := s.expect(with(to(supportHost, "GET", "/x"), "cookie", s.cookie(supportHost, s.outside())), deny(503, check.Unavailable))
	if v.Cause == nil || strings.Contains(v.Cause.Error(), "access-token-of-acme") {
		t.Errorf("the cause: %v", v.Cause)
	}
}
