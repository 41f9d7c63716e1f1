package provider

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"isogate/extauthz/keys"
	"isogate/oidcprovider/code"
)

// The tokens on the wire. Their types keep one from being taken for another (RFC 8725 section 3.11).
const (
	idTokenType     = "JWT"
	accessTokenType = "at+jwt" // RFC 9068 section 2.1

	idTokenLifetime     = 300 * time.Second
	accessTokenLifetime = 24 * time.Hour // it opens nothing once its grant has ended, which is looked up at each use
)

// issued is the answer of the token endpoint (RFC 6749 section 5.1, OpenID Connect Core 1.0 section 3.1.3.3).
type issued struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"` // RFC 9449 section 5
	Expires     int64  `json:"expires_in"` // seconds
	IDToken     string `json:"id_token"`
	Scope       string `json:"scope"` // REQUIRED where it is not what was asked: other scopes mean nothing here
}

// idClaims say who signed in and until when the session may last. There is no name and no address in them, and amr stays inside.
type idClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"` // pairwise
	Audience string `json:"aud"` // the client, as one string
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	Nonce    string `json:"nonce,omitempty"`
	AuthTime int64  `json:"auth_time,omitempty"` // only if max_age was asked: then it is REQUIRED (OpenID Connect Core 1.0 section 2)
	ACR      string `json:"acr,omitempty"`       // only if acr_values were asked
	CloudID  string `json:"isolated_cloud_id"`
	Session  string `json:"sid"`            // the grant, so that no two clients can compare sessions
	Ends     int64  `json:"session_expiry"` // of the session, as far as is known now
}

// accessClaims: RFC 9068 section 2.2, and cnf of RFC 9449 section 6.1.
type accessClaims struct {
	Issuer   string       `json:"iss"`
	Subject  string       `json:"sub"`
	Audience string       `json:"aud"`
	Expires  int64        `json:"exp"`
	IssuedAt int64        `json:"iat"`
	ID       string       `json:"jti"`
	Client   string       `json:"client_id"`
	Session  string       `json:"sid"` // the grant
	Scope    string       `json:"scope"`
	Confirm  confirmation `json:"cnf"`
}

type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// issue redeems the grant and makes the tokens.
func (p *Provider) issue(ctx context.Context, client *Client, c code.Code, thumbprint string) (issued, error) {
	ends, err := p.keep(ctx, c)
	if err != nil {
		return issued{}, err
	}
	now, subject := p.Now(), pairwise(p.Pairwise, client.Sector, c.User)
	id := idClaims{
		Issuer: p.Issuer, Subject: subject, Audience: client.ID,
		IssuedAt: now.Unix(), Expires: now.Add(idTokenLifetime).Unix(),
		Nonce: c.Request.Nonce, CloudID: p.CloudID, Session: c.Grant, Ends: ends.Unix(),
	}
	if c.Request.MaxAge != nil {
		id.AuthTime = c.AuthTime
	}
	if len(c.Request.ACRs) > 0 {
		id.ACR = c.ACR
	}
	access := accessClaims{
		Issuer: p.Issuer, Subject: subject, Audience: p.Audience,
		IssuedAt: now.Unix(), Expires: now.Add(accessTokenLifetime).Unix(), ID: rand.Text(),
		Client: client.ID, Session: c.Grant, Scope: "openid", Confirm: confirmation{thumbprint},
	}
	out := issued{TokenType: "DPoP", Expires: int64(accessTokenLifetime.Seconds()), Scope: "openid"}
	if out.IDToken, err = p.sign(idTokenType, id); err != nil {
		return issued{}, err
	}
	if out.AccessToken, err = p.sign(accessTokenType, access); err != nil {
		return issued{}, err
	}
	return out, nil
}

func (p *Provider) sign(typ string, claims any) (string, error) {
	raw, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("provider: signing a token: %w", err)
	}
	token, err := p.Signer.Sign(typ, raw)
	if err != nil {
		return "", fmt.Errorf("provider: signing a token: %w", err)
	}
	return token, nil
}

// pairwise is the sub of a person for the clients of a sector (OpenID Connect Core 1.0 section 8.1): HMAC-SHA-256 over the length-prefixed
// sector and user id, cut to 128 bits, base64url. Without the key nobody can tell that two subs are one person.
func pairwise(key []byte, sector, user string) string { return keys.Pseudonym(key, sector, user) }
