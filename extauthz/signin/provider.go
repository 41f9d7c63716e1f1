package signin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"isogate/envoy/daemon"
	"isogate/extauthz/session"
)

// skew is how far a provider's clock may be off.
const skew = time.Minute

// ProviderConfig is one identity provider of the organisation (OpenID Connect Core 1.0, authorization code flow).
type ProviderConfig struct {
	ID       string // part of every user id of its people: never to be changed
	Name     string // for people
	Issuer   string
	ClientID string
	Secret   daemon.Secret
	Domains  []string // the e-mail domains for which it is believed; exact, lower-case
	Scopes   []string
	Groups   string // the claim that lists groups
	Several  bool   // whether the file has other providers beside it
}

// Provider signs people in at one identity provider. It is found lazily: a provider that is down when we start, or later, stops nobody
// who is signed in, and is used again as soon as it answers.
type Provider struct {
	ProviderConfig
	client *http.Client
	userID []byte
	now    func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	found  *discovered // the last that was good
	fault  error       // why the last look failed; nil if it did not
	looked time.Time   // when the last look ended
}

// Equal tells whether two entries are the same, their secrets included.
func (c ProviderConfig) Equal(other ProviderConfig) bool {
	same := bytes.Equal(c.Secret.Reveal(), other.Secret.Reveal())
	c.Secret, other.Secret = daemon.Secret{}, daemon.Secret{}
	return same && reflect.DeepEqual(c, other)
}

// NewProvider makes a provider that has not been asked yet. userID is the key of session.UserID.
func NewProvider(c ProviderConfig, client *http.Client, userID []byte, now func() time.Time) *Provider {
	return &Provider{ProviderConfig: c, client: client, userID: userID, now: now}
}

// Refusal means that a provider's answer is valid, and that the person may not come in with it.
type Refusal struct{ Reason string } // one of the words that page has a text for

func (r Refusal) Error() string { return "signin: refused: " + r.Reason }

// errProvider means that the provider does not answer or answers nonsense: nobody's fault here, and worth another try.
var errProvider = errors.New("signin: the identity provider cannot be used")

// errAnswer means that what came back is not the answer to what we asked.
var errAnswer = errors.New("signin: not the answer to this sign-in")

// redirectURI is where the provider's answers come back to. Where there are several providers, an answer must tell whose it is: else one of
// them could pass a person on to another, and be handed the code that the other gave (the mix-up attack, RFC 9700 section 4.4). A provider
// whose answers do not name their issuer (RFC 9207) gets a redirect URI of its own.
func (p *Provider) redirectURI(d *discovered, base string) string {
	if d.issParam || !p.Several {
		return base
	}
	return base + "?provider=" + url.QueryEscape(p.ID)
}

// isFrom tells whether an answer is this provider's by what it says of itself, and by where it came.
func (p *Provider) isFrom(d *discovered, base string, answer map[string]string) bool {
	// RFC 9207 section 2.4: an answer that names another issuer is another's; one that names none is not this provider's if it always does.
	if iss, named := answer["iss"]; named && iss != p.Issuer || !named && d.issParam {
		return false
	}
	named, own := answer["provider"], p.redirectURI(d, base) != base
	return own && named == p.ID || !own && named == ""
}

func (p *Provider) oauth(d *discovered, base string) *oauth2.Config {
	endpoint := d.provider.Endpoint()
	endpoint.AuthStyle = d.style
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: string(p.Secret.Reveal()), Endpoint: endpoint,
		RedirectURL: p.redirectURI(d, base), Scopes: p.Scopes,
	}
}

// start gives the address at the provider that begins a sign-in, with PKCE (RFC 7636 S256) and a nonce. sealed is begun, as it travels.
func (p *Provider) start(ctx context.Context, base, sealed string, begun state, w wish) (string, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(begun.Nonce), oauth2.S256ChallengeOption(begun.Verifier)}
	for _, param := range w.params() {
		options = append(options, oauth2.SetAuthURLParam(param.Name, param.Value))
	}
	if w.hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", w.hint))
	}
	return p.oauth(d, base).AuthCodeURL(sealed, options...), nil
}

// finish redeems the code of an answer that belongs to our state, and judges the ID token, which it returns too. The error is errAnswer, a
// Refusal or errProvider.
func (p *Provider) finish(ctx context.Context, answer map[string]string, base string, begun state) (who session.Identity, idToken string, err error) {
	d, err := p.known(ctx)
	if err != nil {
		return who, "", err
	}
	if !p.isFrom(d, base, answer) {
		return who, "", errAnswer
	}
	if answer["error"] != "" {
		return who, "", Refusal{"provider-refused"}
	}
	if answer["code"] == "" {
		return who, "", errAnswer
	}
	token, err := p.oauth(d, base).Exchange(oidc.ClientContext(ctx, p.client), answer["code"], oauth2.VerifierOption(begun.Verifier))
	if err != nil {
		return who, "", exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	who, err = p.judge(ctx, d, raw, begun)
	return who, raw, err
}

// exchangeError tells a code that the provider does not take (used, expired, another's) from a provider that does not work. The provider's
// own words stay out of it: they may repeat what we sent.
func exchangeError(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response != nil {
		if refused.ErrorCode == "invalid_grant" {
			return errAnswer
		}
		return fmt.Errorf("%w: the token endpoint answered %d %q", errProvider, refused.Response.StatusCode, refused.ErrorCode)
	}
	return fmt.Errorf("%w: the token endpoint did not answer", errProvider)
}
