package provider

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	formType = "application/x-www-form-urlencoded"
	maxForm  = 64 << 10 // of a body, in bytes
)

// form is the body of a request: each parameter once, and none without a value (RFC 6749 sections 3.1 and 3.2).
type form map[string]string

// parseForm reads the body of a request to an endpoint for programs (RFC 6749 section 3.2, RFC 7009 section 2.1, RFC 9126 section 2.1).
//
// A query is refused, whatever it holds: none of these endpoints has one, and credentials, codes and tokens that a client puts there
// would stand in access logs (RFC 6749 section 2.3.1 forbids it).
func parseForm(r *http.Request) (form, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, wrong(invalidRequest, "parameters belong in the body: this endpoint has no query")
	}
	media, _, err := mime.ParseMediaType(strings.Join(r.Header["Content-Type"], ",")) // a charset may stand there, and means nothing
	if err != nil || media != formType {
		return nil, wrong(invalidRequest, "the content-type must be "+formType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxForm))
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, fault{Status: http.StatusRequestEntityTooLarge, Code: invalidRequest, Description: "the body is over 64 KB", Cause: err} // RFC 9126 section 2.3
	}
	if err != nil {
		f := wrong(invalidRequest, "the body could not be read")
		f.Cause = err
		return nil, f
	}
	return readForm(string(body))
}

func readForm(body string) (form, error) {
	parsed, err := url.ParseQuery(body)
	if err != nil {
		return nil, wrong(invalidRequest, "the body is not well-formed")
	}
	// Two assertions are two client authentications, which is worse than a doubled parameter (RFC 6749 section 2.3).
	for _, name := range []string{"client_assertion", "client_assertion_type", "client_secret"} {
		if len(parsed[name]) > 1 {
			return nil, unauthenticated(twoAuthentications, errors.New("a doubled parameter"))
		}
	}
	f := form{}
	for name, values := range parsed {
		if len(values) > 1 {
			return nil, wrong(invalidRequest, "a parameter stands in the body twice")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) { // RFC 6749 appendix B
			return nil, wrong(invalidRequest, "a parameter is not UTF-8")
		}
		if values[0] != "" { // one without a value counts as omitted
			f[name] = values[0]
		}
	}
	return f, nil
}

// required gives a parameter that must be there.
func (f form) required(name string) (string, error) {
	value, there := f[name]
	if !there {
		return "", wrong(invalidRequest, name+" is missing")
	}
	return value, nil
}

// bounded gives a parameter of at most so many bytes without control characters, which nothing shows and a log or a header may obey.
func (f form) bounded(name string, most int) (string, error) {
	value := f[name]
	if len(value) > most || strings.ContainsFunc(value, unicode.IsControl) {
		return "", wrong(invalidRequest, name+" is too long or holds a control character")
	}
	return value, nil
}
