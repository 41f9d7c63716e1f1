package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"isogate/extauthz/kv"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// maxHint bounds an ID token that is kept for the sign-out, in bytes: it travels, sealed, in an address of ours. A longer one is not kept, and
// the provider asks the person then.
const maxHint = 4 << 10

// leaving is the way to a provider's own sign-out, sealed into an address of ours, so that no page shows the ID token.
type leaving struct {
	Provider string `json:"p"`
	Hint     string `json:"h"` // the ID token: it names the session at the provider
	Expires  int64  `json:"e"` // Unix seconds
}

// showSession shows a person the own session.
func (d *Door) showSession(v visit) (page.Answer, error) {
	living, err := d.living(v)
	switch {
	case errors.Is(err, session.ErrNone):
		return page.Denial(http.StatusUnauthorized, "unauthenticated", d.navigates(v), d.SignInURL()).
			With("www-authenticate", `Isogate realm="`+d.Site.SignIn+`"`), nil
	case err != nil:
		return failed(err)
	}
	limits := d.Policies.For(living.Identity)
	own := page.Own{Name: living.Name, Email: living.Email, SignedIn: living.SignedIn, Idle: limits.Idle, Ends: living.SignedIn.Add(limits.Absolute)}
	if p := d.named(living.Provider); p != nil {
		own.Provider = p.title()
	}
	return page.Session(own, PathLogout), nil
}

// askSignOut shows the button. A GET must not sign anybody out: any page can cause one. Who is signed out already, perhaps just now at the
// provider, is told so; who has just pressed the button is led on to the provider.
func (d *Door) askSignOut(v visit) (page.Answer, error) {
	if sealed, ok := v.query["leave"]; ok {
		return d.toProviderSignOut(v, sealed)
	}
	if _, err := d.living(v); errors.Is(err, session.ErrNone) {
		return d.signedOut(v), nil
	} else if err != nil {
		return failed(err)
	}
	return page.SignOut(PathLogout, v.host, d.Site.home(v.host)), nil
}

// signOut ends the session at every host, and then leads to the provider's own sign-out where it has one (OpenID Connect RP-Initiated Logout
// 1.0): else the next sign-in would pass without a question. The check has made sure that the request comes from this very host.
func (d *Door) signOut(v visit) (page.Answer, error) {
	living, err := d.living(v)
	if errors.Is(err, session.ErrNone) {
		return d.signedOut(v).With("set-cookie", session.ClearSession()), nil
	} else if err != nil {
		return failed(err)
	}
	hint, hintErr := d.takeIDToken(v.Context(), living)
	if err := d.Sessions.End(v.Context(), living.ID); err != nil {
		return failed(err)
	}
	answer := page.SignedOut(d.Site.home(v.host))
	if p := d.named(living.Provider); p != nil && p.signOut(v.Context(), "", "") != "" {
		sealed, err := d.seal(purposeLeave, leaving{Provider: p.ID, Hint: hint, Expires: d.Now().Add(time.Minute).Unix()})
		if err != nil {
			return failed(err)
		}
		answer = page.Continue(d.signOutURL() + "?leave=" + sealed)
	}
	return answer.With("set-cookie", session.ClearSession()), hintErr
}

// signedOut answers somebody who has no session at this host. A product that was never opened has none while the others do, so the auth host,
// which has one as long as anybody does, must say so.
func (d *Door) signedOut(v visit) page.Answer {
	if v.host != d.Site.SignIn {
		return page.Redirect(http.StatusSeeOther, d.signOutURL())
	}
	return page.SignedOut(d.Site.home(v.host))
}

func (d *Door) signOutURL() string { return d.Site.URL(d.Site.SignIn) + PathLogout }

func (d *Door) toProviderSignOut(v visit, sealed string) (page.Answer, error) {
	var way leaving
	if err := d.unseal(purposeLeave, sealed, &way); err == nil && d.Now().Unix() < way.Expires {
		if p := d.named(way.Provider); p != nil {
			if address := p.signOut(v.Context(), way.Hint, d.signOutURL()); address != "" {
				return page.Redirect(http.StatusFound, address), nil
			}
		}
	}
	return page.Redirect(http.StatusSeeOther, d.signOutURL()), nil
}

// signOut is where a person signs out of the provider, or "" where that is not possible now. The provider leads back to back.
func (p *Provider) signOut(ctx context.Context, hint, back string) string {
	d, err := p.discover(ctx)
	if err != nil || d.end == "" {
		return ""
	}
	address, err := url.Parse(d.end)
	if err != nil {
		return ""
	}
	query := address.Query()
	query.Set("client_id", p.ClientID)
	query.Set("post_logout_redirect_uri", back)
	if hint != "" {
		query.Set("id_token_hint", hint)
	}
	address.RawQuery = query.Encode()
	return address.String()
}

// keepIDToken keeps the provider's ID token for the sign-out, sealed, so that a stolen store holds no token.
func (d *Door) keepIDToken(ctx context.Context, s session.Session, token string, l session.Limits) error {
	if len(token) > maxHint {
		return nil
	}
	sealed := d.Seal.Seal(purposeIDToken, s.ID, []byte(token))
	item := kv.Item{Key: "i/" + s.ID, Value: []byte(sealed), Expires: s.SignedIn.Add(l.Absolute)}
	if err := d.Tickets.Put(ctx, item); err != nil {
		return fmt.Errorf("signin: keeping an ID token: %w", err)
	}
	return nil
}

// takeIDToken gives it back, "" if it is not there any more.
func (d *Door) takeIDToken(ctx context.Context, s session.Session) (string, error) {
	sealed, err := d.Tickets.Take(ctx, "i/"+s.ID)
	if errors.Is(err, kv.ErrNotFound) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("signin: taking an ID token: %w", err)
	}
	token, err := d.Seal.Open(purposeIDToken, s.ID, string(sealed))
	if err != nil {
		return "", nil // the key was removed since
	}
	return string(token), nil
}
