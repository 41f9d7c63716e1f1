package usercontext

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAMintedTokenIsBelieved(t *testing.T) {
	_, _, m, v := newWorld(t)
	got, err := v.Verify(t.Context(), mint(t, m, key()))
	if err != nil {
		t.Fatal(err)
	}
	want := full()
	want.IssuedAt, want.Expires, want.ID = start.Unix(), start.Add(300*time.Second).Unix(), got.ID
	if diff := cmp.Diff(want, got); diff != "" || len(got.ID) < 26 {
		t.Errorf("jti %q, %s", got.ID, diff)
	}
}

func TestATokenIsHandedOutWhileAMinuteIsLeft(t *testing.T) {
	tests := []struct {
		name string
		in   time.Duration
		want bool
	}{
		{"at once", 0, true},
		{"half way", 150 * time.Second, true},
		{"a moment before the last minute", 240*time.Second - 1, true},
		{"with exactly a minute left", 240 * time.Second, true},
		{"a moment later", 240*time.Second + 1, false},
		{"expired", 400 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _, m, v := newWorld(t)
			first := mint(t, m, key())
			c.set(start.Add(tt.in))
			second := mint(t, m, key())
			if (first == second) != tt.want {
				t.Errorf("the same: %v", first == second)
			}
			if claims, err := v.Verify(t.Context(), second); err != nil || claims.Expires-c.now().Unix() < 60 {
				t.Errorf("with less than a minute left, or not valid: %v", err)
			}
			if third := mint(t, m, key()); third != second {
				t.Error("a new token was not kept")
			}
		})
	}
}

func TestEachPartOfAKeyCounts(t *testing.T) {
	_, _, m, _ := newWorld(t)
	seen := map[string]string{}
	for name, k := range map[string]Key{
		"this": key(), "session": {"other", start, product, ""}, "sign-in": {"session", start.Add(1), product, ""}, "audience": {"session", start, "wiki", ""},
		"actor": {"session", start, product, "spiffe://commercial.example/support"}, "another actor": {"session", start, product, "spiffe://commercial.example/market"},
		"shifted": {"sessioni", start, "ssues", ""}, "none": {},
	} {
		token := mint(t, m, k)
		if other := seen[token]; other != "" {
			t.Errorf("%s and %s get one token", name, other)
		}
		seen[token] = name
	}
}

// A store gives a time back in a zone of its own making, a new one each time.
func TestOneMomentIsOneKeyInEveryZone(t *testing.T) {
	_, _, m, _ := newWorld(t)
	want := mint(t, m, key())
	for _, at := range []time.Time{start.In(time.FixedZone("", 3600)), start.In(time.FixedZone("", 3600)), start.Local()} {
		k := key()
		k.SignedIn = at
		if mint(t, m, k) != want {
			t.Errorf("%s gets another token", at)
		}
	}
}

func TestClaimsThatDoNotFitAreRefused(t *testing.T) {
	_, _, m, v := newWorld(t)
	over := func(n int) Claims {
		c := full()
		c.Name = strings.Repeat("x", n)
		return c
	}
	most := 0
	for n := 1; n < 8<<10; n *= 2 {
		if m.Fits(over(most+n)) == nil {
			most, n = most+n, 1
		}
	}
	token, err := m.Mint(Key{Session: "most"}, func() Claims { return over(most) })
	if err != nil || len(token) > MaxSize || len(token) < MaxSize-4 {
		t.Errorf("the longest token has %d bytes: %v", len(token), err)
	}
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
	for _, n := range []int{most + 1, most + 1000, 1 << 20} {
		if token, err := m.Mint(Key{Session: fmt.Sprint(n)}, func() Claims { return over(n) }); err == nil || token != "" {
			t.Errorf("%d bytes too many are minted", n-most)
		}
		if m.Fits(over(n)) == nil {
			t.Errorf("%d bytes too many fit", n-most)
		}
	}
}

// brokenSigner fails until it is repaired.
type brokenSigner struct{ err error }

func (b *brokenSigner) Sign(string, []byte) (string, error) { return "token", b.err }

func TestAFailedSignatureIsNotKept(t *testing.T) {
	signer := &brokenSigner{errors.New("no key")}
	m := NewMinter(signer, time.Now)
	if token, err := m.Mint(key(), full); !errors.Is(err, signer.err) || token != "" {
		t.Errorf("%q, %v", token, err)
	}
	signer.err = nil
	if token, err := m.Mint(key(), full); err != nil || token != "token" {
		t.Errorf("%q, %v", token, err)
	}
}

// Strangers cannot make it grow, but neither can a great many people.
func TestTheCacheIsBounded(t *testing.T) {
	m := NewMinter(&brokenSigner{}, time.Now)
	for i := range 3*generation + 10 {
		if _, err := m.Mint(Key{Session: fmt.Sprint(i)}, full); err != nil {
			t.Fatal(err)
		}
		if len(m.fresh)+len(m.stale) > 2*generation {
			t.Fatalf("%d tokens are kept", len(m.fresh)+len(m.stale))
		}
	}
	asked := false
	_, err := m.Mint(Key{Session: fmt.Sprint(3*generation - 1)}, func() Claims { asked = true; return full() })
	if err != nil || asked {
		t.Errorf("a recent token was forgotten: %v", err)
	}
}

func TestMintingInParallel(t *testing.T) {
	_, _, m, v := newWorld(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 5 {
				k := key()
				k.Session = fmt.Sprint(i % 4)
				token, err := m.Mint(k, func() Claims { c := full(); c.Session = k.Session; return c })
				if claims, bad := v.Verify(t.Context(), token); err != nil || bad != nil || claims.Session != k.Session {
					t.Errorf("session %s got %s: %v, %v", k.Session, claims.Session, err, bad)
				}
			}
		})
	}
	all.Wait()
}
