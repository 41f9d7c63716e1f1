package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// The algorithms that are accepted: asymmetric and of FAPI 2.0 (RFC 9449, 4.3, 5). There is no list to configure, so none,
// HS256 and RS256 cannot come back by configuration.
const (
	es256 = "ES256"
	ps256 = "PS256"
)

const (
	coordinate             = 32 // of a point on P-256, and r and s of its signatures, in bytes
	minBits, maxBits       = 2048, 4096
	maxExponent            = 4         // in bytes
	minExponent      int64 = 3         // with 1, every message is its own signature
	mostExponent     int64 = 1<<31 - 1 // what crypto/rsa takes
)

// publicKey is the key in a proof. It comes from whoever made the proof and is worth what its thumbprint is compared with.
type publicKey struct {
	ec         *ecdsa.PublicKey // for ES256
	rsa        *rsa.PublicKey   // for PS256, if ec is nil
	thumbprint string
}

// The members of a public key by its type (RFC 7518, 6.2.1 and 6.3.1), and those that may stand beside them in any key.
// Nothing else may: neither a private member (RFC 9449, 4.3, 7), which would tell that the key is everybody's, nor one that
// points to a certificate.
var (
	ecMembers  = []string{"kty", "crv", "x", "y"}
	rsaMembers = []string{"kty", "n", "e"}
	asides     = []string{"kid", "alg", "use"}
)

// parsePublic reads the jwk of a header with this alg. A key has one spelling, so it has one thumbprint.
func parsePublic(alg string, raw json.RawMessage) (publicKey, error) {
	var parse func(map[string]string) (publicKey, error)
	var own []string
	switch alg {
	case es256:
		parse, own = parseEC, ecMembers
	case ps256:
		parse, own = parseRSA, rsaMembers
	default:
		return publicKey{}, errors.New("alg is not accepted")
	}
	jwk, err := texts(raw, own)
	if err != nil {
		return publicKey{}, fmt.Errorf("jwk: %w", err)
	}
	if use, has := jwk["use"]; has && use != "sig" { // RFC 7517, 4.2
		return publicKey{}, errors.New("jwk: use is not sig")
	}
	if named, has := jwk["alg"]; has && named != alg { // RFC 7517, 4.4
		return publicKey{}, errors.New("jwk: alg is another")
	}
	key, err := parse(jwk)
	if err != nil {
		return publicKey{}, fmt.Errorf("jwk: %w", err)
	}
	return key, nil
}

// texts reads a key's members, all of which are texts: all of own, and of the asides what there is.
func texts(raw json.RawMessage, own []string) (map[string]string, error) {
	found, err := object(raw)
	if err != nil {
		return nil, err
	}
	read := make(map[string]string, len(found))
	for name, value := range found {
		if !slices.Contains(own, name) && !slices.Contains(asides, name) {
			return nil, errors.New("a member that a public key for this alg does not have")
		}
		var isText bool
		if read[name], isText = text(value); !isText {
			return nil, errors.New("a member that is no text")
		}
	}
	for _, name := range own {
		if read[name] == "" {
			return nil, fmt.Errorf("no %s", name)
		}
	}
	return read, nil
}

// parseEC: RFC 7518, 6.2.1; x and y have the full 32 bytes.
func parseEC(jwk map[string]string) (publicKey, error) {
	if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
		return publicKey{}, errors.New("not a key on P-256")
	}
	x, errX := decode(jwk["x"])
	y, errY := decode(jwk["y"])
	if errX != nil || errY != nil || len(x) != coordinate || len(y) != coordinate {
		return publicKey{}, errors.New("x or y is not 32 bytes in base64url")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return publicKey{}, errors.New("not a point on the curve")
	}
	return publicKey{ec: public, thumbprint: thumbprint(canonicalEC(jwk["x"], jwk["y"]))}, nil
}

// parseRSA: RFC 7518, 6.3.1; n and e are without leading zeros (section 2, Base64urlUInt). A larger key than 4096 bits only
// costs us time.
func parseRSA(jwk map[string]string) (publicKey, error) {
	if jwk["kty"] != "RSA" {
		return publicKey{}, errors.New("not an RSA key")
	}
	n, errN := decode(jwk["n"])
	e, errE := decode(jwk["e"])
	if errN != nil || errE != nil || n[0] == 0 || e[0] == 0 || len(e) > maxExponent {
		return publicKey{}, errors.New("n or e is not a number in base64url")
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e).Int64()
	if bits := modulus.BitLen(); bits < minBits || bits > maxBits || modulus.Bit(0) == 0 {
		return publicKey{}, fmt.Errorf("n is not an odd number of %d to %d bits", minBits, maxBits)
	}
	if exponent < minExponent || exponent > mostExponent || exponent&1 == 0 {
		return publicKey{}, errors.New("e is out of bounds or even")
	}
	canonical := fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, jwk["e"], jwk["n"])
	return publicKey{rsa: &rsa.PublicKey{N: modulus, E: int(exponent)}, thumbprint: thumbprint(canonical)}, nil
}

// canonicalEC is a key as RFC 7638, 3.2 and 3.3, hashes it. x and y are base64url.
func canonicalEC(x, y string) string {
	return `{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`
}

func thumbprint(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return b64.EncodeToString(sum[:])
}

// checkSignature: RFC 9449, 4.3, 6.
func (p proof) checkSignature() error {
	digest := sha256.Sum256([]byte(p.input))
	if !p.key.verifies(digest[:], p.signature) {
		return errors.New("the signature is not the key's")
	}
	return nil
}

func (k publicKey) verifies(digest, signature []byte) bool {
	if k.ec == nil { // RFC 7518, 3.5: the salt is as long as the hash
		return rsa.VerifyPSS(k.rsa, crypto.SHA256, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	if len(signature) != 2*coordinate { // RFC 7518, 3.4
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
	return ecdsa.Verify(k.ec, digest, r, s)
}
