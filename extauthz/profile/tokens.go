package profile

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"isogate/extauthz/keys"
)

const (
	keepTokens = time.Minute // before a token is verified anew
	maxTokens  = 1 << 12     // before older ones go; twice as many are kept at most
)

// Tokens remember access tokens that were believed, since a service comes with the same one for each call and verifying it is half of what a call
// costs. Nothing lives longer by it: the key is looked up with each call, and a token counts only while the issuer publishes the very key that it was
// believed by; it ends with its exp; and grant and session are asked for each time anyway. A token that was refused is not remembered.
type Tokens struct {
	mu            sync.Mutex
	recent, older map[[sha256.Size]byte]verified
}

// verified is a token that was believed.
type verified struct {
	claims accessClaims
	by     used
	until  time.Time
}

// used is a key of the issuer's, as it was at that time: a key set that was read anew has others, even if they are equal.
type used struct {
	kid string
	key keys.Key
}

// recorder notes which key was asked for.
type recorder struct {
	keys.KeySource
	used used
}

func (r *recorder) Key(ctx context.Context, kid string) (keys.Key, error) {
	key, err := r.KeySource.Key(ctx, kid)
	r.used = used{kid, key}
	return key, err
}

// NewTokens remembers nothing yet.
func NewTokens() *Tokens { return &Tokens{recent: map[[sha256.Size]byte]verified{}} }

// known gives the claims of a token that a believes.
func (t *Tokens) known(ctx context.Context, token string, a Access) (accessClaims, error) {
	sum, now := sha256.Sum256([]byte(token)), a.Now()
	if b, ok := t.find(sum); ok && now.Before(b.until) {
		if key, err := a.Keys.Key(ctx, b.by.kid); err == nil && key == b.by.key {
			return b.claims, nil
		}
	}
	claims, by, err := a.read(ctx, token)
	if err != nil {
		return accessClaims{}, err
	}
	ends := time.Unix(int64(claims.Expires), 0)
	if soon := now.Add(keepTokens); ends.After(soon) {
		ends = soon
	}
	t.keep(sum, verified{claims, by, ends})
	return claims, nil
}

func (t *Tokens) find(sum [sha256.Size]byte) (verified, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.recent[sum]; ok {
		return b, true
	}
	b, ok := t.older[sum]
	return b, ok
}

func (t *Tokens) keep(sum [sha256.Size]byte, b verified) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.recent) >= maxTokens {
		t.recent, t.older = map[[sha256.Size]byte]verified{}, t.recent
	}
	t.recent[sum] = b
}
