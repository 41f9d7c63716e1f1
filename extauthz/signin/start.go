package signin

import (
	"errors"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// state is what travels through the provider, sealed: whatever the way back needs, so that nothing is stored for a stranger.
type state struct {
	Provider string `json:"p"`
	Nonce    string `json:"n"`
	Verifier string `json:"c"` // PKCE (RFC 7636)
	Proof    string `json:"v"` // hash of the auth host's flow cookie
	Expires  int64  `json:"e"` // Unix seconds
	Back     *flow  `json:"b"` // where the person wanted to go; nil if nowhere in particular
}

// signIn sends a person to the provider, or, if they are signed in already, straight back with a ticket. Where there are several providers it
// asks for the e-mail address first.
func (d *Door) signIn(v visit) (page.Answer, error) {
	if !d.navigates(v) {
		return page.Denial(http.StatusUnauthorized, "unauthenticated", false, d.SignInURL()), nil
	}
	sealed, given := v.query["flow"]
	back, err := d.wanted(sealed, given)
	if err != nil {
		return page.StartAgain(d.home(v.host)), nil
	}
	living, err := d.living(v)
	switch {
	case err == nil && v.query["prompt"] != promptLogin:
		return d.leave(v, living, back)
	case err != nil && !errors.Is(err, session.ErrNone):
		return failed(err)
	}
	if provider := d.only(v.query["provider"]); provider != nil {
		return d.toProvider(v, provider, back, wish{again: v.query["prompt"] == promptLogin}, func(address string) page.Answer { return page.Redirect(http.StatusFound, address) })
	}
	return page.AskEmail(PathSignIn, carried(v.query), "", ""), nil
}

// only is the provider that was named, or the one that there is.
func (d *Door) only(id string) *Provider {
	if id == "" && len(d.Providers) == 1 {
		return d.Providers[0]
	}
	return d.named(id)
}

// named is a provider of the file as it is now, or nil.
func (d *Door) named(id string) *Provider {
	for _, p := range d.Providers {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// promptLogin asks the provider to ask the person again (OpenID Connect Core 1.0 section 3.1.2.1): the only value that our sign-in takes.
const promptLogin = "login"

// another is where a person begins anew with another account than the one that the provider knows.
func (d *Door) another() string { return d.SignInURL() + "?prompt=" + promptLogin }

// wanted is the flow that a person comes with, or nil where they came by themselves.
func (d *Door) wanted(sealed string, given bool) (*flow, error) {
	if !given {
		return nil, nil
	}
	back, err := d.open(sealed)
	return &back, err
}

// toProvider begins a sign-in at a provider. lead makes the answer that leads to an address there.
func (d *Door) toProvider(v visit, provider *Provider, back *flow, w wish, lead func(address string) page.Answer) (page.Answer, error) {
	cookie := session.NewFlowCookie(d.Now())
	begun := state{
		Provider: provider.ID, Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(),
		Proof: proof(cookie.Secret), Expires: d.Now().Add(session.FlowLifetime).Unix(), Back: back,
	}
	sealed, err := d.seal(purposeState, begun)
	if err != nil {
		return failed(err)
	}
	address, err := provider.start(v.Context(), d.callbackURL(), sealed, begun.Nonce, begun.Verifier, w)
	if err != nil {
		return page.ProviderUnavailable(d.again(v, begun)), err
	}
	answer := lead(address)
	for _, old := range v.cookies.Surplus() {
		answer = answer.With("set-cookie", old.Clear())
	}
	return answer.With("set-cookie", cookie.Set()), nil
}

func (d *Door) callbackURL() string { return d.Cloud.URL(d.Cloud.AuthHost()) + PathCallback }

// openState gives back a state that is still in time, and its provider.
func (d *Door) openState(sealed string) (state, *Provider, error) {
	var opened state
	if err := d.unseal(purposeState, sealed, &opened); err != nil {
		return state{}, nil, err
	}
	if !d.Now().Before(time.Unix(opened.Expires, 0)) {
		return state{}, nil, errSealed
	}
	if p := d.named(opened.Provider); p != nil {
		return opened, p, nil
	}
	return state{}, nil, errSealed
}
