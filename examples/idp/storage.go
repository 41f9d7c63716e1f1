package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// How long things live.
const (
	requestLife = 10 * time.Minute
	codeLife    = time.Minute
	tokenLife   = 5 * time.Minute
	sessionLife = 8 * time.Hour
)

const scopeGroups = "groups"

// errUnsupported answers every part of the library that this provider does not offer.
var errUnsupported = errors.New("idp: not supported")

// storage is the provider's memory. It implements op.Storage: authorization requests wait in requests until the person is
// known, move to codes when their code is issued, and are taken from there once.
type storage struct {
	people   *people
	clients  map[string]Client
	key      *signingKey
	requests *shelf[authRequest]
	codes    *shelf[authRequest]
	tokens   *shelf[accessToken]
	sessions *shelf[signIn]
}

type accessToken struct {
	username string
	scopes   []string
}

func newStorage(now func() time.Time, people *people, clients []Client) (*storage, error) {
	key, err := newSigningKey()
	if err != nil {
		return nil, err
	}
	s := &storage{
		people:   people,
		clients:  make(map[string]Client, len(clients)),
		key:      key,
		requests: newShelf[authRequest](now, requestLife),
		codes:    newShelf[authRequest](now, codeLife),
		tokens:   newShelf[accessToken](now, tokenLife),
		sessions: newShelf[signIn](now, sessionLife),
	}
	for _, c := range clients {
		s.clients[c.ID] = c
	}
	return s, nil
}

// CreateAuthRequest is called once client and redirect URI were found right, so its errors may be sent to the client.
func (s *storage) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, hint string) (op.AuthRequest, error) {
	switch {
	case !slices.Contains(r.Scopes, oidc.ScopeOpenID):
		return nil, oidc.ErrInvalidScope().WithDescription("The scope openid is required.")
	case r.CodeChallenge == "" || r.CodeChallengeMethod != oidc.CodeChallengeMethodS256:
		// RFC 9700 section 2.1.1; without a method the challenge would be "plain" (RFC 7636 section 4.3).
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required.")
	case r.ResponseMode != "" && r.ResponseMode != oidc.ResponseModeQuery:
		return nil, oidc.ErrInvalidRequest().WithDescription("Only the response mode query is supported.")
	}
	req := newAuthRequest(r, hint)
	return req, s.requests.put(req.id, req)
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	req, ok := s.requests.get(id)
	if !ok {
		return nil, errors.New("this sign-in is not known or no longer valid")
	}
	return req, nil
}

// SaveAuthCode lets each request have one code.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	req, ok := s.requests.take(id)
	if !ok {
		return errors.New("idp: request is gone")
	}
	return s.codes.put(code, req)
}

// AuthRequestByCode spends the code, whatever comes after: of two redemptions at the same time one fails (RFC 6749 section
// 4.1.2), and a wrong verifier or secret is not tried twice.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	req, ok := s.codes.take(code)
	if !ok {
		return nil, errors.New("idp: code is unknown, expired or used")
	}
	return req, nil
}

// DeleteAuthRequest has nothing left to do: the request went with its code.
func (s *storage) DeleteAuthRequest(context.Context, string) error { return nil }

// CreateAccessToken makes a token for the userinfo endpoint. The library compares the expiry with the wall clock.
func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	req, ok := r.(authRequest)
	if !ok {
		return "", time.Time{}, errUnsupported
	}
	id := rand.Text()
	err := s.tokens.put(id, accessToken{req.signIn.username, req.scopes})
	return id, time.Now().Add(tokenLife), err
}

// SetUserinfoFromRequest fills the claims of an ID token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	req, ok := r.(authRequest)
	if !ok {
		return errUnsupported
	}
	info.AppendClaims("sid", req.signIn.sid)
	return s.fill(info, req.signIn.username, scopes)
}

// SetUserinfoFromToken answers the userinfo endpoint.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, id, _, _ string) error {
	token, ok := s.tokens.get(id)
	if !ok {
		return oidc.ErrAccessDenied().WithDescription("The access token is unknown or expired.")
	}
	return s.fill(info, token.username, token.scopes)
}

// fill writes what the scopes ask for. email_verified goes by AppendClaims, since the library's own field leaves out false.
func (s *storage) fill(info *oidc.UserInfo, username string, scopes []string) error {
	u, ok := s.people.get(username)
	if !ok {
		return errors.New("idp: user is gone")
	}
	info.Subject = Subject(username)
	if slices.Contains(scopes, oidc.ScopeProfile) {
		info.Name = u.Name
	}
	if slices.Contains(scopes, oidc.ScopeEmail) && u.Email != "" {
		info.Email = u.Email
		info.AppendClaims("email_verified", u.EmailVerified)
	}
	if slices.Contains(scopes, scopeGroups) {
		info.AppendClaims(scopeGroups, append([]string{}, u.Groups...))
	}
	return nil
}

// TerminateSessionFromRequest ends the one session that the ID token in the hint belongs to.
func (s *storage) TerminateSessionFromRequest(_ context.Context, r *op.EndSessionRequest) (string, error) {
	if r.IDTokenHintClaims != nil && r.IDTokenHintClaims.SessionID != "" {
		s.sessions.drop(func(x signIn) bool { return x.sid == r.IDTokenHintClaims.SessionID })
	}
	return r.RedirectURI, nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c, ok := s.clients[id]
	if !ok {
		return nil, errors.New("idp: unknown client")
	}
	return relyingParty{c}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	c, ok := s.clients[id]
	if !equal(c.Secret, secret) || !ok {
		return errors.New("idp: unknown client or wrong secret")
	}
	return nil
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }
func (s *storage) KeySet(context.Context) ([]op.Key, error)          { return []op.Key{s.key.public()}, nil }
func (s *storage) Health(context.Context) error                      { return nil }
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// What the library asks for and this provider does not offer: refresh tokens, revocation, introspection, JWT clients.

func (s *storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errUnsupported
}
func (s *storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, errUnsupported
}
func (s *storage) TerminateSession(context.Context, string, string) error { return errUnsupported }
func (s *storage) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrServerError()
}
func (s *storage) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}
func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil // superseded by SetUserinfoFromRequest, yet still called before it
}
func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnsupported
}
func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errUnsupported
}
func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnsupported
}
func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnsupported
}

// signingKey is the key of ID tokens. It implements op.SigningKey, and its public form op.Key.
type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

type publicKey struct{ signingKey }

func newSigningKey() (*signingKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &signingKey{id: strings.ToLower(rand.Text()), key: key}, nil
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k signingKey) Key() any                                    { return k.key }
func (k signingKey) public() publicKey                           { return publicKey{k} }
func (k publicKey) Algorithm() jose.SignatureAlgorithm           { return jose.ES256 }
func (k publicKey) Use() string                                  { return "sig" }
func (k publicKey) Key() any                                     { return k.key.Public() }
