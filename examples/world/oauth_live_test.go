package world

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/keys"
)

// Each edit of the file counts with the next question of the service outside.
func TestEditsReachFederatedSessions(t *testing.T) {
	for name, c := range map[string]struct{ old, fresh string }{
		"domain pending":                 {"    - name: acme.example\n      state: verified\n", "    - name: acme.example\n      state: pending\n"},
		"domain gone":                    {"    - name: acme.example\n", "    - name: acme2.example\n"},
		"client removed":                 {"    - id: commercial\n", "    - id: commercial2\n"},
		"federated limit":                {"federated: 24h", "federated: 1s"},
		"federated limit of some people": {"  ca: ca/ca.pem\n  connect", "    exceptions:\n      - {groups: [staff], federated: 1s}\n  ca: ca/ca.pem\n  connect"},
		"absolute limit":                 {"absolute: 12h\n    federated: 24h\n    idle: 30m", "absolute: 1s\n    federated: 24h\n    idle: 1s"},
		"provider gone":                  {"      domains: [acme.example, partner.example]", "      domains: [partner.example]"},
	} {
		t.Run(name, func(t *testing.T) {
			o, b := platform(t), watched(t)
			s := o.enter(b, "bob")
			o.session(s)
			edit(t, shared.File(), c.old, c.fresh)
			began := time.Now()
			eventually(t, "the session resource says that it is over", func() bool { return o.dead(s) })
			t.Logf("dead %d ms after the edit", time.Since(began).Milliseconds())
		})
	}
}

// A shorter limit shows in session_expiry at once, a longer one too.
func TestExpiryFollowsTheFile(t *testing.T) {
	o, b := platform(t), watched(t)
	s := o.enter(b, "bob", "max_age", "3600")
	signedIn := int64(s.Claims["auth_time"].(float64))
	before := o.session(s).Expiry
	t.Run("shorter", func(t *testing.T) {
		edit(t, shared.File(), "federated: 24h", "federated: 10m")
		eventually(t, "the expiry moves", func() bool { return o.session(s).Expiry <= signedIn+605 })
		if s := o.enter(b, "bob"); int64(s.Claims["session_expiry"].(float64)) > signedIn+605 {
			t.Errorf("a new ID token says %v, the sign-in was at %d", s.Claims["session_expiry"], signedIn)
		}
	})
	eventually(t, "and back", func() bool { return o.session(s).Expiry >= before })
	t.Run("idle", func(t *testing.T) {
		edit(t, shared.File(), "idle: 30m", "idle: 20m")
		eventually(t, "the expiry moves", func() bool { return o.session(s).Expiry <= before-9*60 })
	})
}

// Only the person's own requests inside are activity: a service that asks keeps nothing alive.
func TestAskingIsNoActivity(t *testing.T) {
	o, b := platform(t), watched(t)
	s := o.enter(b, "bob")
	first := o.session(s).Expiry
	time.Sleep(2100 * time.Millisecond)
	if now := o.session(s).Expiry; now != first {
		t.Errorf("session_expiry went from %d to %d by asking", first, now)
	}
	must(t)(b.Open(shared.URL("issues", "/whoami")))
	if now := o.session(s).Expiry; now <= first {
		t.Errorf("session_expiry stays %d though the person is active", now)
	}
}

// Whatever ends the session inside ends it outside, at once (K2).
func TestSignOutInsideEndsOutside(t *testing.T) {
	o, p, b := platform(t), partnerPortal(t), person(t, "bob")
	s, other := o.enter(b, "bob"), p.enter(b, "bob")
	pending := o.begin()
	callback := o.through(b, "bob", pending)
	signOut(t, b, "issues")
	if !o.dead(s) || !p.dead(other) {
		t.Error("a grant outlives its session")
	}
	if status, code := refusal(second(o.Finish(t.Context(), pending, callback))); status != 400 || code != "invalid_grant" {
		t.Errorf("a code of the session that has ended: %d %s", status, code)
	}
}

// New keys sign once they have settled; what the old ones signed is believed as long as they are there.
func TestOAuthKeysRotate(t *testing.T) {
	b := watched(t)
	first := platform(t)
	old := first.enter(b, "bob")
	t.Run("added", func(t *testing.T) {
		rotates(t, b, old)
		first.session(old)
		first.enter(b, "bob") // who has read the keys before meets one that it does not know
	})
	eventually(t, "the first key signs again", func() bool {
		o := platform(t)
		v := o.begin()
		s, err := o.Finish(t.Context(), v, o.through(b, "bob", v)) // which the other key may have signed just before it went
		return err == nil && kid(t, s.IDToken) == kid(t, old.IDToken)
	})
}

func rotates(t *testing.T, b *Browser, old SignedIn) {
	t.Helper()
	folder := filepath.Join(shared.Dir, "secrets", "oauth")
	if err := keys.GenerateSigner(folder, "rotated"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "rotated.pem")
	t.Cleanup(func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	})
	settled := time.Now().Add(-keys.Settle - time.Second)
	if err := os.Chtimes(file, settled, settled); err != nil {
		t.Fatal(err)
	}
	var fresh SignedIn
	eventually(t, "the new key signs", func() bool {
		fresh = platform(t).enter(b, "bob") // a relying party that has just read the keys
		return kid(t, fresh.IDToken) != kid(t, old.IDToken)
	})
	if kid(t, fresh.Token.AccessToken) != kid(t, fresh.IDToken) {
		t.Error("two keys sign at once")
	}
	o := platform(t)
	late := o.enter(b, "bob")
	eventually(t, "extauthz believes the new key", func() bool { // which it fetches at most once in ten seconds
		_, err := o.Session(t.Context(), late.Token)
		return err == nil
	})
}

func kid(t *testing.T, token string) any {
	t.Helper()
	return part(t, token, 0)["kid"]
}

// A client's keys may change while everything runs: a new file is read at once.
func TestClientKeysRotate(t *testing.T) {
	file := filepath.Join(filepath.Dir(shared.Clients), "portal.jwks")
	raw := must2(t)(os.ReadFile(file))
	other, err := keys.OpenSigners(filepath.Join(t.TempDir(), "keys"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p := partnerPortal(t)
	t.Run("withdrawn", func(t *testing.T) {
		edit(t, file, string(raw), string(other.JWKS()))
		eventually(t, "the old key is refused", func() bool {
			status, code := refusal(second(p.Begin(t.Context(), nil)))
			return status == 401 && code == "invalid_client"
		})
	})
	eventually(t, "and back", func() bool { return second(p.Begin(t.Context(), nil)) == nil })
	if strings.Contains(string(raw), `"d"`) {
		t.Error("the public file holds a private key")
	}
}
