// Package provider is the OAuth 2.0 and OpenID Connect server of the isolated cloud, in one narrow profile: the FAPI 2.0 Security Profile
// (https://openid.net/specs/fapi-security-profile-2_0-final.html) with pushed authorization requests (RFC 9126), PKCE S256 (RFC 7636),
// private_key_jwt (RFC 7523), DPoP for every access token (RFC 9449) and iss in every authorization response (RFC 9207).
//
// It owns discovery, the published keys, the pushed request, the authorization endpoint with its two pages, the token endpoint and
// revocation. It signs nobody in: who is signed in, it learns from the User Context Token that the ingress gives it, and what lasts longer
// than a code, the grant, is opened and ended at extauthz. It is told nobody's name or address, but for the login_hint of a client that has one.
package provider

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/extauthz/grant"
	"isogate/extauthz/keys"
	"isogate/extauthz/page"
	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/code"
)

// Paths on the auth host. All but PathAuthorize and PathDecision are for programs, which bring no cookie.
const (
	PathOpenID    = "/.well-known/openid-configuration"       // OpenID Connect Discovery 1.0 section 4
	PathOAuth     = "/.well-known/oauth-authorization-server" // RFC 8414 section 3
	PathJWKS      = "/oauth2/jwks"
	PathPAR       = "/oauth2/par"
	PathAuthorize = "/oauth2/authorize"
	PathDecision  = "/oauth2/decision"
	PathToken     = "/oauth2/token"
	PathRevoke    = "/oauth2/revoke"
	PathSession   = "/oauth2/session"  // the session resource, which extauthz answers
	PathSignIn    = "/.isogate/signin" // where extauthz signs people in
)

// Client is one that the file registers.
type Client struct {
	ID           string
	Name         string // for people
	RedirectURIs []string
	Sector       string // of its pairwise subs
	Keys         keys.KeySource
}

// Grants is what the provider needs of extauthz. Any error but grant.ErrNone means that extauthz cannot be asked now.
type Grants interface {
	Open(ctx context.Context, session, client string) (grant.Opened, error)
	Redeem(ctx context.Context, id, client string) (grant.Opened, error)
	End(ctx context.Context, id, client string) error
}

// Provider answers with one state of the file. It is immutable; what lasts is in Codes and Grants.
type Provider struct {
	Issuer   string // https://auth.<domain>[:port], without a slash at the end
	CloudID  string
	Audience string // of access tokens: urn:isogate:cloud:<cloud id>
	Clients  map[string]*Client
	Signer   *keys.Signers // of ID tokens and access tokens
	Seal     *keys.Sealers // of DPoP nonces, and of what travels with the two pages
	Pairwise []byte        // key of the subs, 32 bytes or more; never changes
	People   usercontext.Verifier
	Grants   Grants
	Codes    *code.Store
	Now      func() time.Time
	Log      *slog.Logger
	Requests *prometheus.CounterVec // see Metrics

	once     sync.Once
	metadata page.Answer
}
