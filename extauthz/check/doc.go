// Package check turns Envoy's question into a Request and a Verdict into Envoy's answer
// (envoy.service.auth.v3.Authorization, https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto).
//
// It owns what must hold whatever is decided: one view of the path, headers as they really came, a zero Verdict that denies, an answer
// that touches neither path nor host, a reason for each answer, and 503 for everything that fails. Who may pass is decided by a Decider.
package check

import (
	"context"
	"net/netip"
	"time"

	"isogate/extauthz/page"
)

// A Decider decides one request. It must be harmless to ask twice: Envoy repeats a check when the connection to us broke.
type Decider interface {
	Decide(context.Context, Request) Verdict
}

// Request is one HTTP request as Envoy saw it after its own normalisation.
type Request struct {
	Method  string     // as sent; one of the methods that Parse lets through
	Host    string     // lower-case, without a port
	Path    string     // canonical, see Path; exactly the bytes that the product receives
	Query   string     // what follows the first ?, as sent; "" if absent
	Header  Header     // by lower-case name, each line apart
	SNI     string     // the server name of the TLS handshake, lower-case; "" without one
	Address netip.Addr // the client's address as the edge reported it: for rates, logs inside and policy input, never for identity
	Route   Route      // which route Envoy chose

	ID          string // Envoy's own name for the request: the same when it repeats a check, another for every other request; "" if it gave none
	Certificate string // the client's, verified by Envoy in the TLS handshake: PEM of the leaf, URL-encoded; "" without one
	Body        bool   // whether a body is there or announced, where the route asks the check to look at that
}

// Route is the metadata of the route that Envoy chose: exactly one of them is set on a route that leads anywhere.
type Route struct {
	Product string // id of the product that Envoy will forward to
	Door    string // Envoy will forward to our own HTTP door
	OAuth   string // Envoy will forward to the OAuth server

	Endpoint string // id of the exposed endpoint, beside Product, at the gateway
}

// Target is the path with its query, as the person's browser would ask for it again.
func (r Request) Target() string {
	if r.Query == "" {
		return r.Path
	}
	return r.Path + "?" + r.Query
}

// Header is a request's header by lower-case name, each line a value of its own.
type Header map[string][]string

// Get is the value of a header that stands there exactly once, else "". A repeated header must not be read as "the last one".
func (h Header) Get(name string) string {
	if values := h[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// Verdict is what was decided. The zero Verdict denies with 503.
type Verdict struct {
	Allow  bool
	Reason Reason

	Set     []page.Field  // request headers to write, each in place of whatever stood there; only when Allow
	Remove  []string      // request headers to remove; only when Allow
	Respond []page.Field  // lines to add to the backend's answer: set-cookie with a cookie of ours, and no other; only when Allow
	Stream  time.Duration // when positive, the longest that the request may last; only when Allow

	Answer page.Answer // what the client gets; only when not Allow
	Cause  error       // for our log alone; nothing of it is ever answered
	Method string      // of the request, for the record; the server sets it, "" where none was parsed
	Caller string      // SPIFFE id of the service that called, for the record; "" where none is known
	Policy string      // digest of the policies that had a say; "" if none had
	Rule   string      // which of their rules gave the answer; "" if none did
}

// Reason says in a word why a request passed or did not. The words are the same in metrics, access logs, problems and tests.
type Reason string

// Why requests pass.
const (
	Session   Reason = "session"   // a living session, and the policies allow it
	Anonymous Reason = "anonymous" // no session, but on the anonymous allowlist
	Own       Reason = "own"       // an endpoint of our own
	Exposed   Reason = "exposed"   // a commercial service's call of an endpoint that is exposed to it
	Sent      Reason = "sent"      // a service's call to an isolated cloud, on its way out
)

// Why they do not.
const (
	BadRequest      Reason = "bad-request"     // 400: a path, header or cookie that could be read in two ways
	SignIn          Reason = "sign-in"         // 302: a navigation without a session
	Unauthenticated Reason = "unauthenticated" // 401: anything else without a session
	SessionEnded    Reason = "session-ended"   // 401: a form was posted, or a service's call made, after the session ended
	Token           Reason = "token"           // 401: a service's call with a token that is missing or is not to be believed here
	Proof           Reason = "proof"           // 401: its proof of possession is missing, for another request, old, or used before
	CrossOrigin     Reason = "cross-origin"    // 403: another site acts in the person's name
	Policy          Reason = "policy"          // 403: a rule said no
	Federation      Reason = "federation"      // 403: a service that is not for people of isolated clouds
	Caller          Reason = "caller"          // 403: a certificate that names no caller, or one that may not come with this token
	NotExposed      Reason = "not-exposed"     // 403: no endpoint that is exposed to this caller, with this query and body
	Cloud           Reason = "cloud"           // 403: a call to an isolated cloud that is not the token's, or that has no gateway
	NotFound        Reason = "not-found"       // 404: no endpoint of our own
	Method          Reason = "method"          // 405: an endpoint of our own, but not with this method
	Misdirected     Reason = "misdirected"     // 421: a host that is not ours, or not that of the TLS handshake
	Skew            Reason = "skew"            // 503: Envoy's route and our file disagree about the host
	Unavailable     Reason = "unavailable"     // 503: it could not be decided
)

// passes holds the only reasons with which a request may pass.
var passes = map[Reason]bool{Session: true, Anonymous: true, Own: true, Exposed: true, Sent: true}

// Deny is a verdict that answers with the page or problem of a reason.
func Deny(status int, reason Reason, navigation bool, signIn string) Verdict {
	return Verdict{Reason: reason, Answer: page.Denial(status, string(reason), navigation, signIn)}
}

// Challenged adds the challenge that RFC 9110 section 15.5.2 demands of a 401: ours names the host where sessions begin.
func (v Verdict) Challenged(realm string) Verdict {
	v.Answer = v.Answer.With("www-authenticate", `Isogate realm="`+realm+`"`)
	return v
}
