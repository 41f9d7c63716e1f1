package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"isogate/extauthz/keys"
	"isogate/oidcprovider/code"
)

const (
	assertionType  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	assertionAhead = 10 * time.Minute                                         // how far exp may lie ahead, so that a mark of use need not live for long
	maxAssertionID = 256                                                      // of a jti, in bytes
	clocks         = 10 * time.Second                                         // what clocks may differ by (FAPI 2.0 section 5.3.2.1: 10 s accepted, 60 s refused)
)

// algorithms of assertions (FAPI 2.0 section 5.4.1).
var algorithms = []string{"ES256", "PS256"}

const twoAuthentications = "a request authenticates the client in one way and once: by a client_assertion in the body"

// badAssertion is one text for whatever is wrong with an assertion, an unknown client included: who guesses learns nothing from it, and who
// writes a client finds all that is asked for.
const badAssertion = "the client_assertion is refused: it must be a JWT of a registered client, signed with one of its registered keys " +
	"(ES256 or PS256, with its kid), typ absent, JWT or client-authentication+jwt, iss and sub the client_id, aud the issuer as one string, " +
	"exp at most 10 minutes ahead, iat and nbf not ahead, and a jti that was not used before"

// unauthenticated is RFC 6749 section 5.2: invalid_client with status 401.
func unauthenticated(description string, cause error) fault {
	return fault{Status: http.StatusUnauthorized, Code: invalidClient, Description: description, Cause: cause}
}

// authenticate finds out which client sends a request, and uses its assertion up.
func (p *Provider) authenticate(r *http.Request, f form) (*Client, error) {
	client, assertion, err := p.identify(r, f)
	if err != nil {
		return nil, err
	}
	return client, p.spend(r.Context(), assertion)
}

// identify finds out which client sends a request, by private_key_jwt and in no other way (RFC 7523 sections 2.2 and 3, FAPI 2.0 section
// 5.3.2.1), and has no effect: an assertion works once, so it is spent when nothing is left for which the client would have to come again. An
// error that is no fault means that this cannot be found out now.
func (p *Provider) identify(r *http.Request, f form) (*Client, assertion, error) {
	// RFC 6749 section 2.3: no more than one method in a request. With two, each reader could believe another.
	if _, there := r.Header["Authorization"]; there {
		refused := unauthenticated(twoAuthentications, errors.New("an Authorization header"))
		return nil, assertion{}, refused.with("www-authenticate", `Basic realm="oauth2"`) // RFC 6749 section 5.2: MUST, where that header was sent
	}
	if _, there := f["client_secret"]; there {
		return nil, assertion{}, unauthenticated(twoAuthentications, errors.New("a client_secret"))
	}
	if f["client_assertion_type"] != assertionType || f["client_assertion"] == "" {
		return nil, assertion{}, unauthenticated("client_assertion is required, with client_assertion_type "+assertionType, nil)
	}
	return p.assert(r.Context(), f["client_assertion"], f["client_id"])
}

// assertion is one that was found good, and not spent yet.
type assertion struct {
	mark string    // names it
	ends time.Time // when it is refused for its age
}

// assert judges an assertion. What names the client before the signature was verified, client_id or sub, only chooses the keys: the claims
// must then name the same client.
func (p *Provider) assert(ctx context.Context, token, id string) (*Client, assertion, error) {
	named, err := keys.Unverified(token, "sub")
	if err != nil {
		return nil, assertion{}, unauthenticated(badAssertion, err)
	}
	client, known := p.Clients[cmp.Or(id, named)]
	if !known {
		return nil, assertion{}, unauthenticated(badAssertion, errors.New("an unknown client"))
	}
	raw, err := keys.Verify(ctx, token, client.Keys, keys.Expect{
		// RFC 7523 knows no type; "client-authentication+jwt" is what its revision (draft-ietf-oauth-rfc7523bis) gives it.
		Type: "client-authentication+jwt", OtherTypes: []string{"JWT", ""}, Algorithms: algorithms,
		Issuer: client.ID, Audience: p.Issuer, Now: p.Now, Skew: clocks,
	})
	if errors.Is(err, keys.ErrKeys) {
		return nil, assertion{}, fmt.Errorf("provider: the keys of client %s: %w", client.ID, err)
	}
	if err != nil {
		return nil, assertion{}, unauthenticated(badAssertion, err)
	}
	is, err := p.readAssertion(client, raw)
	if err != nil {
		return nil, assertion{}, unauthenticated(badAssertion, err)
	}
	return client, is, nil
}

// readAssertion checks what keys.Verify leaves to its caller (RFC 7523 section 3, points 2, 4 and 7).
func (p *Provider) readAssertion(client *Client, raw []byte) (assertion, error) {
	var claims struct {
		Subject string  `json:"sub"`
		ID      string  `json:"jti"`
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return assertion{}, err
	}
	ends := time.Unix(int64(math.Ceil(claims.Expires)), 0)
	switch {
	case claims.Subject != client.ID:
		return assertion{}, errors.New("sub is not the client")
	case claims.ID == "" || len(claims.ID) > maxAssertionID:
		return assertion{}, errors.New("jti is missing or too long")
	case ends.After(p.Now().Add(assertionAhead + clocks)):
		return assertion{}, errors.New("exp is too far ahead")
	}
	// One client's choice of jti must not shut out another's. Past exp the clocks' difference is still believed, so the mark lives on.
	return assertion{mark: "assertion/" + strconv.Quote(client.ID) + claims.ID, ends: ends.Add(clocks + time.Second)}, nil
}

// spend marks an assertion as used.
func (p *Provider) spend(ctx context.Context, is assertion) error {
	err := p.Codes.Once(ctx, is.mark, is.ends)
	if errors.Is(err, code.ErrUsed) {
		return unauthenticated(badAssertion, errors.New("an assertion that was used before"))
	}
	return err
}
