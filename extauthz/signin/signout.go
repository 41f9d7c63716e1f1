package signin

import (
	"errors"
	"net/http"

	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// askSignOut shows the button. A GET must not sign anybody out: any page can cause one.
func (d *Door) askSignOut(v visit) (page.Answer, error) {
	return page.SignOut(PathLogout, v.host, d.home(v.host)), nil
}

// signOut ends the session at every host. The check has made sure that the request comes from this very host.
func (d *Door) signOut(v visit) (page.Answer, error) {
	living, err := d.living(v)
	if err == nil {
		err = d.Sessions.End(v.Context(), living.ID)
	}
	if err != nil && !errors.Is(err, session.ErrNone) {
		return page.Refused(http.StatusServiceUnavailable, "unavailable"), err
	}
	return page.SignedOut(d.home(v.host)).With("set-cookie", session.ClearSession()), nil
}
