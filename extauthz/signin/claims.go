package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/net/idna"

	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// maxClaim bounds a single text that a provider says about a person, in bytes, and maxGroups how many groups it may list.
const (
	maxClaim  = 256
	maxGroups = 200
)

// readClaims are the claims that we, or go-oidc, read of an ID token, beside the one for groups.
var readClaims = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "azp", "at_hash", "auth_time", "acr", "amr", "email", "email_verified", "name",
	"_claim_names", "_claim_sources"}

// idClaims are the claims that we read of an ID token (OpenID Connect Core 1.0 section 2).
type idClaims struct {
	Email    string  `json:"email"`
	Verified boolish `json:"email_verified"`
	Name     string  `json:"name"`
	AuthTime int64   `json:"auth_time"`
	Before   int64   `json:"nbf"` // RFC 7519 section 4.1.5
	ACR      string  `json:"acr"`
	AMR      texts   `json:"amr"`
	Azp      string  `json:"azp"`
}

// judge verifies an ID token (OpenID Connect Core 1.0 section 3.1.3.7) and makes an identity of it, or a Refusal.
func (p *Provider) judge(ctx context.Context, d *discovered, raw string, begun state) (session.Identity, error) {
	verifier := d.provider.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), p.client), &oidc.Config{
		ClientID: p.ClientID, SupportedSigningAlgs: []string{oidc.RS256, oidc.PS256, oidc.ES256}, Now: p.now, SkipExpiryCheck: true,
	})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return session.Identity{}, fmt.Errorf("%w: the ID token: %w", errProvider, err)
	}
	var claims idClaims
	var all map[string]any
	var payload json.RawMessage
	if err := token.Claims(&payload); err != nil {
		return session.Identity{}, fmt.Errorf("%w: the ID token's claims: %w", errProvider, err)
	}
	// encoding/json believes "Email" where it looks for "email": a provider that lets people add claims would let them choose who they are.
	if err := keys.Exact(payload, append(slices.Clip(readClaims), p.Groups)...); err != nil {
		return session.Identity{}, fmt.Errorf("%w: the ID token's claims: %w", errProvider, err)
	}
	if err := token.Claims(&claims); err != nil {
		return session.Identity{}, fmt.Errorf("%w: the ID token's claims: %w", errProvider, err)
	}
	if err := token.Claims(&all); err != nil {
		return session.Identity{}, fmt.Errorf("%w: the ID token's claims: %w", errProvider, err)
	}
	if err := p.inTime(token, claims); err != nil {
		return session.Identity{}, err
	}
	if token.Nonce != begun.Nonce || token.Subject == "" || !p.authorized(token, claims) {
		return session.Identity{}, errAnswer
	}
	// OpenID Connect Core 1.0 section 3.1.2.1: auth_time is REQUIRED where max_age was asked. See wish.dated for where we insist.
	if begun.Dated && claims.AuthTime <= 0 {
		return session.Identity{}, fmt.Errorf("%w: it was asked for max_age, and its ID token has no auth_time", errProvider)
	}
	email, err := p.address(claims)
	if err != nil {
		return session.Identity{}, err
	}
	groups := textsOf(all[p.Groups])
	if len(claims.Name) > maxClaim || len(claims.ACR) > maxClaim || len(groups) > maxGroups {
		return session.Identity{}, Refusal{"claims-too-large"}
	}
	return session.Identity{
		User: session.UserID(p.userID, p.ID, token.Subject), Provider: p.ID,
		Email: email, Name: claims.Name, Groups: groups,
		AuthTime: p.authTime(claims), Stated: claims.AuthTime > 0, ACR: claims.ACR, AMR: claims.AMR,
	}, nil
}

// authorized tells whether the token was made for us: one that names an authorized party must name us, and one for several audiences must
// name one.
func (p *Provider) authorized(token *oidc.IDToken, claims idClaims) bool {
	return claims.Azp == p.ClientID || claims.Azp == "" && len(token.Audience) == 1
}

// inTime allows for a clock that is off by skew in either direction.
func (p *Provider) inTime(token *oidc.IDToken, claims idClaims) error {
	now := p.now()
	latest := now.Add(skew)
	if !now.Before(token.Expiry.Add(skew)) || token.IssuedAt.Unix() <= 0 || token.IssuedAt.After(latest) ||
		time.Unix(claims.Before, 0).After(latest) || time.Unix(claims.AuthTime, 0).After(latest) {
		return fmt.Errorf("%w: the ID token is not of this time: is a clock off by more than %s?", errProvider, skew)
	}
	return nil
}

// authTime is when the person proved who they are: as the provider says, else when its answer came.
func (p *Provider) authTime(claims idClaims) time.Time {
	if now := p.now(); claims.AuthTime <= 0 || time.Unix(claims.AuthTime, 0).After(now) {
		return now
	}
	return time.Unix(claims.AuthTime, 0)
}

// address accepts an e-mail address that the provider verified and that belongs to a domain for which it is believed.
func (p *Provider) address(claims idClaims) (string, error) {
	if claims.Email == "" {
		return "", Refusal{"no-email"}
	}
	if !claims.Verified {
		return "", Refusal{"email-not-verified"}
	}
	email, domain, err := normalEmail(claims.Email)
	if err != nil || !slices.Contains(p.Domains, domain) {
		return "", Refusal{"email-domain"}
	}
	return email, nil
}

// normalEmail accepts a bare address with exactly one @ (no display name, no quoted local part, nothing that is not seen) and gives it with
// its domain in lower-case ASCII (IDNA, RFC 5891).
func normalEmail(raw string) (email, domain string, err error) {
	local, domain, ok := strings.Cut(raw, "@")
	if !ok || local == "" || strings.Contains(domain, "@") || len(raw) > maxClaim ||
		strings.ContainsFunc(raw, func(r rune) bool {
			return r == ' ' || r == unicode.ReplacementChar || !unicode.IsPrint(r) || strings.ContainsRune(`<>()[]\,;:"`, r)
		}) {
		return "", "", fmt.Errorf("signin: not a bare e-mail address")
	}
	domain, err = exactDomain.ToASCII(strings.Map(asciiLower, domain))
	if err != nil || domain == "" || strings.HasSuffix(domain, ".") {
		return "", "", fmt.Errorf("signin: not a valid e-mail domain")
	}
	return local + "@" + domain, domain, nil
}

// exactDomain turns labels into Punycode (RFC 5891) and maps nothing: characters that merely look like others, such as full-width ones, make
// another domain or none.
var exactDomain = idna.New(idna.ValidateLabels(true), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.BidiRule())

// asciiLower is for comparing domains (RFC 4343). Other scripts' capitals are not valid in a label.
func asciiLower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// boolish reads true and "true": some providers send the latter.
type boolish bool

func (b *boolish) UnmarshalJSON(raw []byte) error {
	*b = string(raw) == "true" || string(raw) == `"true"`
	return nil
}

// texts reads a list of texts, or one text.
type texts []string

func (t *texts) UnmarshalJSON(raw []byte) error {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return err
	}
	*t = textsOf(value)
	return nil
}

func textsOf(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok && len(s) <= maxClaim {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
