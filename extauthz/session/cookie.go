package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Our cookies. The __Host- prefix makes browsers refuse them from a sub-domain, from a plain-HTTP page and with another path
// (RFC 6265bis section 4.1.3.2), so that no other host can plant one.
const (
	CookiePrefix  = "__Host-isogate" // every cookie of ours, whatever follows
	SessionCookie = CookiePrefix + "_session"
	OutsideCookie = CookiePrefix + "_federated" // on the commercial side; the session itself, sealed
	flowPrefix    = CookiePrefix + "_flow_"
)

// MaxFlows is how many sign-ins may be under way in one browser at one host; the oldest gives way.
const MaxFlows = 32

// FlowLifetime is how long a sign-in may take.
const FlowLifetime = 10 * time.Minute

// ErrCookies means that a request carries two cookies of one name of ours: nobody can say which one counts (RFC 6265 section 4.2.2).
var ErrCookies = errors.New("session: two cookies of one name")

// Cookies is what a request carries of our cookies, and what is left of the header without them.
type Cookies struct {
	Session Handle
	Outside string       // see Sealed
	Flows   []FlowCookie // oldest first
	Rest    string       // the cookies that are not ours, as one header value
	Ours    bool         // whether there was any of ours, of whatever name
}

// Format says [redacted] for every verb: what is sealed is a credential to whoever sends it, and what is not ours is nobody's business.
func (Cookies) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText says [redacted], in JSON and in logs.
func (Cookies) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// FlowCookie proves that a sign-in comes back to the browser that began it.
type FlowCookie struct{ Name, Secret string }

// Format says [redacted] for every verb.
func (FlowCookie) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText says [redacted], in JSON and in logs.
func (FlowCookie) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ParseCookies reads every line of a cookie header.
func ParseCookies(lines []string) (Cookies, error) {
	var c Cookies
	var rest []string
	seen := map[string]bool{}
	for _, crumb := range strings.Split(strings.Join(lines, ";"), ";") {
		crumb = strings.Trim(crumb, " \t")
		name, value, _ := strings.Cut(crumb, "=")
		name = strings.TrimRight(name, " \t")
		if crumb == "" {
			continue
		}
		if !IsOurs(name) {
			rest = append(rest, crumb)
			continue
		}
		c.Ours = true
		if seen[name] {
			return Cookies{}, ErrCookies
		}
		seen[name] = true
		c.take(name, strings.Trim(value, " \t"))
	}
	slices.SortFunc(c.Flows, func(a, b FlowCookie) int { return strings.Compare(a.Name, b.Name) })
	c.Rest = strings.Join(rest, "; ")
	return c, nil
}

// IsOurs tells a cookie of ours by its name, in any case: browsers compare the prefix without regard to it.
func IsOurs(name string) bool {
	return len(name) >= len(CookiePrefix) && strings.EqualFold(name[:len(CookiePrefix)], CookiePrefix)
}

func (c *Cookies) take(name, value string) {
	switch {
	case name == SessionCookie:
		c.Session = Handle(value)
	case name == OutsideCookie:
		c.Outside = value
	case strings.HasPrefix(name, flowPrefix):
		c.Flows = append(c.Flows, FlowCookie{Name: name, Secret: value})
	}
}

// NewFlowCookie makes the proof of a sign-in that begins now. Its name holds the time, so that names sort by age, and is unique even when
// twenty tabs start at once.
func NewFlowCookie(now time.Time) FlowCookie {
	return FlowCookie{Name: fmt.Sprintf("%s%011x%s", flowPrefix, now.UnixMilli(), random(6)), Secret: random(16)}
}

const attributes = "; Path=/; Secure; HttpOnly; SameSite=Lax"

// SetSession is the Set-Cookie value for a handle. It ends with the browser; the session's own limits end it before.
func SetSession(h Handle) string { return SessionCookie + "=" + string(h) + attributes }

// ClearSession is the Set-Cookie value that removes the session cookie.
func ClearSession() string { return SessionCookie + "=; Max-Age=0" + attributes }

// SetOutside is the Set-Cookie value for a session outside, as Sealed sealed it. The browser drops it when the session ends.
func SetOutside(value string, o Outside, now time.Time) string {
	left := int64(o.Ends.Sub(now) / time.Second)
	if left <= 0 {
		return ClearOutside()
	}
	return fmt.Sprintf("%s=%s; Max-Age=%d%s", OutsideCookie, value, left, attributes)
}

// ClearOutside is the Set-Cookie value that removes a session outside.
func ClearOutside() string { return OutsideCookie + "=; Max-Age=0" + attributes }

// Set is the Set-Cookie value for a flow.
func (f FlowCookie) Set() string {
	return fmt.Sprintf("%s=%s; Max-Age=%d%s", f.Name, f.Secret, int(FlowLifetime.Seconds()), attributes)
}

// Clear is the Set-Cookie value that removes a flow.
func (f FlowCookie) Clear() string { return f.Name + "=; Max-Age=0" + attributes }

// Surplus are the oldest flows that must go so that one more fits.
func (c Cookies) Surplus() []FlowCookie {
	if over := len(c.Flows) - MaxFlows + 1; over > 0 {
		return c.Flows[:over]
	}
	return nil
}
