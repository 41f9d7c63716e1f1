package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// maxToken bounds a token, in bytes.
const maxToken = 8 << 10

// Expect is what a token must be. Type, Issuer and Audience are required: without one of them every token is refused.
type Expect struct {
	Type       string           // the header's typ, exactly (RFC 8725, 3.11)
	OtherTypes []string         // what else typ may be; "": absent, for what was specified before types were (RFC 7523)
	Algorithms []string         // of "ES256" and "PS256"; none: ES256
	Issuer     string           // iss, exactly
	Audience   string           // aud, which must be this one string and no array
	Now        func() time.Time // nil: time.Now
	Skew       time.Duration    // how far the issuer's clock may differ, for exp, nbf and iat
}

// header is the whole of a JOSE header that we write or accept.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"` // "": absent
}

// parsed is a token that has the right form; nothing in it is proved.
type parsed struct {
	header    header
	input     string // what is signed
	payload   []byte
	signature []byte
}

// Verify returns the claims of a compact JWS that is what e says and that one of the issuer's keys signed.
//
// Before any key is looked at it refuses: more than 8 KB, other than three segments of strict base64url, a header with
// anything beside alg, kid and typ (so crit, jku, x5u, jwk, zip, b64 and p2c never mean anything), another typ, an
// algorithm that is not expected. The key's own algorithm must be the header's (RFC 8725, 3.1). After the signature it
// demands iss, aud and an exp that has not come, and that iat and nbf, where present, have.
//
// An error is ErrToken (the token is refused) or ErrKeys (it could not be judged); either wraps the cause, which holds
// nothing of the token.
func Verify(ctx context.Context, token string, keys KeySource, e Expect) ([]byte, error) {
	t, err := parse(token)
	if err != nil {
		return nil, refused(err)
	}
	if err := e.checkHeader(t.header); err != nil {
		return nil, refused(err)
	}
	key, err := keys.Key(ctx, t.header.KeyID)
	if errors.Is(err, ErrNoKey) {
		return nil, refused(err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if err := t.checkSignature(key); err != nil {
		return nil, refused(err)
	}
	if err := e.checkClaims(t.payload); err != nil {
		return nil, refused(err)
	}
	return t.payload, nil
}

func refused(cause error) error { return fmt.Errorf("%w: %w", ErrToken, cause) }

// Unverified returns one claim, a text, of a token that has the right form. Nobody has vouched for it: it may only choose whose keys Verify
// then looks at, with an Expect that demands the same claim. An error is ErrToken.
func Unverified(token, claim string) (string, error) {
	t, err := parse(token)
	if err != nil {
		return "", refused(err)
	}
	claims, err := object(t.payload)
	if err != nil {
		return "", refused(fmt.Errorf("claims: %w", err))
	}
	value, ok := text(claims.get(claim))
	if !ok {
		return "", refused(errors.New("a claim that is no text"))
	}
	return value, nil
}

func parse(token string) (t parsed, err error) {
	if len(token) > maxToken {
		return t, errors.New("too long")
	}
	if strings.Count(token, ".") != 2 {
		return t, errors.New("not three segments")
	}
	last := strings.LastIndexByte(token, '.')
	t.input = token[:last]
	head, payload, _ := strings.Cut(t.input, ".")
	var raw [3][]byte
	for i, segment := range []string{head, payload, token[last+1:]} {
		if raw[i], err = decode(segment); err != nil || len(raw[i]) == 0 {
			return t, fmt.Errorf("segment %d is empty or not base64url", i+1)
		}
	}
	t.payload, t.signature = raw[1], raw[2]
	t.header, err = parseHeader(raw[0])
	return t, err
}

// parseHeader wants two strings and at most a third, and so leaves no room for a header parameter that would need to be understood
// (RFC 7515, 4.1.11) or that names a key (RFC 8725, 3.10).
func parseHeader(raw []byte) (h header, err error) {
	found, err := object(raw)
	if err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	known := 2
	if raw := found.get("typ"); raw != nil {
		known = 3
		if h.Type, _ = text(raw); h.Type == "" {
			return h, errors.New("header with a typ that is no type")
		}
	}
	if len(found) != known {
		return h, errors.New("header with other than alg, kid and typ")
	}
	var alg, kid bool
	h.Algorithm, alg = text(found.get("alg"))
	h.KeyID, kid = text(found.get("kid"))
	if !alg || !kid || h.KeyID == "" {
		return h, errors.New("header without alg or kid")
	}
	return h, nil
}

func (e Expect) checkHeader(h header) error {
	if e.Type == "" || e.Issuer == "" || e.Audience == "" {
		return errors.New("nothing is expected of it")
	}
	if h.Type != e.Type && !slices.Contains(e.OtherTypes, h.Type) {
		return errors.New("another type of token")
	}
	algorithms := e.Algorithms
	if len(algorithms) == 0 {
		algorithms = []string{"ES256"}
	}
	if !slices.Contains(algorithms, h.Algorithm) {
		return errors.New("an algorithm that is not expected")
	}
	return nil
}

// checkSignature takes the algorithm from the key. That the header names the same one is checked here; that it is an
// expected one was checked before.
func (t parsed) checkSignature(key Key) error {
	if key.algorithm != t.header.Algorithm {
		return errors.New("the key is for another algorithm")
	}
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(key.algorithm))
	if err != nil {
		return err
	}
	if err := verifier.Verify([]byte(t.input), t.signature, key.public); err != nil {
		return errors.New("the signature is not the key's")
	}
	return nil
}

func (e Expect) checkClaims(payload []byte) error {
	claims, err := object(payload)
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	if iss, ok := text(claims.get("iss")); !ok || iss != e.Issuer {
		return errors.New("another issuer")
	}
	if aud, ok := text(claims.get("aud")); !ok || aud != e.Audience {
		return errors.New("another audience")
	}
	return e.checkTimes(claims)
}

func (e Expect) checkTimes(claims members) error {
	clock := e.Now
	if clock == nil {
		clock = time.Now
	}
	now, skew := float64(clock().UnixMilli())/1e3, e.Skew.Seconds()
	if exp, ok := date(claims.get("exp")); !ok || now >= exp+skew {
		return errors.New("expired, or without an expiry")
	}
	for _, name := range []string{"iat", "nbf"} {
		raw := claims.get(name)
		if from, ok := date(raw); raw != nil && (!ok || from > now+skew) {
			return fmt.Errorf("%s is in the future or no date", name)
		}
	}
	return nil
}
