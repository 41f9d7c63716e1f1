package session

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	platform = "platform"
	partner  = "partner.v2"
)

// commerce are policies under which ada's sessions may have grants.
func commerce() Policies {
	l := limits
	l.Federated = 10 * time.Hour
	return Policies{Believed: believed, Default: l, Managed: []string{"acme.example"}, Clients: []string{platform, partner}}
}

// grant gives a new session of ada's and a redeemed grant of the platform.
func (w *world) grant() (Session, string) {
	w.t.Helper()
	s, _ := w.open()
	id := w.openGrant(s, platform)
	_, err := w.RedeemGrant(w.t.Context(), id, platform, commerce())
	w.must(err)
	return s, id
}

func (w *world) openGrant(s Session, client string) string {
	w.t.Helper()
	g, err := w.OpenGrant(w.t.Context(), s.ID, client, commerce())
	w.must(err)
	return g.ID
}

func (w *world) granted(id, client string, p Policies) bool {
	w.t.Helper()
	switch _, err := w.Granted(w.t.Context(), id, client, p); err {
	case nil:
		return true
	case ErrNone:
		return false
	default:
		w.t.Fatal(err)
		return false
	}
}

// count says how many living items have keys that begin so.
func (w *world) count(prefix string) int {
	w.t.Helper()
	items, err := w.bolt.List(w.t.Context(), prefix)
	w.must(err)
	return len(items)
}

func TestAGrantIsFoundAsItWasOpened(t *testing.T) {
	w := newWorld(t)
	s, _ := w.open()
	opened, err := w.OpenGrant(t.Context(), s.ID, platform, commerce())
	w.must(err)
	redeemed, err := w.RedeemGrant(t.Context(), opened.ID, platform, commerce())
	w.must(err)
	w.restart()
	again, err := w.RedeemGrant(t.Context(), opened.ID, platform, commerce())
	w.must(err)
	found, err := w.Granted(t.Context(), opened.ID, platform, commerce())
	w.must(err)
	want := Grant{ID: opened.ID, Client: platform, Session: s, Expiry: start.Add(30 * time.Minute)}
	if diff := cmp.Diff([]Grant{want, want, want, want}, []Grant{opened, redeemed, again, found}); diff != "" {
		t.Error(diff)
	}
	if len(opened.ID) != 22 || w.openGrant(s, platform) == opened.ID {
		t.Errorf("%q is not of 128 bits, or not new", opened.ID)
	}
}

