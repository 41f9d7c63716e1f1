package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

var start = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a time that tests move.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.set(start)
	return c
}

func (c *clock) now() time.Time      { return *c.at.Load() }
func (c *clock) set(t time.Time)     { c.at.Store(&t) }
func (c *clock) add(d time.Duration) { c.set(c.now().Add(d)) }

// touch says when a key file was written.
func touch(t testing.TB, dir, name string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
		t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// pair is a key pair of a made-up issuer, without key files.
type pair struct {
	kid     string
	alg     jwa.SignatureAlgorithm
	private any
	jwk     map[string]any // the public JWK, for tests to spoil
}

func newPair(t testing.TB, kid string, alg jwa.SignatureAlgorithm, private crypto.Signer) pair {
	t.Helper()
	public := must[jwk.Key](t)(jwk.FromRaw(private.Public()))
	members := must[map[string]any](t)(public.AsMap(context.Background()))
	members["kid"] = kid
	return pair{kid, alg, private, members}
}

func newES256(t testing.TB, kid string) pair {
	t.Helper()
	return newPair(t, kid, jwa.ES256, must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
}

// rsaKey is made once: it is the slow part of these tests.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newPS256(t testing.TB, kid string) pair {
	t.Helper()
	return newPair(t, kid, jwa.PS256, must[*rsa.PrivateKey](t)(rsaKey()))
}

// with is the public JWK with one member more or other; a nil value takes it away.
func (p pair) with(name string, value any) map[string]any {
	members := map[string]any{}
	for n, v := range p.jwk {
		members[n] = v
	}
	members[name] = value
	if value == nil {
		delete(members, name)
	}
	return members
}

// sign makes a token of any header and payload, however wrong.
func (p pair) sign(t testing.TB, header, payload string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	signer := must[jws.Signer](t)(jws.NewSigner(p.alg))
	return input + "." + b64.EncodeToString(must[[]byte](t)(signer.Sign([]byte(input), p.private)))
}

func jwksOf(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	return must[[]byte](t)(json.Marshal(map[string]any{"keys": append([]map[string]any{}, keys...)}))
}

func setOf(t testing.TB, keys ...map[string]any) Set {
	t.Helper()
	return must[Set](t)(ParseJWKS(jwksOf(t, keys...)))
}

// flipped calls try with s and one bit of one byte turned, for every byte and bit.
func flipped(s string, try func(position int, spoiled string)) {
	for i := range len(s) {
		for bit := range 8 {
			spoiled := []byte(s)
			spoiled[i] ^= 1 << bit
			try(i, string(spoiled))
		}
	}
}
