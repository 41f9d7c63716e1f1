package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/grant"
	"isogate/extauthz/page"
	"isogate/oidcprovider/code"
)

const (
	proofLifetime = 60 * time.Second // of a DPoP proof, from its iat
	endTimeout    = 5 * time.Second  // for ending a grant
)

// badCode is one text for whatever is wrong with a code: who holds a stolen one must not learn what is missing.
const badCode = "the code is unknown, expired or used up, or it was not issued for this client, redirect_uri, code_verifier and DPoP key"

func codeFault(cause error) fault {
	f := wrong(invalidGrant, badCode)
	f.Cause = cause
	return f
}

// exchange answers the token endpoint (RFC 6749 section 4.1.3, RFC 9449 section 5). Every answer but a 503 carries a fresh nonce, so that
// a client that goes on always has one (RFC 9449 section 8.2).
func (p *Provider) exchange(r *http.Request) (page.Answer, error) {
	answer, err := p.redeem(r)
	var f fault
	switch {
	case errors.As(err, &f):
		return page.Answer{}, f.with("dpop-nonce", p.nonce())
	case err != nil:
		return page.Answer{}, err
	}
	return answer.With("dpop-nonce", p.nonce()), nil
}

// redeem makes tokens of a code. Everything that can be refused without the code is refused before the code is taken.
func (p *Provider) redeem(r *http.Request) (page.Answer, error) {
	f, err := parseForm(r)
	if err != nil {
		return page.Answer{}, err
	}
	client, assertion, err := p.identify(r, f)
	if err != nil {
		return page.Answer{}, err
	}
	presented, err := present(f)
	if err != nil {
		return page.Answer{}, err
	}
	if nonce, ok := dpop.Nonce(r.Header.Values("Dpop")); ok && !p.fresh(nonce) { // RFC 9449 section 8: come again, with the same assertion too
		return page.Answer{}, wrong(useDPoPNonce, "the DPoP proof needs the nonce of this answer's DPoP-Nonce header")
	}
	if err := p.spend(r.Context(), assertion); err != nil {
		return page.Answer{}, err
	}
	proof, err := p.prove(r, PathToken)
	if err != nil {
		return page.Answer{}, err
	}
	presented.thumbprint = proof.Thumbprint
	unlock, err := p.Codes.Lock(r.Context(), presented.code)
	if err != nil {
		return page.Answer{}, err
	}
	defer unlock()
	c, err := p.take(r.Context(), client, presented)
	if err != nil {
		return page.Answer{}, err
	}
	issued, err := p.issue(r.Context(), client, c, presented.thumbprint)
	if err != nil {
		return page.Answer{}, p.undo(r.Context(), c, err)
	}
	return jsonAnswer(http.StatusOK, issued), nil
}

// presented is what a client brings to redeem a code.
type presented struct {
	code        string
	redirectURI string
	verifier    string // code_verifier; "" matches no challenge
	thumbprint  string // of the key that made the DPoP proof
}

// present reads all of a token request that the form holds.
func present(f form) (is presented, err error) {
	kind, err := f.required("grant_type")
	if err != nil {
		return is, err
	}
	if kind != "authorization_code" {
		return is, wrong(unsupportedGrantType, "grant_type must be authorization_code")
	}
	if is.code, err = f.required("code"); err != nil {
		return is, err
	}
	if is.redirectURI, err = f.required("redirect_uri"); err != nil { // RFC 6749 section 4.1.3: it was in the authorization request
		return is, err
	}
	is.verifier = f["code_verifier"] // missing: invalid_grant, as every other that does not match (RFC 7636 section 4.6)
	return is, nil
}

// take takes the code, and ends its grant unless everything matches. Whoever brings a code twice, or to another client, or without what
// its owner has, may have stolen it, and nobody can tell which of two uses is the owner's (RFC 6749 sections 4.1.2 and 10.5).
func (p *Provider) take(ctx context.Context, client *Client, is presented) (code.Code, error) {
	c, err := p.Codes.Redeem(ctx, is.code)
	switch {
	case errors.Is(err, code.ErrNone):
		return code.Code{}, codeFault(err)
	case errors.Is(err, code.ErrUsed):
		return code.Code{}, p.undo(ctx, c, codeFault(err))
	case err != nil:
		return code.Code{}, err
	}
	if err := is.matches(client, c.Request); err != nil {
		return code.Code{}, p.undo(ctx, c, codeFault(err))
	}
	return c, nil
}

// matches compares a token request with the authorization request that the code came from.
func (is presented) matches(client *Client, pushed code.Request) error {
	switch {
	case pushed.Client != client.ID: // RFC 6749 section 4.1.3
		return errors.New("a code of another client")
	case pushed.RedirectURI != is.redirectURI: // the same
		return errors.New("another redirect_uri than the one that was pushed")
	case !verifies(is.verifier, pushed.Challenge): // RFC 7636 section 4.6
		return errors.New("a code_verifier that does not match")
	case pushed.Thumbprint != "" && pushed.Thumbprint != is.thumbprint: // RFC 9449 section 10
		return errors.New("another DPoP key than the code is bound to")
	}
	return nil
}

var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636 section 4.1

func verifies(text, challenge string) bool {
	sum := sha256.Sum256([]byte(text))
	found := base64.RawURLEncoding.EncodeToString(sum[:])
	return verifier.MatchString(text) && subtle.ConstantTimeCompare([]byte(found), []byte(challenge)) == 1
}

// undo ends the grant of a code that gave no tokens, or that came a second time, and returns the cause. The client may hang up at any
// moment, so its context does not count. If the grant cannot be ended, that is the error: the client comes again, and so do we.
func (p *Provider) undo(ctx context.Context, c code.Code, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := p.Grants.End(ctx, c.Grant, c.Request.Client); err != nil {
		return fmt.Errorf("provider: ending a grant (%v): %w", cause, err) // not %w: a fault in it would be the answer
	}
	return cause
}

// keep redeems the grant, and gives the moment when its session ends as far as is known now. The code is gone by then: where extauthz cannot
// be asked nothing is issued, the client is told 503, and the person has to come by again.
func (p *Provider) keep(ctx context.Context, c code.Code) (time.Time, error) {
	opened, err := p.Grants.Redeem(ctx, c.Grant, c.Request.Client)
	if errors.Is(err, grant.ErrNone) {
		return time.Time{}, codeFault(err)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("provider: redeeming a grant: %w", err)
	}
	if !opened.Expiry.After(p.Now()) {
		return time.Time{}, codeFault(errors.New("the session is over"))
	}
	return opened.Expiry, nil
}
