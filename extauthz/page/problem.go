package page

import (
	"encoding/json"
	"net/http"
	"regexp"
)

// Problem is a denial for a program (RFC 9457). Its type is always
// "about:blank": the extension member "reason" tells denials apart.
type Problem struct {
	Status int    // 400 to 599; anything else is answered as 503
	Reason string // a word such as "cross-origin"; anything else becomes "refused"
	Title  string // empty: the status phrase, as section 4.2.1 wants for about:blank
	Detail string // for the person who reads it; never a cause
	SignIn string // where to sign in, an absolute URL; left out if it is not one
}

// problemPolicy lets a problem that a browser shows do nothing at all.
const problemPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Answer renders the problem as application/problem+json.
func (p Problem) Answer() Answer {
	p.Status = denialStatus(p.Status)
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if !absolute(p.SignIn) {
		p.SignIn = ""
	}
	// Strings and a number: encoding them cannot fail.
	body, _ := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title,omitempty"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
		Reason string `json:"reason"`
		SignIn string `json:"sign_in,omitempty"`
	}{"about:blank", p.Title, p.Status, p.Detail, word(p.Reason), p.SignIn})
	return answer(p.Status, "application/problem+json", problemPolicy, noReferrer, append(body, '\n'))
}

// denialStatus keeps a denial a denial: a status that is no error, the zero
// value too, becomes 503.
func denialStatus(status int) int {
	if status < 400 || status > 599 {
		return http.StatusServiceUnavailable
	}
	return status
}

var wordShape = regexp.MustCompile(`^[a-z]+(-[a-z]+){0,4}$`)

// word returns the reason as it may be shown. A reason outside the table may
// come from a policy; a digit, a dot, an @ or a long text is none of ours and
// might be a value that nobody should see.
func word(reason string) string {
	if len(reason) > 32 || !wordShape.MatchString(reason) {
		return "refused"
	}
	return reason
}
