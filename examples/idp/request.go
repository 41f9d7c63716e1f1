package idp

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// signIn is one proven sign-in of a person: what a session remembers, and what a finished request says.
type signIn struct {
	username string
	sid      string // names the session to relying parties; opens nothing
	at       time.Time
	mfa      bool
}

func (s signIn) acr() string {
	if s.mfa {
		return ACRMFA
	}
	return ACRPassword
}

// amr uses the words of RFC 8176.
func (s signIn) amr() []string {
	if s.mfa {
		return []string{"pwd", "otp"}
	}
	return []string{"pwd"}
}

// authRequest is an authorization request from its arrival until its code is redeemed. It implements op.AuthRequest.
type authRequest struct {
	id     string
	secret string // value of the cookie that ties the request to the browser that began it

	clientID, redirectURI, state, nonce, challenge string
	scopes                                         []string
	loginHint                                      string
	wantSubject                                    string // of the id_token_hint; "" = anybody
	silent                                         bool   // prompt=none
	fresh                                          bool   // a session does not do: prompt=login, max_age=0
	maxAge                                         time.Duration
	limitAge                                       bool
	acrs                                           []string // acr_values

	tries  int
	passed string // user name whose password was right and whose code is awaited
	signIn signIn // zero until the person is known
}

func newAuthRequest(r *oidc.AuthRequest, wantSubject string) authRequest {
	req := authRequest{
		id: rand.Text(), secret: rand.Text(),
		clientID: r.ClientID, redirectURI: r.RedirectURI, state: r.State, nonce: r.Nonce, challenge: r.CodeChallenge,
		scopes: r.Scopes, loginHint: r.LoginHint, wantSubject: wantSubject, acrs: r.ACRValues,
		silent: slices.Contains(r.Prompt, oidc.PromptNone),
		fresh:  slices.Contains(r.Prompt, oidc.PromptLogin) || slices.Contains(r.Prompt, oidc.PromptSelectAccount),
	}
	if r.MaxAge != nil {
		// A century is enough, and a larger number would overflow.
		req.limitAge, req.maxAge = true, time.Duration(min(*r.MaxAge, 100*365*86400))*time.Second
		req.fresh = req.fresh || *r.MaxAge == 0
	}
	return req
}

// accepts says whether a session from an earlier sign-in answers the request without asking the person again. The values of acr_values are
// wishes (OpenID Connect Core 3.1.2.1): a session that meets none of them does not do where the person has a second factor by now, and does
// where nothing better can be had.
func (r authRequest) accepts(s signIn, u User, now time.Time) bool {
	switch {
	case r.fresh, r.limitAge && now.Sub(s.at) > r.maxAge:
		return false
	case u.TOTP != "" && !s.mfa && slices.Contains(r.acrs, ACRMFA) && !slices.Contains(r.acrs, ACRPassword):
		return false
	}
	return r.allows(s.username)
}

// allows is OpenID Connect Core 3.1.2.1: with an id_token_hint no other person's token may be the answer.
func (r authRequest) allows(username string) bool {
	return r.wantSubject == "" || r.wantSubject == Subject(username)
}

func (r authRequest) GetID() string                      { return r.id }
func (r authRequest) GetACR() string                     { return r.signIn.acr() }
func (r authRequest) GetAMR() []string                   { return r.signIn.amr() }
func (r authRequest) GetAudience() []string              { return []string{r.clientID} }
func (r authRequest) GetAuthTime() time.Time             { return r.signIn.at }
func (r authRequest) GetClientID() string                { return r.clientID }
func (r authRequest) GetNonce() string                   { return r.nonce }
func (r authRequest) GetRedirectURI() string             { return r.redirectURI }
func (r authRequest) GetResponseType() oidc.ResponseType { return oidc.ResponseTypeCode }
func (r authRequest) GetResponseMode() oidc.ResponseMode { return oidc.ResponseModeQuery }
func (r authRequest) GetScopes() []string                { return r.scopes }
func (r authRequest) GetState() string                   { return r.state }
func (r authRequest) GetSubject() string                 { return Subject(r.signIn.username) }
func (r authRequest) Done() bool                         { return r.signIn.username != "" }
func (r authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: r.challenge, Method: oidc.CodeChallengeMethodS256}
}

// relyingParty shows a Client to the library. It implements op.Client.
type relyingParty struct{ c Client }

func (p relyingParty) GetID() string                       { return p.c.ID }
func (p relyingParty) RedirectURIs() []string              { return p.c.RedirectURIs }
func (p relyingParty) PostLogoutRedirectURIs() []string    { return p.c.PostLogoutURIs }
func (p relyingParty) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (p relyingParty) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (p relyingParty) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (p relyingParty) GrantTypes() []oidc.GrantType         { return []oidc.GrantType{oidc.GrantTypeCode} }
func (p relyingParty) LoginURL(id string) string            { return loginURL(id) }
func (p relyingParty) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (p relyingParty) IDTokenLifetime() time.Duration       { return tokenLife }
func (p relyingParty) DevMode() bool                        { return false }
func (p relyingParty) IsScopeAllowed(scope string) bool     { return scope == scopeGroups }
func (p relyingParty) IDTokenUserinfoClaimsAssertion() bool { return true }
func (p relyingParty) ClockSkew() time.Duration             { return 0 }

func (p relyingParty) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

func (p relyingParty) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
