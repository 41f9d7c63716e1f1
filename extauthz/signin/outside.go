package signin

import (
	"net/http"
	"time"

	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// outsideTicket carries a session from the identity host to a service's host, sealed for that host. Nothing is stored, so within its time it
// opens again; but only there, and only for the browser with the flow cookie, which is gone after the first time.
type outsideTicket struct {
	Session string `json:"s"` // the cookie's value at that host; "" where the service takes no such session
	Proof   string `json:"v"` // hash of that host's flow cookie
	Target  string `json:"t"`
	Expires int64  `json:"e"` // Unix seconds
}

// handOver brings a signed-in person to the service that they wanted, and gives this host a cookie with what was last heard of the session.
func (d *Identity) handOver(v visit, current session.Outside, back *flow) (page.Answer, error) {
	if back == nil || !d.known(*back) {
		return d.hold(v, current, page.Redirect(http.StatusSeeOther, d.home(v.host)))
	}
	ticket := outsideTicket{Proof: back.Proof, Target: back.Target, Expires: d.Now().Add(ticketLifetime).Unix()}
	if d.federates(back.Host) {
		value, err := d.Sealed.Seal(back.Host, current)
		if err != nil {
			return failed(err)
		}
		ticket.Session = value
	}
	sealed, err := d.sealFor(purposeOutsideTicket, back.Host, ticket)
	if err != nil {
		return failed(err)
	}
	return d.hold(v, current, page.Redirect(http.StatusSeeOther, d.Site.URL(back.Host)+PathEnter+"?ticket="+sealed))
}

// enter opens a ticket, and demands the flow cookie that it was made for. Whatever is wrong, a session that lives here goes on.
func (d *Identity) enter(v visit) (page.Answer, error) {
	if !IsNavigation(v.Method, v.Header.Get) {
		return page.Denial(http.StatusUnauthorized, "unauthenticated", false, d.SignInURL()), nil
	}
	var ticket outsideTicket
	err := d.unsealFor(purposeOutsideTicket, v.host, v.query["ticket"], &ticket)
	cookie, ok := proven(v.cookies, ticket.Proof)
	to := flow{Host: v.host, Target: ticket.Target}
	if err != nil || !ok || !d.Now().Before(time.Unix(ticket.Expires, 0)) || !d.known(to) {
		return d.notEntered(v), nil
	}
	if !d.federates(v.host) {
		return page.NotFederated(d.Site.URL(d.Site.SignIn)+PathLogout).With("set-cookie", cookie.Clear()), nil
	}
	current, err := d.Sealed.Open(v.host, ticket.Session)
	if err != nil {
		return d.notEntered(v), nil
	}
	return page.Redirect(http.StatusSeeOther, d.url(to)).
		With("set-cookie", session.SetOutside(ticket.Session, current, d.Now())).With("set-cookie", cookie.Clear()), nil
}

// notEntered answers whoever brings a ticket that opens nothing here. A ticket that was made for another browser still opens there: so no page
// may stand at the address that holds it, or a script of the service that has opened a window could read it there and hand it to that browser.
func (d *Identity) notEntered(v visit) page.Answer {
	if len(v.query) > 0 {
		return page.Redirect(http.StatusSeeOther, d.Site.URL(v.host)+PathEnter)
	}
	return page.StartAgain(d.home(v.host))
}

// askSignOut shows the button. A GET must not sign anybody out: any page can cause one.
func (d *Identity) askSignOut(v visit) (page.Answer, error) {
	if _, err := d.Sealed.Open(v.host, v.cookies.Outside); err != nil {
		return drop(v, d.signedOut(v, func(address string) page.Answer { return page.Redirect(http.StatusSeeOther, address) })), nil
	}
	return page.OutsideSignOut(PathLogout, v.host, d.home(v.host), d.Within), nil
}

// signOut ends the session here, and its grant, with which it ends everywhere outside. The session inside goes on: it is not ours to end. The
// check has made sure that the request comes from this very host.
func (d *Identity) signOut(v visit) (page.Answer, error) {
	current, err := d.Sealed.Open(v.host, v.cookies.Outside)
	if err != nil {
		return d.signedOut(v, page.Continue).With("set-cookie", session.ClearOutside()), nil
	}
	answer := page.OutsideSignedOut(d.home(v.host), d.Within)
	if !d.revoke(v, current) {
		answer = page.OutsideSignedOutUnheard(d.home(v.host))
	}
	return answer.With("set-cookie", session.ClearOutside()), nil
}

// signedOut answers somebody who has no session at this host. The identity host has one as long as any service does, so it must say so.
func (d *Identity) signedOut(v visit, lead func(address string) page.Answer) page.Answer {
	if v.host != d.Site.SignIn {
		return lead(d.Site.URL(d.Site.SignIn) + PathLogout)
	}
	return page.OutsideSignedOut(d.home(v.host), d.Within)
}
