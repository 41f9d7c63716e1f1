package usercontext

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Signer makes a compact JWS of a type over claims.
type Signer interface {
	Sign(typ string, claims []byte) (string, error)
}

// generation is how many tokens one half of the cache may hold; past it the older half goes.
const generation = 1 << 15

// Minter makes tokens, and hands the same one out again while enough of its life is left: signing is the dearest step of a check.
type Minter struct {
	signer Signer
	now    func() time.Time

	mu           sync.Mutex
	fresh, stale map[Key]minted
}

// Key says for which token a request asks. Two requests with equal keys get the same claims.
type Key struct {
	Session  string    // session id
	SignedIn time.Time // its latest sign-in: a fresh one may have changed the claims
	Audience string
	Actor    string // SPIFFE id of the service that acts in the person's name; "" for the person's own requests
}

type minted struct {
	token   string
	expires time.Time
}

// NewMinter returns an empty cache over a signer.
func NewMinter(signer Signer, now func() time.Time) *Minter {
	return &Minter{signer: signer, now: now, fresh: map[Key]minted{}}
}

// Mint gives a token for the key. The claims function is asked only when a new one is made; iat, exp and jti are set here. A token over
// MaxSize is an error.
func (m *Minter) Mint(key Key, claims func() Claims) (string, error) {
	key.SignedIn = key.SignedIn.Round(0).UTC() // times that are equal must be one key, whatever zone a store gave them
	if token, ok := m.find(key); ok {
		return token, nil
	}
	made, err := m.make(claims())
	if err != nil {
		return "", err
	}
	m.store(key, made)
	return made.token, nil
}

// Fresh gives a token that is made for one request alone.
func (m *Minter) Fresh(c Claims) (string, error) {
	made, err := m.make(c)
	return made.token, err
}

// Fits tells whether a token of these claims can be made.
func (m *Minter) Fits(c Claims) error {
	_, err := m.make(c)
	return err
}

func (m *Minter) make(c Claims) (minted, error) {
	now := m.now()
	c.IssuedAt, c.Expires, c.ID = now.Unix(), now.Add(Lifetime).Unix(), rand.Text()
	raw, err := json.Marshal(c)
	if err != nil {
		return minted{}, fmt.Errorf("usercontext: %w", err)
	}
	token, err := m.signer.Sign(Type, raw)
	if err != nil {
		return minted{}, fmt.Errorf("usercontext: %w", err)
	}
	if len(token) > MaxSize {
		return minted{}, fmt.Errorf("usercontext: the token has %d bytes, more than %d: its claims do not fit", len(token), MaxSize)
	}
	return minted{token, time.Unix(c.Expires, 0)}, nil
}

func (m *Minter) find(key Key) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, half := range []map[Key]minted{m.fresh, m.stale} {
		if t, ok := half[key]; ok && t.expires.Sub(m.now()) >= Reserve {
			return t.token, true
		}
	}
	return "", false
}

func (m *Minter) store(key Key, t minted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.fresh) >= generation {
		m.stale, m.fresh = m.fresh, map[Key]minted{}
	}
	m.fresh[key] = t
}
