package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"isogate/extauthz/keys"
	"isogate/extauthz/page"
)

// revoke answers the revocation endpoint (RFC 7009): it ends the grant of an access token, and with it everything that was issued for it.
//
// A token that is not one of ours, or has expired, is answered with 200 and nothing happens (section 2.2: the client could do nothing
// about it). A good token of another client is refused (section 2.1: the server verifies whether the token was issued to the client, and
// if not, refuses the request and informs the client), and nothing happens to that token either.
func (p *Provider) revoke(r *http.Request) (page.Answer, error) {
	f, err := parseForm(r)
	if err != nil {
		return page.Answer{}, err
	}
	client, err := p.authenticate(r, f)
	if err != nil {
		return page.Answer{}, err
	}
	token, err := f.required("token") // there is one kind, so token_type_hint may say what it likes
	if err != nil {
		return page.Answer{}, err
	}
	claims, err := p.readAccess(r.Context(), token)
	if errors.Is(err, keys.ErrToken) {
		return revoked, nil
	}
	if err != nil {
		return page.Answer{}, err
	}
	if claims.Client != client.ID {
		return page.Answer{}, wrong(invalidGrant, "the token was issued to another client")
	}
	if err := p.Grants.End(r.Context(), claims.Session, client.ID); err != nil { // section 2.2.1: 503, the token is taken to live on
		return page.Answer{}, fmt.Errorf("provider: ending a grant: %w", err)
	}
	return revoked, nil
}

// revoked has no body: the status says it all (RFC 7009 section 2.2).
var revoked = page.Answer{Status: http.StatusOK, Header: []page.Field{{Name: "cache-control", Value: "no-store"}}}

// readAccess verifies an access token of ours.
func (p *Provider) readAccess(ctx context.Context, token string) (claims accessClaims, err error) {
	raw, err := keys.Verify(ctx, token, p.Signer, keys.Expect{Type: accessTokenType, Issuer: p.Issuer, Audience: p.Audience, Now: p.Now})
	if err != nil {
		return claims, err
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return claims, fmt.Errorf("provider: reading a token of ours: %w", err)
	}
	return claims, nil
}
