package signin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// How long what a provider said of itself is believed without asking again, and how soon an absent one is asked again. Asking at the
// start of a sign-in is also how we know that there is somebody to send the person to.
const (
	freshFor   = 10 * time.Second
	retryAfter = time.Second
)

// discovered is what a provider says of itself (OpenID Connect Discovery 1.0).
type discovered struct {
	provider *oidc.Provider
	issParam bool // RFC 9207: the authorization response names its issuer
	style    oauth2.AuthStyle
	end      string // where a person signs out of the provider itself; "" if nowhere
}

// Check asks the provider for its metadata unless it was heard of a moment ago.
func (p *Provider) Check(ctx context.Context) error {
	_, err := p.discover(ctx)
	return err
}

// discover asks, unless what is known is fresh. One asks at a time, for all who wait; each waits no longer than its own context.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	if found, fault := p.recent(); found != nil || fault != nil {
		return found, fault
	}
	flight := p.flight.DoChan("", func() (any, error) {
		if found, fault := p.recent(); found != nil || fault != nil { // somebody asked between our look and this flight
			return found, fault
		}
		return p.look(context.WithoutCancel(ctx))
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errProvider, ctx.Err())
	case result := <-flight:
		found, _ := result.Val.(*discovered)
		return found, result.Err
	}
}

// recent is the outcome of the last look while it counts; both are nil when it is time for the next.
func (p *Provider) recent() (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := p.now().Sub(p.looked)
	switch {
	case p.fault != nil && age < retryAfter:
		return nil, p.fault
	case p.fault == nil && p.found != nil && age < freshFor:
		return p.found, nil
	}
	return nil, nil
}

func (p *Provider) look(ctx context.Context) (*discovered, error) {
	found, err := p.ask(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = p.now()
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
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.Issuer)
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
	return &discovered{provider: provider, issParam: metadata.Iss, style: styleOf(metadata.Auth), end: metadata.End}, nil
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
