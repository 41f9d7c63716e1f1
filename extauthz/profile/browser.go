package profile

import (
	"net/http"
	"slices"

	"isogate/extauthz/check"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

// isNavigation and isFormPost look at a request as package signin does.
func isNavigation(r check.Request) bool { return signin.IsNavigation(r.Method, r.Header.Get) }
func isFormPost(r check.Request) bool   { return signin.IsFormPost(r.Method, r.Header.Get) }

// unsafe is a request that may change something: a method that is not safe (RFC 9110 section 9.2.1), or an upgrade, which browsers let any
// page make to any host, with cookies.
func unsafe(r check.Request) bool {
	return r.Method != "GET" && r.Method != "HEAD" && r.Method != "OPTIONS" || len(r.Header["upgrade"]) > 0
}

// sameSite tells whether an unsafe request comes from a page of its own host or of an origin that is allowed. The browser says so in
// Origin, or, where it leaves that out or hides it as null (a page without a referrer does that to its own forms), in Sec-Fetch-Site, which
// no page can write; a request that says neither comes from no page that we know.
func sameSite(r check.Request, own string, allowed []string) bool {
	if origin := r.Header.Get("origin"); len(r.Header["origin"]) > 0 && origin != "null" {
		return origin == own || slices.Contains(allowed, origin)
	}
	return r.Header.Get("sec-fetch-site") == "same-origin"
}

// toSignIn answers a request without a session: a navigation is sent to sign in, everything else is told where to.
func (in *Ingress) toSignIn(r check.Request, cookies session.Cookies) check.Verdict {
	if isFormPost(r) {
		return check.Deny(http.StatusUnauthorized, check.SessionEnded, true, in.flows.Cloud.URL(r.Host)+"/").Challenged(in.auth)
	}
	if !isNavigation(r) {
		return in.stranger
	}
	address, cookie, err := in.flows.Begin(r.Host, r.Path, r.Query)
	if err != nil {
		return failed(r, check.Unavailable, err)
	}
	answer := page.Redirect(http.StatusFound, address)
	for _, old := range cookies.Surplus() {
		answer = answer.With("set-cookie", old.Clear())
	}
	return check.Verdict{Reason: check.SignIn, Answer: answer.With("set-cookie", cookie.Set())}
}

// strip removes from what the client sent every cookie and every header that only we may set.
func strip(r check.Request, cookies session.Cookies) (set []page.Field, remove []string) {
	for name := range r.Header {
		if ownHeader(name) {
			remove = append(remove, name)
		}
	}
	slices.Sort(remove)
	switch {
	case !cookies.Ours:
	case cookies.Rest == "":
		remove = append(remove, "cookie")
	default:
		set = append(set, page.Field{Name: "cookie", Value: cookies.Rest})
	}
	return set, remove
}

// failed answers what could not be decided. The cause is for our log alone.
func failed(r check.Request, reason check.Reason, cause error) check.Verdict {
	v := check.Deny(http.StatusServiceUnavailable, reason, isNavigation(r), "")
	v.Cause = cause
	return v
}
