package dpop

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	proofType = "dpop+jwt"
	maxProof  = 8 << 10 // of a whole proof, in bytes
	maxID     = 128     // of a jti, in bytes
)

// proof is one that has the right form; nothing in it is proved before checkSignature.
type proof struct {
	key       publicKey
	claims    claims
	input     string // what is signed
	signature []byte
}

// claims are those of RFC 9449, 4.2. Others mean nothing.
type claims struct {
	ID        string `json:"jti"`
	Method    string `json:"htm"`
	URL       string `json:"htu"`
	IssuedAt  int64  `json:"iat"`             // seconds since 1970
	TokenHash string `json:"ath,omitempty"`   // "": there is none
	Nonce     string `json:"nonce,omitempty"` // "": there is none
}

// parse reads a compact JWS (RFC 9449, 4.3, 2; RFC 7515, 7.1). Three segments leave no room for a JWE, strict base64url
// none for the comma with which a proxy joins two headers.
func parse(compact string) (p proof, err error) {
	if len(compact) > maxProof {
		return p, errors.New("too long")
	}
	if strings.Count(compact, ".") != 2 {
		return p, errors.New("not three segments")
	}
	last := strings.LastIndexByte(compact, '.')
	p.input = compact[:last]
	head, payload, _ := strings.Cut(p.input, ".")
	var raw [3][]byte
	for i, segment := range []string{head, payload, compact[last+1:]} {
		if raw[i], err = decode(segment); err != nil {
			return p, fmt.Errorf("segment %d: %w", i+1, err)
		}
	}
	p.signature = raw[2]
	if p.key, err = parseHeader(raw[0]); err != nil {
		return p, fmt.Errorf("header: %w", err)
	}
	if p.claims, err = parseClaims(raw[1]); err != nil {
		return p, fmt.Errorf("claims: %w", err)
	}
	return p, nil
}

// refusedHeader are the JOSE header parameters that a proof must not have: those that must be understood (crit, b64: RFC 7515, 4.1.11, RFC
// 7797, 3), that name another key than the one inside (RFC 8725, 3.10), or that change what the text is (RFC 7516, 4.1).
var refusedHeader = []string{"crit", "b64", "kid", "jku", "x5u", "x5c", "x5t", "x5t#S256", "cty", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"}

// parseHeader wants typ, alg and jwk. Parameters that nobody knows mean nothing (RFC 7515, 4).
func parseHeader(raw []byte) (publicKey, error) {
	found, err := object(raw)
	if err != nil {
		return publicKey{}, err
	}
	typ, isText := text(found["typ"])
	if !isText || typ != proofType { // RFC 9449, 4.3, 4; RFC 8725, 3.11: no other kind of token is a proof
		return publicKey{}, errors.New("typ is not dpop+jwt")
	}
	for _, name := range refusedHeader {
		if _, there := found[name]; there {
			return publicKey{}, errors.New("a header parameter that a proof must not have")
		}
	}
	if found["jwk"] == nil {
		return publicKey{}, errors.New("no jwk")
	}
	alg, _ := text(found["alg"])
	return parsePublic(alg, found["jwk"])
}

// parseClaims: RFC 9449, 4.3, 3.
func parseClaims(raw []byte) (c claims, err error) {
	found, err := object(raw)
	if err != nil {
		return c, err
	}
	for _, claim := range []struct {
		name     string
		into     *string
		optional bool
	}{{"jti", &c.ID, false}, {"htm", &c.Method, false}, {"htu", &c.URL, false}, {"ath", &c.TokenHash, true}, {"nonce", &c.Nonce, true}} {
		value, present := found[claim.name]
		if claim.optional && !present {
			continue
		}
		var isText bool
		if *claim.into, isText = text(value); !isText || *claim.into == "" {
			return c, fmt.Errorf("%s is no text or empty", claim.name)
		}
	}
	if len(c.ID) > maxID {
		return c, errors.New("jti is too long")
	}
	c.IssuedAt, err = seconds(found["iat"])
	return c, err
}

// seconds reads a date in whole seconds: digits alone, so that all readers take it for the same number.
func seconds(raw json.RawMessage) (int64, error) {
	if len(raw) == 0 || len(raw) > 12 || strings.Trim(string(raw), "0123456789") != "" {
		return 0, errors.New("iat is no whole number of seconds")
	}
	return strconv.ParseInt(string(raw), 10, 64)
}

// mark names the use of a proof: its jti, under its key, since one client's choice of jti must not shut out another's. It
// is a hash so that the store learns nothing and its keys have one length (RFC 9449, 11.1).
func (p proof) mark() string {
	sum := sha256.Sum256([]byte(p.key.thumbprint + p.claims.ID)) // a thumbprint has one length, so this is unambiguous
	return b64.EncodeToString(sum[:])
}
