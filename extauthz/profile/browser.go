package profile

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

// browser is what ingress and federated share: to their hosts come browsers, and sessions begin at one of those hosts.
type browser struct {
	flows    signin.Flows
	table    []own             // closed
	backends map[string]string // ids of what stands behind the other hosts, by host
	stranger check.Verdict     // for a request without a session that is no navigation: always the same, and there are most of it
}

func newBrowser(flows signin.Flows, table []own) browser {
	return browser{
		flows: flows, table: table, backends: map[string]string{},
		stranger: check.Deny(http.StatusUnauthorized, check.Unauthenticated, false, flows.SignInURL()).Challenged(flows.Site.SignIn),
	}
}

// arrival is where a request has come to.
type arrival struct {
	cookies session.Cookies
	backend string // id; "" at our own endpoints
}

// arrive holds a request against the hosts that there are, before anybody asks who sent it. It has come nowhere if the verdict has a reason.
func (b browser) arrive(r check.Request) (arrival, check.Verdict) {
	id, ok := b.backends[r.Host]
	if !ok && r.Host != b.flows.Site.SignIn || r.SNI != r.Host {
		return arrival{}, check.Deny(http.StatusMisdirectedRequest, check.Misdirected, isNavigation(r), "")
	}
	cookies, err := session.ParseCookies(r.Header["cookie"])
	if err != nil {
		return arrival{}, check.Deny(http.StatusBadRequest, check.BadRequest, isNavigation(r), "")
	}
	if !ok || strings.HasPrefix(r.Path, "/.isogate") {
		return arrival{cookies: cookies}, check.Verdict{}
	}
	if r.Route.Product != id {
		return arrival{}, failed(r, check.Skew, nil)
	}
	if namesHopByHop(r) {
		return arrival{}, check.Deny(http.StatusBadRequest, check.BadRequest, isNavigation(r), "")
	}
	return arrival{cookies: cookies, backend: id}, check.Verdict{}
}

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
func (b browser) toSignIn(r check.Request, cookies session.Cookies) check.Verdict {
	if isFormPost(r) {
		return check.Deny(http.StatusUnauthorized, check.SessionEnded, true, b.flows.Site.URL(r.Host)+"/").Challenged(b.flows.Site.SignIn)
	}
	if !isNavigation(r) {
		return b.stranger
	}
	address, cookie, err := b.flows.Begin(r.Host, r.Path, r.Query)
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

// leastStream is how long every request may last: one that came in the last moment of a session is answered, and not cut off as if what answers
// it were at fault. By so much a stream may outlive its session.
const leastStream = time.Second

// streamFor is how long a request may last, from the limit of its backend and what is left of the session.
func streamFor(limit, left time.Duration) time.Duration { return min(limit, max(left, leastStream)) }