// Each change kills a grant that lives without it, and the same change lets none be opened.
func TestWhatAGrantDiesOf(t *testing.T) {
	without := func(change func(*Policies)) func(*world, Session) Policies {
		return func(*world, Session) Policies { p := commerce(); change(&p); return p }
	}
	tests := []struct {
		name string
		in   func(*world, Session) Policies
		want bool
	}{
		{"nothing", without(func(*Policies) {}), true},
		{"another client is gone", without(func(p *Policies) { p.Clients = []string{platform} }), true},
		{"another domain is managed too", without(func(p *Policies) { p.Managed = []string{"b.example", "acme.example"} }), true},
		{"its client is gone", without(func(p *Policies) { p.Clients = []string{partner} }), false},
		{"all clients are gone", without(func(p *Policies) { p.Clients = nil }), false},
		{"the domain is managed no more", without(func(p *Policies) { p.Managed = nil }), false},
		{"only the domain above is managed", without(func(p *Policies) { p.Managed = []string{"example"} }), false},
		{"only a domain below is managed", without(func(p *Policies) { p.Managed = []string{"sub.acme.example"} }), false},
		{"the provider is believed no more", without(func(p *Policies) { p.Believed = nil }), false},
		{"the idle limit is shorter", without(func(p *Policies) { p.Default.Idle = 10 * time.Minute }), false},
		{"the absolute limit is shorter", without(func(p *Policies) { p.Default.Absolute = 10 * time.Minute }), false},
		{"the federated limit is shorter", without(func(p *Policies) { p.Default.Federated = 10 * time.Minute }), false},
		{"no federated limit was set", without(func(p *Policies) { p.Default.Federated = 0 }), false},
		{"an exception for the person's group", without(func(p *Policies) {
			p.Special = []Policy{{Groups: []string{"staff"}, Limits: Limits{Idle: time.Hour, Absolute: time.Hour, Federated: time.Minute}}}
		}), false},
		{"no policies at all", without(func(p *Policies) { *p = Policies{} }), false},
		{"the session was ended", func(w *world, s Session) Policies { w.must(w.End(w.t.Context(), s.ID)); return commerce() }, false},
		{"the session is idle", func(w *world, _ Session) Policies { w.time.add(20 * time.Minute); return commerce() }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			s, id := w.grant()
			w.time.add(10 * time.Minute)
			p := tt.in(w, s)
			if got := w.granted(id, platform, p); got != tt.want {
				t.Errorf("lives: %v", got)
			}
			if _, err := w.RedeemGrant(t.Context(), id, platform, p); (err == nil) != tt.want || err != nil && err != ErrNone {
				t.Errorf("redeeming: %v", err)
			}
			before := w.count("g/")
			if _, err := w.OpenGrant(t.Context(), s.ID, platform, p); (err == nil) != tt.want || err != nil && err != ErrNone {
				t.Errorf("opening: %v", err)
			}
			if !tt.want && w.count("g/") != before {
				t.Error("a grant was written all the same")
			}
		})
	}
}

func TestAGrantIsItsClientsOnly(t *testing.T) {
	w := newWorld(t)
	_, id := w.grant()
	for _, client := range []string{partner, "", "Platform", "platform ", platform + "\n"} {
		p := commerce()
		p.Clients = append(p.Clients, client)
		if w.granted(id, client, p) {
			t.Errorf("%q has the platform's grant", client)
		}
		if _, err := w.RedeemGrant(t.Context(), id, client, p); err != ErrNone {
			t.Errorf("%q redeems it: %v", client, err)
		}
		w.must(w.EndGrant(t.Context(), id, client))
	}
	if !w.granted(id, platform, commerce()) {
		t.Error("another client ended the grant")
	}
}

func TestAGrantLivesUpToTheExactMoment(t *testing.T) {
	long := commerce()
	long.Default = Limits{Idle: 100 * time.Hour, Absolute: 100 * time.Hour, Federated: 100 * time.Hour}
	tests := []struct {
		name   string
		redeem bool
		change func(*Limits)
		want   time.Duration
	}{
		{"not redeemed", false, func(*Limits) {}, time.Minute},
		{"redeemed", true, func(*Limits) {}, 24 * time.Hour},
		{"idle", true, func(l *Limits) { l.Idle = 3 * time.Hour }, 3 * time.Hour},
		{"absolute", true, func(l *Limits) { l.Absolute = 2 * time.Hour }, 2 * time.Hour},
		{"federated", true, func(l *Limits) { l.Federated = time.Hour }, time.Hour},
		{"not redeemed, and federated is shorter", false, func(l *Limits) { l.Federated = 30 * time.Second }, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			s, _ := w.open()
			p := long
			tt.change(&p.Default)
			g, err := w.OpenGrant(t.Context(), s.ID, platform, p)
			w.must(err)
			if tt.redeem {
				w.time.add(20 * time.Second) // the 24 hours count from the opening
				_, err := w.RedeemGrant(t.Context(), g.ID, platform, p)
				w.must(err)
			}
			w.time.set(start.Add(tt.want - 1))
			if !w.granted(g.ID, platform, p) {
				t.Error("ended early")
			}
			w.time.add(1)
			if w.granted(g.ID, platform, p) {
				t.Error("lives too long")
			}
			if _, err := w.RedeemGrant(t.Context(), g.ID, platform, p); err != ErrNone {
				t.Errorf("redeeming it too late: %v", err)
			}
		})
	}
}

