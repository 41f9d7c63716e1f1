package profile

import (
	"net/http"
	"strings"

	"isogate/extauthz/check"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
)

// mode says what the check does for an endpoint of our own.
type mode int

const (
	// none: no session is looked up and no token is made; the request passes whoever sends it.
	none mode = iota + 1
	// optional: passes with or without a session. An unsafe method must come from the host's own pages.
	optional
)

// own is one endpoint of our own. The table is closed: below our prefix nothing else passes.
type own struct {
	methods  []string
	path     string
	authOnly bool // on the auth host alone, else on every guarded host
	mode     mode
}

var ownEndpoints = []own{
	{[]string{"GET"}, signin.PathSignIn, true, none},
	{[]string{"GET"}, signin.PathCallback, true, none},
	{[]string{"GET"}, signin.PathEnter, false, none},
	{[]string{"GET", "POST"}, signin.PathLogout, false, optional},
	{[]string{"GET", "HEAD"}, usercontext.JWKSPath, true, none},
}

// notAllowed names the methods that would do, as RFC 9110 section 15.5.6 demands of a 405.
func notAllowed(r check.Request, methods []string) check.Verdict {
	v := check.Deny(http.StatusMethodNotAllowed, check.Method, isNavigation(r), "")
	v.Answer = v.Answer.With("allow", strings.Join(methods, ", "))
	return v
}
