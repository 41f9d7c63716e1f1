package provider

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"isogate/extauthz/page"
)

// The error codes of the endpoints for programs.
const (
	invalidRequest       = "invalid_request"           // RFC 6749 section 5.2
	invalidClient        = "invalid_client"            // the same
	invalidGrant         = "invalid_grant"             // the same
	unsupportedGrantType = "unsupported_grant_type"    // the same
	unsupportedResponse  = "unsupported_response_type" // RFC 6749 section 4.1.2.1, for a pushed request (RFC 9126 section 2.3)
	invalidScope         = "invalid_scope"             // RFC 6749 section 5.2
	requestUnsupported   = "request_not_supported"     // OpenID Connect Core 1.0 section 3.1.2.6
	invalidDPoPProof     = "invalid_dpop_proof"        // RFC 9449 section 5
	useDPoPNonce         = "use_dpop_nonce"            // RFC 9449 section 8
	temporarilyDown      = "temporarily_unavailable"   // RFC 6749 section 4.1.2.1: we could not find out
)

// fault is a refusal that a client is told. Every other error is one of ours: the client is told to come again.
type fault struct {
	Status      int
	Code        string
	Description string // for the client's developer: printable ASCII without " and \ (RFC 6749 section 5.2), nothing of what was sent
	Cause       error  // for the log alone
	Header      []page.Field
}

func (f fault) Error() string {
	text := f.Code + ": " + f.Description
	if f.Cause != nil {
		text += ": " + f.Cause.Error()
	}
	return text
}

func (f fault) Unwrap() error { return f.Cause }

// with returns the fault with one more header line.
func (f fault) with(name, value string) fault {
	f.Header = append(slices.Clip(f.Header), page.Field{Name: name, Value: value})
	return f
}

// wrong is the usual fault.
func wrong(code, description string) fault {
	return fault{Status: http.StatusBadRequest, Code: code, Description: description}
}

// refuse renders an error of an endpoint for programs (RFC 6749 section 5.2). What is not a fault is 503.
func (p *Provider) refuse(err error) page.Answer {
	var f fault
	if !errors.As(err, &f) {
		f = fault{Status: http.StatusServiceUnavailable, Code: temporarilyDown, Description: "the server cannot answer now, ask again later"}
	}
	answer := jsonAnswer(f.Status, struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{cmp.Or(f.Code, temporarilyDown), f.Description})
	for _, field := range f.Header {
		answer = answer.With(field.Name, field.Value)
	}
	if f.Status == http.StatusServiceUnavailable {
		answer = answer.With("retry-after", "10") // seconds (RFC 9110 section 10.2.3)
	}
	return answer
}

// jsonAnswer holds a value as JSON, for this client now and for nobody's cache (RFC 6749 section 5.1).
func jsonAnswer(status int, value any) page.Answer {
	body, err := json.Marshal(value)
	if err != nil { // a value of ours that is not JSON: the zero answer is served as 503
		return page.Answer{}
	}
	return page.Answer{Status: status, Body: body, Header: []page.Field{
		{Name: "content-type", Value: "application/json"},
		{Name: "cache-control", Value: "no-store"},
		{Name: "x-content-type-options", Value: "nosniff"},
	}}
}