func TestFederatedExpiry(t *testing.T) {
	s := Session{SignedIn: start, Active: start.Add(time.Hour)}
	tests := []struct {
		name string
		in   Limits
		want time.Duration
	}{
		{"idle is first", Limits{Idle: time.Hour, Absolute: 9 * time.Hour, Federated: 3 * time.Hour}, 2 * time.Hour},
		{"absolute is first", Limits{Idle: 9 * time.Hour, Absolute: 4 * time.Hour, Federated: 5 * time.Hour}, 4 * time.Hour},
		{"federated is first", Limits{Idle: 9 * time.Hour, Absolute: 9 * time.Hour, Federated: 3 * time.Hour}, 3 * time.Hour},
		{"federated is none", Limits{Idle: time.Hour, Absolute: 9 * time.Hour}, 0},
		{"federated is negative", Limits{Idle: time.Hour, Absolute: 9 * time.Hour, Federated: -time.Hour}, -time.Hour},
		{"the zero limits", Limits{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.FederatedExpiry(tt.in); !got.Equal(start.Add(tt.want)) {
				t.Errorf("after %s", got.Sub(start))
			}
		})
	}
}

func TestIsManaged(t *testing.T) {
	p := Policies{Managed: []string{"acme.example", "acme.test"}}
	for email, want := range map[string]bool{
		"ada@acme.example": true, "ada@acme.test": true, "ada@ACME.example": false, "ada@sub.acme.example": false, "ada@example": false,
		"ada@acme.example.": false, "ada@notacme.example": false, "acme.example": false, "ada@": false, "": false,
		"ada@evil.example@acme.example": false, "ada@acme.example@evil.example": false, "ada@acme.example\n": false,
	} {
		if got := p.IsManaged(Identity{Email: email}); got != want {
			t.Errorf("%q: %v", email, got)
		}
	}
	if (Policies{}).IsManaged(ada) {
		t.Error("the zero policies manage a domain")
	}
}

// Activity at the ingress moves the end of a grant's session; looking at the grant does not.
func TestCheckingAGrantIsNoActivity(t *testing.T) {
	w := newWorld(t)
	s, id := w.grant()
	for range 2 {
		w.time.add(14 * time.Minute)
		w.openGrant(s, platform)
		if !w.granted(id, platform, commerce()) {
			t.Fatal("ended early")
		}
	}
	if len(w.active) != 0 {
		t.Error("activity was noted")
	}
	w.Touch(s, limits)
	w.time.add(29 * time.Minute)
	g, err := w.Granted(t.Context(), id, platform, commerce())
	w.must(err)
	if want := start.Add(58 * time.Minute); !g.Expiry.Equal(want) {
		t.Errorf("its session ends at %s", g.Expiry)
	}
	w.time.add(time.Minute)
	if w.granted(id, platform, commerce()) {
		t.Error("a look at the grant kept the session alive")
	}
}

func TestARenewedSessionKeepsItsGrants(t *testing.T) {
	w := newWorld(t)
	s, id := w.grant()
	waiting := w.openGrant(s, partner)
	w.time.add(20 * time.Second)
	_, err := w.Renew(t.Context(), s.ID, ada, limits)
	w.must(err)
	if !w.granted(id, platform, commerce()) || !w.granted(waiting, partner, commerce()) {
		t.Error("a fresh sign-in ended a grant")
	}
	found, err := w.Granted(t.Context(), id, platform, commerce())
	w.must(err)
	if !found.Session.SignedIn.Equal(start.Add(20 * time.Second)) {
		t.Errorf("signed in at %s", found.Session.SignedIn)
	}
}

