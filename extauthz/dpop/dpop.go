// Package dpop makes and verifies proofs of possession (DPoP, RFC 9449): a client signs each request with a key of its own,
// so that an access token that leaks is worth nothing without the key.
//
// It owns the client's key, the form of a proof, what a proof must say of its request (section 4.3) and that it works once
// (section 11.1), and for the client's side a Transport that adds proofs to requests. It does not know tokens beyond their hash, issues no nonces and checks none: a Verified carries the proof's
// nonce for whoever gave it out. It keeps no marks of used proofs itself, and never fetches anything.
package dpop

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// What a caller of Verify branches on, and what a Replay tells Verify.
var (
	// ErrProof says that the proof is refused: 400 invalid_dpop_proof at the token endpoint (RFC 9449, 5), 401 at a resource
	// (7.1). It wraps the precise cause, which is for the log alone and holds nothing of the proof. Any other error of
	// Verify means that the proof could not be judged: 503.
	ErrProof = errors.New("dpop: proof refused")
	// ErrSeen is a Replay's answer when it has the mark already.
	ErrSeen = errors.New("dpop: proof used before")
)

// Replay keeps marks of used proofs. Add sets a mark that lives until expires, atomically, and answers ErrSeen if it lives
// already; any other error means that the store could not answer. A key is 43 characters of base64url and tells nothing.
// A store that several processes share makes a proof work once among all of them.
type Replay interface {
	Add(ctx context.Context, key string, expires time.Time) error
}

// Verifier verifies proofs. Behind and Replay are required: without one of them no proof can be judged. Its methods may be
// called in parallel if Replay's may.
type Verifier struct {
	Ahead  time.Duration    // how far iat may lie ahead: what clocks may differ by
	Behind time.Duration    // how old iat may be: the life of a proof
	Now    func() time.Time // nil: time.Now
	Replay Replay
}

// Want is what a proof must be for. Method and URL are required, and Thumbprint is wherever there is an AccessToken:
// without them every proof is refused.
type Want struct {
	Method      string // the request's, exactly
	URL         string // the request's, absolute, http or https; its query and fragment do not count
	AccessToken string // the token that the proof came with; "": none, so the proof must have no ath
	Thumbprint  string // the key's (cnf.jkt of the token, or dpop_jkt: RFC 9449, 6.1 and 10); "": any key
}

// Verified is what a good proof says beyond what was wanted.
type Verified struct {
	Thumbprint string // RFC 7638, SHA-256, base64url: the jkt
	Nonce      string // not checked (RFC 9449, 8); "": none
}

// Verify judges the DPoP header of a request, given as all of its lines.
//
// It follows RFC 9449, 4.3, and is narrower where that leaves room: ES256 and PS256 only, no JOSE header parameter that
// must be understood or names another key, an ath only beside an access token. Everything cheap is checked before the signature, and the mark of
// use is set last, so that a refused proof leaves nothing behind. A stranger can make a good proof with a key of his own;
// where each one must not cost a mark, verify the client or the token first.
//
// An error is ErrProof, or else the proof could not be judged.
func (v Verifier) Verify(ctx context.Context, proofs []string, want Want) (Verified, error) {
	if v.Replay == nil || v.Behind <= 0 || v.Ahead < 0 {
		return Verified{}, errors.New("dpop: a verifier without a window of time or a store of marks")
	}
	p, err := v.judge(proofs, want)
	if err != nil {
		return Verified{}, refused(err)
	}
	err = v.Replay.Add(ctx, p.mark(), v.forget(p))
	if errors.Is(err, ErrSeen) {
		return Verified{}, refused(ErrSeen)
	}
	if err != nil {
		return Verified{}, fmt.Errorf("dpop: marking a proof as used: %w", err)
	}
	return Verified{Thumbprint: p.key.thumbprint, Nonce: p.claims.Nonce}, nil
}

// Nonce is what the one proof of a request names as its nonce, "" if it names none; ok is false where there is no proof that can be read.
// Nothing about the proof is verified: it is for a server that asks for a nonce before it looks at anything else.
func Nonce(proofs []string) (nonce string, ok bool) {
	if len(proofs) != 1 {
		return "", false
	}
	p, err := parse(proofs[0])
	return p.claims.Nonce, err == nil
}

func refused(cause error) error { return fmt.Errorf("%w: %w", ErrProof, cause) }

// judge has no effects.
func (v Verifier) judge(proofs []string, want Want) (proof, error) {
	if len(proofs) != 1 { // RFC 9449, 4.3, 1: with two, each reader could take another
		return proof{}, fmt.Errorf("%d headers", len(proofs))
	}
	p, err := parse(proofs[0])
	if err != nil {
		return proof{}, err
	}
	if err := v.checkTime(p.claims.IssuedAt); err != nil {
		return proof{}, err
	}
	if err := want.check(p); err != nil {
		return proof{}, err
	}
	return p, p.checkSignature()
}

// checkTime: RFC 9449, 4.3, 11 and 11.1.
func (v Verifier) checkTime(issued int64) error {
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	switch at, now := time.Unix(issued, 0), now(); {
	case at.After(now.Add(v.Ahead)):
		return errors.New("iat is in the future")
	case at.Before(now.Add(-v.Behind)):
		return errors.New("iat is too long ago")
	}
	return nil
}

// forget is when a mark may go: not before the last of several verifiers, whose clocks may differ by what a client's may,
// would refuse the proof for its age. The second is for the instant at which Behind is over, when the proof still passes.
func (v Verifier) forget(p proof) time.Time {
	return time.Unix(p.claims.IssuedAt, 0).Add(v.Behind + v.Ahead + time.Second)
}

func (w Want) check(p proof) error {
	if w.Method == "" || w.URL == "" {
		return errors.New("nothing is wanted of it")
	}
	if p.claims.Method != w.Method { // RFC 9449, 4.3, 8; methods are case-sensitive (RFC 9110, 9.1)
		return errors.New("htm is another method")
	}
	if err := sameTarget(p.claims.URL, w.URL); err != nil { // RFC 9449, 4.3, 9
		return err
	}
	if err := w.checkToken(p); err != nil {
		return err
	}
	if w.Thumbprint != "" && p.key.thumbprint != w.Thumbprint {
		return errors.New("another key than the bound one")
	}
	return nil
}

// checkToken: RFC 9449, 4.3, 12. A proof that was made for a token is not one for a request without it, nor the other way
// round.
func (w Want) checkToken(p proof) error {
	switch {
	case w.AccessToken == "" && p.claims.TokenHash != "":
		return errors.New("ath, without an access token")
	case w.AccessToken == "":
		return nil
	case w.Thumbprint == "": // a token that is bound to no key must not pass with everybody's
		return errors.New("an access token without the key that it is bound to")
	case p.claims.TokenHash == "":
		return errors.New("no ath")
	case p.claims.TokenHash != tokenHash(w.AccessToken):
		return errors.New("ath is another token's")
	}
	return nil
}

// tokenHash is the ath of a token (RFC 9449, 4.2).
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return b64.EncodeToString(sum[:])
}
