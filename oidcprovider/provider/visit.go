package provider

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"isogate/extauthz/page"
	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/code"
)

// returnSkew is how far a provider's clock, which says when a person signed in, may be behind ours.
const returnSkew = 60 * time.Second

// visit is one look at a pushed request by somebody's browser.
type visit struct {
	uri      string // the request_uri
	request  code.Request
	client   *Client
	person   *usercontext.Claims // nil if nobody is signed in
	returned time.Time           // when the browser was sent to sign in for this; zero if it was not
	shown    time.Time           // when the page was shown whose form was sent
	form     bool                // a form of ours was sent
}

// arrive finds out what a browser comes with. A request that does not live, a client that is not registered, or not the one that pushed it
// (RFC 9126 section 2.2), and a redirect URI that is not registered any more are one and the same refusal: the browser is never led
// anywhere by it (RFC 6749 section 4.1.2.1).
func (p *Provider) arrive(r *http.Request, client, uri string) (visit, error) {
	c, known := p.Clients[client]
	if !known {
		return visit{}, gone(code.ErrNone)
	}
	request, err := p.Codes.Pushed(r.Context(), uri)
	if err != nil {
		return visit{}, gone(err)
	}
	if request.Client != c.ID || !slices.Contains(c.RedirectURIs, request.RedirectURI) {
		return visit{}, gone(code.ErrNone)
	}
	person, err := p.person(r)
	if err != nil {
		return visit{}, err
	}
	return visit{uri: uri, request: request, client: c, person: person}, nil
}

// person is who is signed in, as the ingress says, or nil. The ingress alone can set the header, so anything else than one good token of a
// person means that something of ours is set up wrongly: nobody is taken for a stranger then, and nobody for somebody.
func (p *Provider) person(r *http.Request) (*usercontext.Claims, error) {
	tokens := r.Header.Values(usercontext.Header)
	if len(tokens) == 0 {
		return nil, nil
	}
	if len(tokens) > 1 {
		return nil, errors.New("provider: several User Context Tokens in one request")
	}
	claims, err := p.People.Verify(r.Context(), tokens[0])
	switch {
	case err != nil:
		return nil, fmt.Errorf("provider: the User Context Token: %w", err)
	case claims.Act != nil: // a service in a person's name is not the person (RFC 8693 section 1.1)
		return nil, errors.New("provider: a User Context Token of a service that acts for a person")
	case claims.Session == "":
		return nil, errors.New("provider: a User Context Token without a session")
	case claims.CloudID != p.CloudID:
		return nil, errors.New("provider: a User Context Token of another cloud")
	}
	return &claims, nil
}

// silent means that the client wants no page to be shown (OpenID Connect Core 1.0 section 3.1.2.1).
func (v visit) silent() bool { return v.request.Prompt == "none" }

// asks tells whether the client wants the person to sign in or to confirm even if that was done before (the same section).
func (v visit) asks(what string) bool { return slices.Contains(strings.Fields(v.request.Prompt), what) }

// lack is what keeps a visit from a code before anybody is asked to confirm, as the error by which the client would be told; "" if nothing.
func (v visit) lack(now time.Time) string {
	switch {
	case v.person == nil, v.person.SessionExpiry <= now.Unix(), !v.fresh(now): // a session may be over for services and go on inside
		return loginRequired
	case !v.strong():
		return unmetRequirements
	case v.person.Managed == nil, !*v.person.Managed:
		return accessDenied
	}
	return ""
}

// fresh tells whether the person signed in as lately as the client wants (OpenID Connect Core 1.0 section 3.1.2.1): for prompt=login and max_age=0
// after the browser was sent to do so, for max_age within it, as of now, or of when the person was sent to sign in or was shown a page.
func (v visit) fresh(now time.Time) bool {
	age := v.request.MaxAge
	login := v.asks("login") || age != nil && *age == 0
	switch {
	case age == nil && !login:
		return true
	case v.person.AuthTime <= 0: // the provider did not say, so nobody knows
		return false
	case v.signedInAnew():
		now = v.returned.Add(-returnSkew)
	case login:
		return false
	case v.form:
		now = v.shown
	}
	return v.person.AuthTime >= now.Unix()-v.age()
}

// signedInAnew tells whether the person has come back from a sign-in since the browser was sent to one. Both are moments of our own clock.
func (v visit) signedInAnew() bool {
	return !v.returned.IsZero() && v.person.SignedIn >= v.returned.Unix()
}

// age is how old the proof may be, in seconds.
func (v visit) age() int64 {
	if v.request.MaxAge == nil || v.asks("login") {
		return 0
	}
	return max(0, *v.request.MaxAge)
}

// strong tells whether the person proved who they are in one of the ways that the client names (acr_values, the same section).
func (v visit) strong() bool {
	return len(v.request.ACRs) == 0 || v.person.ACR != "" && slices.Contains(v.request.ACRs, v.person.ACR)
}

// query is the query of the address that shows the request again.
func (v visit) query() url.Values {
	return url.Values{"client_id": {v.client.ID}, "request_uri": {v.uri}}
}

// leave brings an answer to the client: code or error with the state exactly as it was pushed, and the issuer (RFC 9207 section 2). A query
// that the redirect URI has of its own stays (RFC 6749 section 3.1.2). 303 keeps any browser from posting anything there (FAPI 2.0 Security
// Profile section 5.3.2.2). A form is answered by a page, since browsers hold redirects to the form-action of the form's page.
func (v visit) leave(issuer string, answer url.Values) page.Answer {
	answer.Set("iss", issuer)
	if v.request.State != "" {
		answer.Set("state", v.request.State)
	}
	joint := "?"
	if strings.Contains(v.request.RedirectURI, "?") {
		joint = "&"
	}
	target := v.request.RedirectURI + joint + answer.Encode()
	if v.form {
		return page.Continue(target)
	}
	return page.Redirect(http.StatusSeeOther, target)
}