func TestEndedGrantsStayEnded(t *testing.T) {
	w := newWorld(t)
	s, id := w.grant()
	other := w.openGrant(s, platform)
	for range 2 { // ending what is not there is no error
		w.must(w.EndGrant(t.Context(), id, platform))
		if _, err := w.RedeemGrant(t.Context(), id, platform, commerce()); err != ErrNone {
			t.Errorf("redeeming it: %v", err)
		}
		if w.granted(id, platform, commerce()) || !w.granted(other, platform, commerce()) {
			t.Error("an ended grant lives, or another ended with it")
		}
		if w.count("g/") != 1 || w.count("c/"+s.ID) != 1 {
			t.Error("something of the grant is left")
		}
		w.restart()
	}
}

// A grant outlasts neither its session nor a sign-out, whatever else lives.
func TestGrantsEndWithTheirSessionAlone(t *testing.T) {
	w := newWorld(t)
	s, id := w.grant()
	other, otherID := w.grant()
	w.must(w.End(t.Context(), s.ID))
	w.restart()
	if w.granted(id, platform, commerce()) || !w.granted(otherID, platform, commerce()) {
		t.Errorf("grants of %s and %s", s.ID, other.ID)
	}
	w.must(w.EndGrant(t.Context(), id, platform)) // what hangs on a dead session can be cleared away
	if w.count("c/"+s.ID) != 0 {
		t.Error("something of the grant is left")
	}
}

// The store holds grants as they are, since they are no secrets, and nothing more of a handle for it.
func TestAStolenStoreWithGrantsHoldsNoHandle(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	id := w.openGrant(s, platform)
	w.must(w.bolt.Close())
	w.holdsNone([]Handle{h}, id)
}

func TestMoreThan32GrantsMakeTheOldestGiveWay(t *testing.T) {
	w := newWorld(t)
	s, first := w.grant()
	second, _ := w.grant()
	elsewhere := []string{w.openGrant(second, platform), w.openGrant(s, partner)}
	ids := []string{first}
	for range 40 {
		w.time.add(time.Second)
		ids = append(ids, w.openGrant(s, platform))
		w.must(w.call("redeem", s, ids[len(ids)-1]))
		if n := w.count(tie{session: s.ID, client: platform}.prefix()); n > 32 {
			t.Fatalf("%d grants", n)
		}
	}
	for i, id := range ids {
		if got, want := w.granted(id, platform, commerce()), i >= len(ids)-32; got != want {
			t.Errorf("grant %d of %d lives: %v", i, len(ids), got)
		}
	}
	if !w.granted(elsewhere[0], platform, commerce()) || !w.granted(elsewhere[1], partner, commerce()) {
		t.Error("the grants of another session or client gave way")
	}
	if left := w.count("g/"); left != 32+3 || w.count("c/") != left {
		t.Errorf("%d records, %d entries", left, w.count("c/"))
	}
}

// Grants that were never redeemed take nobody's place.
func TestGrantsThatRanOutTakeNoPlace(t *testing.T) {
	w := newWorld(t)
	s, first := w.grant()
	for range 3 {
		for range 31 {
			w.openGrant(s, platform)
		}
		w.time.add(time.Minute)
	}
	if !w.granted(first, platform, commerce()) {
		t.Error("a redeemed grant gave way to dead ones")
	}
}

// What the clients' ids hold moves no border: neither in the index nor in a record.
func TestClientsIDsKeepApart(t *testing.T) {
	w := newWorld(t)
	s, _ := w.open()
	p := commerce()
	p.Clients = []string{"a", "a/", "a b", " a", "a/b", strings.Repeat("c", 64)}
	seen := map[string]string{}
	for _, client := range p.Clients {
		g, err := w.OpenGrant(t.Context(), s.ID, client, p)
		w.must(err)
		seen[g.ID] = client
	}
	for id, owner := range seen {
		for _, client := range p.Clients {
			if got := w.granted(id, client, p); got != (client == owner) {
				t.Errorf("%q's grant lives for %q: %v", owner, client, got)
			}
		}
		if n := w.count(tie{session: s.ID, client: owner}.prefix()); n != 1 {
			t.Errorf("%d grants are listed for %q", n, owner)
		}
	}
}
