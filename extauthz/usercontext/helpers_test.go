package usercontext

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"isogate/extauthz/keys"
)

var start = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	issuer  = "https://auth.acme.example"
	product = "issues"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

func newSigners(t testing.TB, c *clock) *keys.Signers {
	t.Helper()
	signers, err := keys.OpenSigners(t.TempDir(), c.now)
	if err != nil {
		t.Fatal(err)
	}
	return signers
}

func newWorld(t testing.TB) (*clock, *keys.Signers, *Minter, Verifier) {
	t.Helper()
	c := &clock{at: start}
	signers := newSigners(t, c)
	return c, signers, NewMinter(signers, c.now), Verifier{Issuer: issuer, Audience: product, Keys: signers, Now: c.now}
}

func full() Claims {
	return Claims{
		Issuer: issuer, Subject: "user", Audience: product, Session: "session", AuthTime: start.Unix(), ACR: "mfa", AMR: []string{"pwd", "otp"},
		CloudID: "cloud", Email: "ada@acme.example", Name: "Ada", Groups: []string{"staff"},
	}
}

func key() Key { return Key{Session: "session", SignedIn: start, Audience: product} }

func mint(t testing.TB, m *Minter, k Key) string {
	t.Helper()
	token, err := m.Mint(k, full)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// noKeys is an issuer whose keys cannot be had.
type noKeys struct{}

func (noKeys) Key(context.Context, string) (keys.Key, error) {
	return keys.Key{}, errors.New("connection refused")
}
