package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"isogate/extauthz/kv"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// ticketLifetime is how long the browser has to follow one redirect.
const ticketLifetime = 30 * time.Second

// ticket lets one browser, the one that began at a host, continue a session there, once. It holds no handle: that is made when the ticket
// is used, so a stolen store holds nothing that opens a session; and it is sealed there, since a target's query may hold a product's secrets.
type ticket struct {
	Session string `json:"s"`
	Host    string `json:"h"`
	Proof   string `json:"v"` // hash of that host's flow cookie
	Target  string `json:"t"`
}

// leave brings a signed-in person to the host that they wanted, with a ticket for it. On the auth host itself none is needed: the session's
// cookie is there, or is set with this very answer.
func (d *Door) leave(v visit, current session.Session, back *flow) (page.Answer, error) {
	if back == nil || !d.known(*back) {
		return page.Redirect(http.StatusSeeOther, d.Site.URL(d.Site.SignIn)+PathSession), nil
	}
	if d.toAuthorize(*back) {
		return page.Redirect(http.StatusSeeOther, d.url(*back)), nil
	}
	secret := make([]byte, 32)
	rand.Read(secret) // it never returns an error: without randomness the process ends
	sealed, err := d.seal(purposeTicket, ticket{Session: current.ID, Host: back.Host, Proof: back.Proof, Target: back.Target})
	if err != nil {
		return failed(err)
	}
	item := kv.Item{Key: ticketKey(secret), Value: []byte(sealed), Expires: d.Now().Add(ticketLifetime)}
	if err := d.Tickets.Put(v.Context(), item); err != nil {
		return failed(fmt.Errorf("signin: keeping a ticket: %w", err))
	}
	address := d.Site.URL(back.Host) + PathEnter + "?ticket=" + base64.RawURLEncoding.EncodeToString(secret)
	return page.Redirect(http.StatusSeeOther, address), nil
}

// enter takes a ticket, which is dead from then on whatever comes next, and demands the flow cookie that it was made for.
func (d *Door) enter(v visit) (page.Answer, error) {
	if !d.navigates(v) {
		return page.Denial(http.StatusUnauthorized, "unauthenticated", false, d.SignInURL()), nil
	}
	taken, err := d.take(v)
	if err != nil && !errors.Is(err, errSealed) {
		return failed(err)
	}
	cookie, ok := proven(v.cookies, taken.Proof)
	if err != nil || taken.Host != v.host || !ok {
		return page.StartAgain(d.Site.home(v.host)), nil
	}
	current, err := d.Sessions.ByID(v.Context(), taken.Session, d.Policies)
	if errors.Is(err, session.ErrNone) {
		return page.StartAgain(d.Site.home(v.host)), nil
	} else if err != nil {
		return failed(err)
	}
	return d.admit(v, current, page.Redirect(http.StatusSeeOther, d.Site.URL(v.host)+taken.Target).With("set-cookie", cookie.Clear()))
}

// admit gives this host a new handle, unless the browser is in this very session here: of tabs that come at once, a later one must not take
// the handle with which an earlier one is loading its page.
func (d *Door) admit(v visit, current session.Session, answer page.Answer) (page.Answer, error) {
	living, err := d.living(v)
	switch {
	case err == nil && living.ID == current.ID:
		return answer, nil
	case err != nil && !errors.Is(err, session.ErrNone):
		return failed(err)
	}
	handle, err := d.Sessions.Handle(v.Context(), current, v.host, d.Policies.For(current.Identity))
	if err != nil {
		return failed(err)
	}
	if err := d.Sessions.Drop(v.Context(), v.cookies.Session); err != nil {
		return failed(err)
	}
	return answer.With("set-cookie", session.SetSession(handle)), nil
}

// take removes the ticket that a visitor brings. errSealed means that there is none such.
func (d *Door) take(v visit) (ticket, error) {
	text := v.query["ticket"]
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) != 32 || len(text) != base64.RawURLEncoding.EncodedLen(32) { // the decoder skips line breaks
		return ticket{}, errSealed
	}
	value, err := d.Tickets.Take(v.Context(), ticketKey(secret))
	if errors.Is(err, kv.ErrNotFound) {
		return ticket{}, errSealed
	} else if err != nil {
		return ticket{}, fmt.Errorf("signin: taking a ticket: %w", err)
	}
	var taken ticket
	return taken, d.unseal(purposeTicket, string(value), &taken)
}

func ticketKey(secret []byte) string {
	sum := sha256.Sum256(secret)
	return "t/" + base64.RawURLEncoding.EncodeToString(sum[:])
}
