package check

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"isogate/extauthz/page"
)

var errUnsound = errors.New("check: a verdict that contradicts itself")

// sound makes a 503 of a verdict that is neither plainly a pass nor plainly a denial, so that status, body, reason and metric always say one
// thing.
func sound(v Verdict) Verdict {
	if v.Allow && passes[v.Reason] && mayChange(v) || !v.Allow && v.Reason != "" && !passes[v.Reason] && mayAnswer(v.Answer) {
		return v
	}
	cause := v.Cause
	if cause == nil {
		cause = errUnsound
	}
	answer := page.Denial(http.StatusServiceUnavailable, string(Unavailable), false, "")
	return Verdict{Reason: Unavailable, Answer: answer, Cause: cause, Method: v.Method, Caller: v.Caller, Policy: v.Policy, Rule: v.Rule}
}

// mayChange tells whether a pass changes only what it may: neither where the request goes, nor where its body ends, nor Envoy's own controls.
func mayChange(v Verdict) bool {
	bad := func(name string) bool { return !isField(name) || name == "host" || strings.HasPrefix(name, "x-envoy-") }
	return !slices.ContainsFunc(v.Remove, bad) && !slices.ContainsFunc(v.Respond, foreign) &&
		!slices.ContainsFunc(v.Set, func(f page.Field) bool { return bad(f.Name) || !isValue(f.Value) })
}

// ownCookie begins the name of every cookie that we set; package session owns them.
const ownCookie = "__Host-isogate_"

// foreign finds what may not be added to a backend's answer: everything but a cookie of our own.
func foreign(f page.Field) bool {
	return f.Name != "set-cookie" || !strings.HasPrefix(f.Value, ownCookie) || !isValue(f.Value)
}

// mayAnswer tells whether Envoy can send an answer whole, and as a denial.
func mayAnswer(a page.Answer) bool {
	return isDenial(a.Status) && utf8.Valid(a.Body) &&
		!slices.ContainsFunc(a.Header, func(f page.Field) bool { return !isField(f.Name) || !isValue(f.Value) })
}

// isDenial accepts the statuses from 300 on that Envoy knows; it refuses an answer with any other
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/v3/http_status.proto).
func isDenial(status int) bool {
	switch status {
	case 421, 422, 423, 424, 426, 428, 429, 431, 510, 511:
		return true
	}
	return 300 <= status && status <= 308 && status != 306 || 400 <= status && status <= 417 || 500 <= status && status <= 508
}

// isField accepts a name in lower case (a token of RFC 9110 section 5.6.2, so no pseudo-header) that does not frame a body.
func isField(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != "" && name != "content-length" && name != "transfer-encoding"
}
