package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"isogate/envoy/daemon"
	"isogate/extauthz/session"
)

// How long what a provider said of itself is believed without asking again, and how soon an absent one is asked again. Asking at the
// start of a sign-in is also how we know that there is somebody to send the person to.
const (
	freshFor   = 10 * time.Second
	retryAfter = time.Second
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
}

// Provider signs people in at one identity provider. It is found lazily: a provider that is down when we start, or later, stops nobody
// who is signed in, and is used again as soon as it answers.
type Provider struct {
	ProviderConfig
	client *http.Client
	userID []byte
	now    func() time.Time

	mu    sync.Mutex
	found *discovered
	asked time.Time
	fault error
}

type discovered struct {
	provider *oidc.Provider
	issParam bool // RFC 9207: the authorization response names its issuer
	style    oauth2.AuthStyle
	end      string // where a person signs out of the provider itself; "" if nowhere
	at       time.Time
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

// Check asks the provider for its metadata unless it was heard of a moment ago. One asks at a time; the others wait for its answer.
func (p *Provider) Check(ctx context.Context) error {
	_, err := p.discover(ctx)
	return err
}

func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.fault == nil && p.found != nil && now.Sub(p.found.at) < freshFor {
		return p.found, nil
	}
	if p.fault != nil && now.Sub(p.asked) < retryAfter {
		return nil, p.fault
	}
	p.asked = now
	found, err := p.ask(ctx)
	if err != nil {
		p.fault = fmt.Errorf("%w: %w", errProvider, err)
		return nil, p.fault
	}
	p.found, p.fault = found, nil
	return found, nil
}

// known is what the provider last said of itself, however long ago: enough for an answer that is on its way already.
func (p *Provider) known(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	found := p.found
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	return p.discover(ctx)
}

func (p *Provider) ask(ctx context.Context) (*discovered, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Iss  bool     `json:"authorization_response_iss_parameter_supported"`
		Auth []string `json:"token_endpoint_auth_methods_supported"`
		End  string   `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, err
	}
	return &discovered{provider: provider, issParam: metadata.Iss, style: styleOf(metadata.Auth), end: metadata.End, at: p.now()}, nil
}

// styleOf chooses how our secret is sent: by client_secret_basic, which is meant where nothing is said (OpenID Connect Discovery 1.0 section
// 3), unless only client_secret_post is taken. The library would find out by sending a refused code a second time, the other way, and would
// show us the answer to that.
func styleOf(methods []string) oauth2.AuthStyle {
	if slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

func (p *Provider) oauth(d *discovered, redirect string) *oauth2.Config {
	endpoint := d.provider.Endpoint()
	endpoint.AuthStyle = d.style
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: string(p.Secret.Reveal()), Endpoint: endpoint,
		RedirectURL: redirect, Scopes: p.Scopes,
	}
}

// wish is what a sign-in asks of the provider beside the person.
type wish struct {
	again bool   // ask who it is even if the provider knows (prompt=login)
	hint  string // the address that the person typed (login_hint)
}

// start gives the address at the provider that begins a sign-in, with PKCE (RFC 7636 S256) and a nonce.
func (p *Provider) start(ctx context.Context, redirect, state, nonce, verifier string, w wish) (string, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
	if w.again {
		options = append(options, oauth2.SetAuthURLParam("prompt", promptLogin))
	}
	if w.hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", w.hint))
	}
	return p.oauth(d, redirect).AuthCodeURL(state, options...), nil
}

// finish redeems the code of an answer that belongs to our state, and judges the ID token, which it returns too. The error is errAnswer, a
// Refusal or errProvider.
func (p *Provider) finish(ctx context.Context, answer map[string]string, redirect, nonce, verifier string) (who session.Identity, idToken string, err error) {
	d, err := p.known(ctx)
	if err != nil {
		return who, "", err
	}
	// RFC 9207 section 2.4: an answer that names another issuer is another's; one that names none is not this provider's if it always does.
	if iss, named := answer["iss"]; named && iss != p.Issuer || !named && d.issParam {
		return who, "", errAnswer
	}
	if answer["error"] != "" {
		return who, "", Refusal{"provider-refused"}
	}
	if answer["code"] == "" {
		return who, "", errAnswer
	}
	token, err := p.oauth(d, redirect).Exchange(oidc.ClientContext(ctx, p.client), answer["code"], oauth2.VerifierOption(verifier))
	if err != nil {
		return who, "", exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	who, err = p.judge(ctx, d, raw, nonce)
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
