package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// maxJWKS bounds the body of a key set, in bytes.
const maxJWKS = 256 << 10

// Set is a fixed key set, as a KeySource. The zero Set has no key.
type Set struct{ keys map[string]Key }

// Key answers ErrNoKey for an id that the set does not have.
func (s Set) Key(_ context.Context, kid string) (Key, error) { return find(s.keys, kid) }

func find(keys map[string]Key, kid string) (Key, error) {
	key, ok := keys[kid]
	if !ok {
		return Key{}, ErrNoKey
	}
	return key, nil
}

// ParseJWKS reads a JWK Set (RFC 7517, 5) of at most 64 keys and 256 KB. Keys that Verify has no use for are passed over, as
// section 5 asks: other types, curves, sizes, uses and algorithms, keys without an id, and private keys, which whoever
// reads the set could sign with. A set where nothing remains is an error, and so are two usable keys of one id.
func ParseJWKS(body []byte) (Set, error) {
	if len(body) > maxJWKS {
		return Set{}, fmt.Errorf("keys: a key set of over %d bytes", maxJWKS)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return Set{}, fmt.Errorf("keys: parsing a key set: %w", err)
	}
	if len(doc.Keys) > maxKeys {
		return Set{}, fmt.Errorf("keys: a key set of %d keys is over %d", len(doc.Keys), maxKeys)
	}
	keys := make(map[string]Key)
	for _, raw := range doc.Keys {
		kid, key, ok := usable(raw)
		if !ok {
			continue
		}
		if _, twice := keys[kid]; twice {
			return Set{}, errors.New("keys: a key set with one id twice")
		}
		keys[kid] = key
	}
	if len(keys) == 0 {
		return Set{}, errors.New("keys: a key set without a usable key")
	}
	return Set{keys}, nil
}

// usable gives the key of one JWK if Verify may use it.
func usable(raw []byte) (kid string, key Key, ok bool) {
	k, err := jwk.ParseKey(raw)
	if err != nil || k.KeyID() == "" {
		return "", Key{}, false
	}
	if use := k.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return "", Key{}, false
	}
	if ops := k.KeyOps(); len(ops) > 0 && !slices.Contains(ops, jwk.KeyOpVerify) {
		return "", Key{}, false
	}
	var public any
	if err := k.Raw(&public); err != nil {
		return "", Key{}, false
	}
	algorithm := algorithmOf(public)
	if alg := k.Algorithm().String(); algorithm == "" || alg != "" && alg != algorithm {
		return "", Key{}, false
	}
	return k.KeyID(), Key{algorithm, public}, true
}

// algorithmOf is the one algorithm that a public key is good for, or none.
func algorithmOf(public any) string {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if _, err := p.ECDH(); err == nil && p.Curve == elliptic.P256() { // ECDH checks that the point is on the curve
			return "ES256"
		}
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits >= 2048 && bits <= 8192 && p.E >= 3 && p.E&1 == 1 {
			return "PS256"
		}
	}
	return ""
}
