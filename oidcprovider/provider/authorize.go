package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"isogate/extauthz/grant"
	"isogate/extauthz/page"
	"isogate/oidcprovider/code"
)

// The error codes of the authorization endpoint.
const (
	invalidRequestURI = "invalid_request_uri"               // OpenID Connect Core 1.0 section 3.1.2.6
	loginRequired     = "login_required"                    // the same
	consentRequired   = "consent_required"                  // the same
	unmetRequirements = "unmet_authentication_requirements" // OpenID Connect Core Error Code unmet_authentication_requirements 1.0
	accessDenied      = "access_denied"                     // RFC 6749 section 4.1.2.1
)

// authorize leads a browser that a client sent here to the client with a code, or to whatever that still needs.
//
// Nothing counts but client_id and request_uri: what else the address holds was not pushed, so anybody may have written it (FAPI 2.0
// Security Profile section 5.3.2.2). A pushed request may be visited again until it was answered, as reloads and abandoned tabs do.
func (p *Provider) authorize(r *http.Request) (page.Answer, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["client_id"]) != 1 || len(query["request_uri"]) != 1 || len(query["returned"]) > 1 {
		return page.Answer{}, wrong(invalidRequest, "the address must hold client_id and request_uri, each once")
	}
	v, err := p.arrive(r, query.Get("client_id"), query.Get("request_uri"))
	if err != nil {
		return page.Answer{}, err
	}
	v.returned = p.openReturned(v.uri, query.Get("returned"))
	switch lack := v.lack(p.Now()); {
	case lack == accessDenied && !v.silent():
		return p.notManaged(v)
	case lack != "" && lack != accessDenied && !v.silent() && v.returned.IsZero():
		return p.toSignIn(v), nil
	case lack != "":
		return p.tell(r.Context(), v, lack)
	}
	switch confirmed, err := p.Codes.Confirmed(r.Context(), v.person.Session, v.client.ID); {
	case err != nil:
		return page.Answer{}, err
	case confirmed && !v.asks("consent"):
		return p.finish(r.Context(), v)
	case v.silent():
		return p.tell(r.Context(), v, consentRequired)
	}
	return p.confirm(v)
}

// finish opens the grant, uses the request up and gives the code to the client. The grant comes first: a person whose session has just ended
// gets no code, and where extauthz cannot be asked the request stays good for another try.
func (p *Provider) finish(ctx context.Context, v visit) (page.Answer, error) {
	opened, err := p.Grants.Open(ctx, v.person.Session, v.client.ID)
	if errors.Is(err, grant.ErrNone) {
		return p.sessionEnded(ctx, v)
	} else if err != nil {
		return page.Answer{}, fmt.Errorf("provider: %w", err)
	}
	request, err := p.Codes.Answer(ctx, v.uri)
	if err != nil { // a second tab was quicker, or the store does not answer
		return page.Answer{}, errors.Join(gone(err), p.abandon(ctx, opened, v))
	}
	issued, err := p.Codes.Issue(ctx, code.Code{
		Request: request, Grant: opened.Grant, User: v.person.Subject, AuthTime: v.person.AuthTime, ACR: v.person.ACR,
	})
	if err != nil { // the request is used up, so the client alone can begin anew
		return v.leave(p.Issuer, url.Values{"error": {temporarilyDown}}),
			fault{Status: http.StatusServiceUnavailable, Code: temporarilyDown, Cause: errors.Join(err, p.abandon(ctx, opened, v))}
	}
	return v.leave(p.Issuer, url.Values{"code": {issued}}), nil
}

// abandon ends a grant that no code stands for. One that cannot be ended now ends by itself, unredeemed. The browser may have gone.
func (p *Provider) abandon(ctx context.Context, opened grant.Opened, v visit) error {
	return p.Grants.End(context.WithoutCancel(ctx), opened.Grant, v.client.ID)
}

// sessionEnded is the answer to a visit whose session turns out to be over for services. The person may still be signed in inside, so only a
// fresh sign-in helps.
func (p *Provider) sessionEnded(ctx context.Context, v visit) (page.Answer, error) {
	if v.silent() || !v.returned.IsZero() {
		return p.tell(ctx, v, loginRequired)
	}
	return p.toSignIn(v), nil
}

// tell uses the request up and brings an error to the client.
func (p *Provider) tell(ctx context.Context, v visit, word string) (page.Answer, error) {
	if _, err := p.Codes.Answer(ctx, v.uri); err != nil {
		return page.Answer{}, gone(err)
	}
	return v.leave(p.Issuer, url.Values{"error": {word}}), told(word)
}

// gone makes what the store says of a request that it does not have a fault of whoever brought it.
func gone(err error) error {
	if errors.Is(err, code.ErrNone) {
		return wrong(invalidRequestURI, "the request_uri is unknown, too old, used, or another client's")
	}
	return err
}

// toSignIn leads to where people sign in, which leads back here with the same query. returned shows then that they were there, so that whoever
// still lacks something does not go round for ever.
func (p *Provider) toSignIn(v visit) page.Answer {
	back := v.query()
	back.Set("returned", p.sealReturned(v.uri))
	wish := url.Values{"authorize": {back.Encode()}}
	if v.person != nil || v.asks("login") { // a session that is not good enough would only lead back
		wish.Set("prompt", "login")
	}
	if v.request.MaxAge != nil {
		wish.Set("max_age", fmt.Sprint(*v.request.MaxAge))
	}
	if len(v.request.ACRs) > 0 {
		wish.Set("acr_values", strings.Join(v.request.ACRs, " "))
	}
	if v.request.LoginHint != "" {
		wish.Set("login_hint", v.request.LoginHint)
	}
	address := p.Issuer + PathSignIn + "?" + wish.Encode()
	if v.form {
		return page.Continue(address)
	}
	return page.Redirect(http.StatusFound, address)
}

// again leads a form back to where the visit began.
func (p *Provider) again(v visit) page.Answer {
	return page.Continue(p.Issuer + PathAuthorize + "?" + v.query().Encode())
}

// The purposes of our sealed values: none opens in another's place.
const (
	purposeReturned = "returned" // from here through the sign-in and back
	purposeDecision = "decision" // from a page of ours to its form's answer
)

// returnedLifetime is how long somebody may take to sign in.
const returnedLifetime = 15 * time.Minute

// returned is when a browser was sent to sign in. It is bound to its request_uri.
type returned struct {
	At int64 `json:"at"` // Unix seconds
}

func (p *Provider) sealReturned(uri string) string {
	raw, _ := json.Marshal(returned{p.Now().Unix()}) // a number cannot fail
	return p.Seal.Seal(purposeReturned, uri, raw)
}

// openReturned is the moment when a browser was sent to sign in for a request; zero if it was not, or too long ago, or for another one: then
// it may be sent again.
func (p *Provider) openReturned(uri, sealed string) time.Time {
	var r returned
	raw, err := p.Seal.Open(purposeReturned, uri, sealed)
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return time.Time{}
	}
	at := time.Unix(r.At, 0)
	if age := p.Now().Sub(at); age >= returnedLifetime {
		return time.Time{}
	}
	return at
}
