package signin

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
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
	Dated    bool   `json:"d"` // whether the answer must say when the person proved who they are; see wish.dated
}

// signIn sends a person to the provider, or, if they are signed in already, straight back with a ticket. Where there are several providers it
// asks for the e-mail address first.
func (d *Door) signIn(v visit) (page.Answer, error) {
	if !d.navigates(v) {
		return page.Denial(http.StatusUnauthorized, "unauthenticated", false, d.SignInURL()), nil
	}
	in, err := d.entry(v.query)
	if err != nil {
		return page.StartAgain(d.Site.home(v.host)), nil
	}
	living, err := d.living(v)
	switch {
	case err == nil && !in.again: // whether it is fresh and strong enough, the OAuth server decides: it asks for prompt=login where it is not
		return d.leave(v, living, in.back)
	case err != nil && !errors.Is(err, session.ErrNone):
		return failed(err)
	}
	if provider := cmp.Or(d.only(v.query["provider"]), d.hinted(in.hint)); provider != nil {
		return d.toProvider(v, provider, in, func(address string) page.Answer { return page.Redirect(http.StatusFound, address) })
	}
	return page.AskEmail(PathSignIn, in.carry, in.hint, ""), nil
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

// hinted is the one provider that signs in addresses like this, or nil.
func (d *Door) hinted(email string) *Provider {
	_, domain, _ := strings.Cut(email, "@")
	if fit := d.fit(domain); len(fit) == 1 {
		return fit[0]
	}
	return nil
}

// fit are the providers that are believed for a domain.
func (d *Door) fit(domain string) (fit []*Provider) {
	for _, p := range d.Providers {
		if slices.Contains(p.Domains, domain) {
			fit = append(fit, p)
		}
	}
	return fit
}

// promptLogin asks the provider to ask the person again (OpenID Connect Core 1.0 section 3.1.2.1): the only value that our sign-in takes.
const promptLogin = "login"

// another is where a person begins anew with another account than the one that the provider knows.
func (d *Door) another() string { return d.SignInURL() + "?prompt=" + promptLogin }

// toProvider begins a sign-in at a provider. lead makes the answer that leads to an address there.
func (d *Door) toProvider(v visit, provider *Provider, in entry, lead func(address string) page.Answer) (page.Answer, error) {
	cookie := session.NewFlowCookie(d.Now())
	begun := state{
		Provider: provider.ID, Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(),
		Proof: proof(cookie.Secret), Expires: d.Now().Add(session.FlowLifetime).Unix(), Back: in.back, Dated: in.dated(),
	}
	sealed, err := d.seal(purposeState, begun)
	if err != nil {
		return failed(err)
	}
	address, err := provider.start(v.Context(), d.callbackURL(), sealed, begun, in.wish)
	if err != nil {
		return page.ProviderUnavailable(d.again(v, begun)), err
	}
	answer := lead(address)
	for _, old := range v.cookies.Surplus() {
		answer = answer.With("set-cookie", old.Clear())
	}
	return answer.With("set-cookie", cookie.Set()), nil
}

func (d *Door) callbackURL() string { return d.Site.URL(d.Site.SignIn) + PathCallback }

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
