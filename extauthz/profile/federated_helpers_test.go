package profile

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

const (
	identityHost = "id.commercial.example"
	supportHost  = "support.commercial.example"
	statusHost   = "status.commercial.example"
	payrollHost  = "payroll.commercial.example" // not for people of isolated clouds
	supportURL   = "https://support.commercial.example:8443"

	acmeID   = "acme-9f3b6c1de2a84f70"
	globexID = "globex-11aa22bb33cc44dd"
	every    = time.Minute
)

var serviceUsers = []byte("a key of thirty-two bytes of ours")

func platform() topology.Platform {
	return topology.Platform{Port: 8443, IdentityHost: identityHost, Services: []topology.Service{
		{ID: "support", Host: supportHost, Federation: topology.FederationAllowed},
		{ID: "status", Host: statusHost, Federation: topology.FederationAllowed, StreamLimit: daemon.Duration(48 * time.Hour)},
		{ID: "payroll", Host: payrollHost, Federation: topology.FederationNone},
	}}
}

func directory(ids ...string) (all []topology.Directory) {
	for _, id := range ids {
		all = append(all, topology.Directory{ID: id, Domains: []string{id + ".example"}, Issuer: "https://auth." + id + ".example"})
	}
	return all
}

// side is the commercial side over real keys. Its clouds say that every session lives for its 24 h, unless a test says otherwise.
type side struct {
	*Federated
	t        testing.TB
	clock    func() time.Time
	now      time.Time // where clock is not set
	sealers  *keys.Sealers
	flows    *keys.Sealers
	sealed   session.Sealed
	clouds   *fakeClouds
	answers  *Answers
	carriers map[string]session.Carrier
	faults   []error // that were reported
	mu       sync.Mutex
}

func newSide(t testing.TB) *side {
	t.Helper()
	s := &side{t: t, now: start, clouds: &fakeClouds{}}
	s.clock = func() time.Time { return s.now }
	s.build()
	return s
}

func (s *side) build() {
	s.t.Helper()
	s.sealers = must(keys.OpenSealers(s.t.TempDir(), s.clock))(s.t)
	s.flows = must(keys.OpenSealers(s.t.TempDir(), s.clock))(s.t)
	s.sealed = session.Sealed{Keys: s.sealers, Now: s.clock}
	s.answers = NewAnswers(s.clock, func(_ string, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = append(s.faults, err)
	})
	s.reload(directory(acmeID, globexID))
}

// reload is another state of the file. What is remembered stays.
func (s *side) reload(all []topology.Directory) {
	checks := Checks{Sealed: s.sealed, Clouds: s.clouds, Answers: s.answers, Every: every}
	flows := signin.Flows{Site: signin.OfPlatform(platform()), Seal: s.flows, Now: s.clock}
	s.Federated = NewFederated(platform(), all, flows, checks, serviceUsers, s.carriers)
}

func (s *side) reported() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults)
}

// outside is somebody of Acme who has just signed in.
func (s *side) outside() session.Outside {
	now := s.clock()
	return session.Outside{
		Cloud: acmeID, Subject: "subject-at-acme", Grant: "grant-at-acme", Token: "access-token-of-acme", Key: []byte("dpop-key-of-acme"), Start: now, Checked: now,
	}.Until(now.Add(24 * time.Hour))
}

// cookie is the session at a host, as the browser sends it.
func (s *side) cookie(host string, o session.Outside) string {
	s.t.Helper()
	return session.OutsideCookie + "=" + must(s.sealed.Seal(host, o))(s.t)
}

// opened is the session in the cookie that a verdict sets; ok is false if it sets none. One that does not open fails the test.
func (s *side) opened(host string, v check.Verdict) (o session.Outside, ok bool) {
	s.t.Helper()
	line := given(v)
	if line == "" || line == session.ClearOutside() {
		return o, false
	}
	pair, _, _ := strings.Cut(line, ";")
	return must(s.sealed.Open(host, strings.TrimPrefix(pair, session.OutsideCookie+"=")))(s.t), true
}

// given is the cookie of a session outside that a verdict sets or removes; "" if it does neither.
func given(v check.Verdict) string {
	for _, f := range append(v.Respond[:len(v.Respond):len(v.Respond)], v.Answer.Header...) {
		if f.Name == "set-cookie" && strings.HasPrefix(f.Value, session.OutsideCookie) {
			return f.Value
		}
	}
	return ""
}

// to is a request to a host of the commercial side. Header lines are name, value, name, value.
func to(host, method, target string, lines ...string) check.Request {
	path, query, _ := strings.Cut(target, "?")
	r := check.Request{Method: method, Host: host, SNI: host, Path: path, Query: query, Header: check.Header{}}
	for _, s := range platform().Services {
		if s.Host == host {
			r.Route = check.Route{Product: s.ID}
		}
	}
	if strings.HasPrefix(path, "/.isogate/") {
		r.Route = check.Route{Door: "yes"}
	}
	return with(r, lines...)
}

func (s *side) expect(r check.Request, want outcome) check.Verdict {
	s.t.Helper()
	v := s.Decide(context.Background(), r)
	if got := (outcome{v.Allow, v.Answer.Status, v.Reason}); got != want {
		s.t.Errorf("%s %s: %+v, want %+v (cause %v)", r.Method, r.Path, got, want, v.Cause)
	}
	if !v.Allow && (len(v.Set)+len(v.Remove)+len(v.Respond) > 0 || v.Stream != 0) {
		s.t.Error("a denial changes the request")
	}
	if _, said := check.Encode(v); said.Allow != v.Allow || said.Reason != v.Reason {
		s.t.Errorf("Envoy would be told %s", said.Reason)
	}
	return v
}

// fakeClouds answer as they are told, and count.
type fakeClouds struct {
	mu     sync.Mutex
	asked  map[string]int // by cloud and grant
	all    int
	answer func(ctx context.Context, o session.Outside) (time.Time, error)
}

func (f *fakeClouds) Check(ctx context.Context, o session.Outside) (time.Time, error) {
	f.mu.Lock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[o.Cloud+" "+o.Grant]++
	f.all++
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return o.Start.Add(24 * time.Hour), nil
	}
	return answer(ctx, o)
}

func (f *fakeClouds) says(answer func(ctx context.Context, o session.Outside) (time.Time, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// expects holds the number of asks so far against what is wanted.
func (f *fakeClouds) expects(t testing.TB, want int, when string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all != want {
		t.Errorf("%s: %d asks, want %d", when, f.all, want)
	}
}

var errDown = errors.New("connection refused")

// What a cloud may say.
func down(context.Context, session.Outside) (time.Time, error)  { return time.Time{}, errDown }
func ended(context.Context, session.Outside) (time.Time, error) { return time.Time{}, session.ErrNone }
func hangs(ctx context.Context, _ session.Outside) (time.Time, error) {
	<-ctx.Done()
	return time.Time{}, ctx.Err()
}
func panics(context.Context, session.Outside) (time.Time, error) { panic("garbage") }

func endsAt(at time.Time) func(context.Context, session.Outside) (time.Time, error) {
	return func(context.Context, session.Outside) (time.Time, error) { return at, nil }
}
