package signin

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// callback takes the provider's answer. Checks before effects: the state must be ours, the browser must be the one that began, the
// provider's answer must hold, and the claims must fit; only then is anything written.
func (d *Door) callback(v visit) (page.Answer, error) {
	if !d.navigates(v) {
		return page.Denial(http.StatusUnauthorized, "unauthenticated", false, d.SignInURL()), nil
	}
	begun, provider, err := d.openState(v.query["state"])
	if err != nil {
		return page.StartAgain(d.Site.home(v.host)), nil
	}
	cookie, ok := proven(v.cookies, begun.Proof)
	if !ok {
		return d.withoutCookie(v, begun)
	}
	who, idToken, err := provider.finish(v.Context(), v.query, d.callbackURL(), begun)
	if err != nil {
		answer, cause := d.refuse(v, provider, begun, err)
		return answer.With("set-cookie", cookie.Clear()), cause
	}
	answer, err := d.establish(v, who, idToken, cookie, begun.Back)
	if err == nil {
		d.SignIns.WithLabelValues(provider.ID, "ok").Inc()
		d.Log.InfoContext(v.Context(), "signed in", "user", who.User, "provider", who.Provider)
	}
	return answer.With("set-cookie", cookie.Clear()), err
}

// withoutCookie answers a callback whose flow cookie is gone: a reload, a second tab that finished first, blocked cookies, or somebody
// else's answer in this browser. It never signs in; who is signed in goes where they wanted.
//
// Whoever came from the OAuth server goes back there, signed in or not, for it owes its client an answer. This makes no circle even in a
// browser that keeps no cookies, although it may send people here: whoever comes back with its own sealed `returned` it does not send again,
// but answers the client. A query that somebody else made has none, and gets one when it is sent here the next time.
func (d *Door) withoutCookie(v visit, begun state) (page.Answer, error) {
	if back := begun.Back; back != nil && d.toAuthorize(*back) && d.known(*back) {
		return page.Redirect(http.StatusSeeOther, d.url(*back)), nil
	}
	_, err := d.living(v)
	switch {
	case errors.Is(err, session.ErrNone):
		return page.StartAgain(d.Site.home(v.host)), nil
	case err != nil:
		return failed(err)
	case begun.Back == nil || !d.known(*begun.Back):
		return page.Redirect(http.StatusSeeOther, d.Site.home(v.host)), nil
	}
	return page.Redirect(http.StatusSeeOther, d.url(*begun.Back)), nil
}

// refuse answers for a provider's answer that does not let a person in.
func (d *Door) refuse(v visit, p *Provider, begun state, err error) (page.Answer, error) {
	if refusal, ok := errors.AsType[Refusal](err); ok {
		d.SignIns.WithLabelValues(p.ID, refusal.Reason).Inc()
		return page.NotAllowed(refusal.Reason, d.another()), nil
	}
	if errors.Is(err, errAnswer) {
		d.SignIns.WithLabelValues(p.ID, "start-again").Inc()
		return page.StartAgain(d.again(v, begun)), nil
	}
	d.SignIns.WithLabelValues(p.ID, "provider-unavailable").Inc()
	return page.ProviderUnavailable(d.again(v, begun)), err
}

// again is where a person whose sign-in failed begins anew: at the place they wanted, which sends them here with a new flow. It is only ever
// a link, so the OAuth server may be asked as if the request had not been here yet: else it would give the person up, who wants to try once more.
func (d *Door) again(v visit, begun state) string {
	if begun.Back == nil || !d.known(*begun.Back) {
		return d.Site.home(v.host)
	}
	if d.toAuthorize(*begun.Back) {
		return d.Site.URL(begun.Back.Host) + firstVisit(begun.Back.Target)
	}
	return linkSafe.Replace(d.url(*begun.Back))
}

// linkSafe escapes the characters that browsers send raw in a query and that no link may hold (RFC 3986 section 2).
var linkSafe = strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E", `\`, "%5C", "^", "%5E", "`", "%60", "{", "%7B", "|", "%7C", "}", "%7D")

// establish opens or renews the session of a person who has proved who they are, gives this host a new handle, and leads back.
func (d *Door) establish(v visit, who session.Identity, idToken string, used session.FlowCookie, back *flow) (page.Answer, error) {
	limits := d.Policies.For(who)
	if err := d.Fits(session.Session{Identity: who}); err != nil {
		d.SignIns.WithLabelValues(who.Provider, "claims-too-large").Inc()
		return page.NotAllowed("claims-too-large", d.another()), err
	}
	current, err := d.joined(v, who, used, limits)
	if err != nil {
		return failed(err)
	}
	if err := d.keepIDToken(v.Context(), current, idToken, limits); err != nil {
		return failed(err)
	}
	handle, err := d.Sessions.Handle(v.Context(), current, v.host, limits)
	if err != nil {
		return failed(err)
	}
	if err := d.Sessions.Drop(v.Context(), v.cookies.Session); err != nil {
		return failed(err)
	}
	answer, err := d.leave(v, current, back)
	return answer.With("set-cookie", session.SetSession(handle)), err
}

// current is the session to go on with: the living one of this browser, or the one of which a note speaks, renewed if it is the same person's,
// else a new one. Another person's session ends only if this very browser is in it: a note alone may have been left elsewhere.
func (d *Door) current(v visit, who session.Identity, used session.FlowCookie, l session.Limits) (session.Session, error) {
	old, err := d.living(v)
	if err == nil && old.User != who.User {
		err = cmp.Or(d.Sessions.End(v.Context(), old.ID), session.ErrNone)
	} else if errors.Is(err, session.ErrNone) {
		old, err = d.noted(v.Context(), used)
	}
	if err == nil && old.User == who.User {
		old, err = d.Sessions.Renew(v.Context(), old.ID, who, l)
	} else if err == nil {
		err = session.ErrNone
	}
	if errors.Is(err, session.ErrNone) {
		return d.Sessions.Open(v.Context(), who, l)
	}
	return old, err
}
