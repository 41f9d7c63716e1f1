package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Key is a client's private key on P-256, for ES256. The zero Key signs nothing. Every way of printing it says [redacted].
type Key struct {
	private    *ecdsa.PrivateKey
	header     string // the first segment of all its proofs
	thumbprint string
}

// Proof is what a proof is made for.
type Proof struct {
	Method      string
	URL         string // absolute, http or https; a query and a fragment are left out of the proof
	AccessToken string // the token that goes with the request; "": none
	Nonce       string // what the server gave in DPoP-Nonce (RFC 9449, 8); "": none
	Now         time.Time
}

// Generate makes a new key.
func Generate() (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("dpop: generating a key: %w", err)
	}
	return newKey(private)
}

// ParseKey reads what Marshal gave. Its error holds nothing of the key.
func ParseKey(scalar []byte) (Key, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return Key{}, errors.New("dpop: not a private key on P-256")
	}
	return newKey(private)
}

func newKey(private *ecdsa.PrivateKey) (Key, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return Key{}, fmt.Errorf("dpop: reading a key: %w", err)
	}
	jwk := canonicalEC(b64.EncodeToString(point[1:1+coordinate]), b64.EncodeToString(point[1+coordinate:]))
	header := fmt.Sprintf(`{"typ":%q,"alg":%q,"jwk":%s}`, proofType, es256, jwk)
	return Key{private, b64.EncodeToString([]byte(header)), thumbprint(jwk)}, nil
}

// Marshal is the private key as 32 bytes (SEC 1, 2.3.6), to be sealed; nil for the zero Key.
func (k Key) Marshal() []byte {
	if k.private == nil {
		return nil
	}
	scalar, err := k.private.Bytes()
	if err != nil { // only for a curve or a scalar that neither Generate nor ParseKey lets in
		return nil
	}
	return scalar
}

// Thumbprint names the key: the jkt (RFC 9449, 6.1) by RFC 7638 with SHA-256, in base64url; "" for the zero Key.
func (k Key) Thumbprint() string { return k.thumbprint }

// Format says [redacted] for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// MarshalText says [redacted], in JSON and in logs.
func (Key) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Make makes the DPoP header of one request (RFC 9449, 4.2). No two proofs are the same: each has a jti of 130 random bits.
// What Verify would refuse for its form is not made.
func (k Key) Make(p Proof) (string, error) {
	if k.private == nil {
		return "", errors.New("dpop: making a proof without a key")
	}
	if p.Method == "" || p.Now.Unix() <= 0 {
		return "", errors.New("dpop: making a proof without a method or a time")
	}
	if _, err := normalise(p.URL); err != nil {
		return "", fmt.Errorf("dpop: making a proof: %w", err)
	}
	// The rest of the URL stays as the request spells it, for verifiers that compare bytes.
	claims := claims{ID: rand.Text(), Method: p.Method, URL: withoutQuery(p.URL), IssuedAt: p.Now.Unix(), Nonce: p.Nonce}
	if p.AccessToken != "" {
		claims.TokenHash = tokenHash(p.AccessToken)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("dpop: making a proof: %w", err)
	}
	return k.sign(k.header + "." + b64.EncodeToString(payload))
}

// sign: ES256 is r and s in 32 bytes each (RFC 7518, 3.4).
func (k Key) sign(input string) (string, error) {
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		return "", fmt.Errorf("dpop: signing a proof: %w", err)
	}
	signature := make([]byte, 2*coordinate)
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	proof := input + "." + b64.EncodeToString(signature)
	if len(proof) > maxProof {
		return "", fmt.Errorf("dpop: a proof of %d bytes is over %d", len(proof), maxProof)
	}
	return proof, nil
}

func withoutQuery(url string) string {
	if end := strings.IndexAny(url, "?#"); end >= 0 {
		return url[:end]
	}
	return url
}
