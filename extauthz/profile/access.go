package profile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// Grants is what the judgement of an access token needs of the sessions.
type Grants interface {
	Granted(ctx context.Context, id, client string, p session.Policies) (session.Grant, error)
}

// Access judges the access tokens with which commercial services come: the OAuth server's, bound to a key by DPoP (RFC 9449). No other
// token passes for one, whoever signed it.
type Access struct {
	Issuer   string // the OAuth server's
	Audience string // this cloud's
	Keys     keys.KeySource
	Tokens   *Tokens // of this issuer, for this audience
	Proofs   *Marks
	Grants   Grants
	Policies session.Policies
	Now      func() time.Time
}

// Presented is what a request brings: all lines of its authorization and dpop headers, and what it asks for.
type Presented struct {
	Authorization, Proofs []string
	Method, URL           string
	Request               string // its name, see Marks.For
}

// Believed is a token that was believed, and the living grant behind it.
type Believed struct {
	Subject string // the person as the client knows them
	session.Grant
}

// What a caller branches on, beside dpop.ErrProof. Every other error means that it could not be found out: 503.
var (
	// ErrNoToken means that the request brings no access token, or not as exactly one header of the DPoP scheme (RFC 9449 section 7.1).
	ErrNoToken = errors.New("profile: no access token")
	// ErrToken means that the token is not to be believed.
	ErrToken = errors.New("profile: access token refused")
	// ErrDead means that the token was good, but that its session or grant has ended, or its client or the person's domain is gone.
	ErrDead = errors.New("profile: the grant of an access token has ended")
)

// Challenge is the WWW-Authenticate of the 401 for an error of Judge (RFC 9449 section 7.1), "" for an error that is no 401. A request that brings no
// token is told no error (RFC 6750 section 3.1).
func Challenge(err error) string {
	const algorithms = `algs="ES256 PS256"`
	switch {
	case errors.Is(err, ErrNoToken):
		return "DPoP " + algorithms
	case errors.Is(err, ErrToken), errors.Is(err, ErrDead):
		return `DPoP error="invalid_token", ` + algorithms
	case errors.Is(err, dpop.ErrProof):
		return `DPoP error="invalid_dpop_proof", ` + algorithms
	}
	return ""
}

// accessClaims are those of an access token (RFC 9068 section 2.2) that are read once it has been verified.
type accessClaims struct {
	Expires float64 `json:"exp"` // Unix seconds
	Subject string  `json:"sub"`
	Grant   string  `json:"sid"`
	Client  string  `json:"client_id"`
	Bound   struct {
		Thumbprint string `json:"jkt"`
	} `json:"cnf"` // RFC 9449 section 6.1
}

// Judge believes a token, its proof, and that the grant lives, in this order: nothing is looked up or marked as used for what is forged.
func (a Access) Judge(ctx context.Context, p Presented) (Believed, error) {
	token, err := bearer(p.Authorization)
	if err != nil {
		return Believed{}, err
	}
	claims, err := a.Tokens.known(ctx, token, a)
	if err != nil {
		return Believed{}, err
	}
	if _, err := a.Proofs.For(p.Request).Verify(ctx, p.Proofs, dpop.Want{Method: p.Method, URL: p.URL, AccessToken: token, Thumbprint: claims.Bound.Thumbprint}); err != nil {
		return Believed{}, err
	}
	granted, err := a.Grants.Granted(ctx, claims.Grant, claims.Client, a.Policies)
	if errors.Is(err, session.ErrNone) {
		return Believed{}, ErrDead
	} else if err != nil {
		return Believed{}, err
	}
	return Believed{Subject: claims.Subject, Grant: granted}, nil
}

// bearer takes the token out of the one authorization header. The scheme's case does not count (RFC 9110 section 11.1).
func bearer(lines []string) (string, error) {
	if len(lines) != 1 {
		return "", ErrNoToken
	}
	scheme, token, ok := strings.Cut(lines[0], " ")
	if !ok || !strings.EqualFold(scheme, "DPoP") || token == "" {
		return "", ErrNoToken
	}
	return token, nil
}

// read believes a token for what it says itself, and tells which key it was believed by.
func (a Access) read(ctx context.Context, token string) (accessClaims, used, error) {
	source := recorder{KeySource: a.Keys}
	raw, err := keys.Verify(ctx, token, &source, keys.Expect{
		Type: "at+jwt", Issuer: a.Issuer, Audience: a.Audience, Now: a.Now, Skew: 5 * time.Second,
	})
	if errors.Is(err, keys.ErrKeys) {
		return accessClaims{}, used{}, fmt.Errorf("profile: an access token: %w", err)
	} else if err != nil {
		return accessClaims{}, used{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	var claims accessClaims
	if err := json.Unmarshal(raw, &claims); err != nil {
		return accessClaims{}, used{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if claims.Subject == "" || claims.Grant == "" || claims.Client == "" || claims.Bound.Thumbprint == "" {
		return accessClaims{}, used{}, fmt.Errorf("%w: sub, sid, client_id or cnf.jkt is missing", ErrToken)
	}
	return claims, source.used, nil
}
