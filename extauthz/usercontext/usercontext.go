// Package usercontext is the User Context Token (UCT): the short-lived signed JWT (RFC 7519) by which a product learns for whom a request
// runs. It owns the claims, the header, minting with a small cache, verification, and a middleware for backends in Go.
//
// A UCT names one product as its audience and is no use at another. It is not an access token: nothing but a product accepts it.
package usercontext

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"isogate/extauthz/keys"
)

// The token on the wire.
const (
	Header   = "x-user-context-token" // the raw JWT, without a scheme
	Type     = "uct+jwt"              // its typ (RFC 8725 section 3.11): no other token of ours has it
	JWKSPath = "/.well-known/uct/jwks.json"

	Lifetime = 300 * time.Second // from minting to exp
	Reserve  = 60 * time.Second  // what is left at least when a token is handed out
	MaxSize  = 4 << 10           // bytes; a person whose claims do not fit is refused at sign-in
)

// Claims are what a UCT says. Times are Unix seconds.
type Claims struct {
	Issuer   string   `json:"iss"` // the auth host's external URL
	Subject  string   `json:"sub"` // opaque, stable user id
	Audience string   `json:"aud"` // the product's id
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Session  string   `json:"sid"`       // the session inside
	AuthTime int64    `json:"auth_time"` // 0 in a token for the OAuth server where the provider did not say it
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	CloudID  string   `json:"isolated_cloud_id"`

	// Who acts in the person's name (RFC 8693 section 4.1), in a token for a call that comes through the gateway.
	Act *Actor `json:"act,omitempty"`

	// Only for the OAuth server.
	Managed       *bool `json:"managed,omitempty"`        // whether the person's e-mail domain is a verified one of the organisation
	SessionExpiry int64 `json:"session_expiry,omitempty"` // when the session ends for commercial services if nothing more happens
	SignedIn      int64 `json:"signed_in,omitempty"`      // when the person's latest sign-in came back here, by our own clock

	// Only what the product's entry asks for.
	Email  string   `json:"email,omitempty"`
	Name   string   `json:"name,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// Actor is a commercial service that calls on behalf of a person.
type Actor struct {
	Subject string `json:"sub"` // its SPIFFE id
}

// ErrInvalid means that a token must not be believed. ErrUnavailable means that this could not be found out, because the issuer's keys
// cannot be had.
var (
	ErrInvalid     = errors.New("usercontext: invalid token")
	ErrUnavailable = errors.New("usercontext: the issuer's keys cannot be had")
)

// Verifier believes the tokens of one issuer for one product.
type Verifier struct {
	Issuer   string           // the auth host's external URL
	Audience string           // the product's id
	Keys     keys.KeySource   // the issuer's JWKS
	Now      func() time.Time // time.Now if nil
}

// Verify checks type, signature, issuer, audience and time, in the order that keys.Verify documents, and gives the claims.
func (v Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	now := v.Now
	if now == nil {
		now = time.Now
	}
	raw, err := keys.Verify(ctx, token, v.Keys, keys.Expect{
		Type: Type, Issuer: v.Issuer, Audience: v.Audience, Now: now, Skew: 5 * time.Second,
	})
	switch {
	case errors.Is(err, keys.ErrKeys):
		return Claims{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var c Claims
	if err := json.Unmarshal(raw, &c); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if c.Subject == "" || c.CloudID == "" {
		return Claims{}, fmt.Errorf("%w: sub or isolated_cloud_id is missing", ErrInvalid)
	}
	return c, nil
}
