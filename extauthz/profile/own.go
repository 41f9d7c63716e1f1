package profile

import (
	"net/http"
	"strings"

	"isogate/extauthz/check"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
)

// own is one endpoint of our own, which passes whoever asks: the door behind it reads its own cookies. The table is closed: below our prefix
// nothing else passes. An unsafe method must come from the host's own pages.
type own struct {
	methods  []string
	path     string
	authOnly bool // on the auth host alone, else on every guarded host
}

var ownEndpoints = []own{
	{[]string{"GET", "POST"}, signin.PathSignIn, true},
	{[]string{"GET"}, signin.PathCallback, true},
	{[]string{"GET"}, signin.PathSession, true},
	{[]string{"GET"}, signin.PathEnter, false},
	{[]string{"GET", "POST"}, signin.PathLogout, false},
	{[]string{"GET", "HEAD"}, usercontext.JWKSPath, true},
}

// notAllowed names the methods that would do, as RFC 9110 section 15.5.6 demands of a 405.
func notAllowed(r check.Request, methods []string) check.Verdict {
	v := check.Deny(http.StatusMethodNotAllowed, check.Method, isNavigation(r), "")
	v.Answer = v.Answer.With("allow", strings.Join(methods, ", "))
	return v
}
