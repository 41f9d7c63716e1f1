package provider

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"isogate/extauthz/dpop"
	"isogate/extauthz/page"
	"isogate/oidcprovider/code"
)

// Bounds of what a pushed request may hold, in bytes unless said otherwise.
const (
	maxState     = 4 << 10 // a client that stores nothing seals all that it must remember into it
	maxNonce     = 1 << 10
	maxLoginHint = 320 // an e-mail address
	maxACRs      = 512 // all of them together, as where people sign in
	maxMaxAge    = 9   // digits of a number of seconds
)

// prompts are the values of prompt that mean something here.
var prompts = []string{"", "none", "login", "consent", "login consent", "consent login"}

// push answers the pushed authorization request endpoint (RFC 9126 section 2, FAPI 2.0 section 5.3.2.2). What it refuses, it refuses in
// front of the client alone; what it accepts, the authorization endpoint believes.
func (p *Provider) push(r *http.Request) (page.Answer, error) {
	f, err := parseForm(r)
	if err != nil {
		return page.Answer{}, err
	}
	client, err := p.authenticate(r, f)
	if err != nil {
		return page.Answer{}, err
	}
	request, err := readRequest(client, f)
	if err != nil {
		return page.Answer{}, err
	}
	if request.Thumbprint, err = p.boundKey(r, f); err != nil {
		return page.Answer{}, err
	}
	uri, err := p.Codes.Push(r.Context(), request)
	if err != nil {
		return page.Answer{}, err
	}
	return jsonAnswer(http.StatusCreated, struct { // RFC 9126 section 2.2
		URI     string `json:"request_uri"`
		Expires int64  `json:"expires_in"` // seconds
	}{uri, int64(code.RequestLifetime.Seconds())}), nil
}

// readRequest validates the parameters and has no effect. Those that it does not know mean nothing (RFC 6749 section 3.1).
func readRequest(client *Client, f form) (request code.Request, err error) {
	if err := checkKind(f); err != nil {
		return request, err
	}
	request = code.Request{Client: client.ID, RedirectURI: f["redirect_uri"], Challenge: f["code_challenge"], Prompt: f["prompt"]}
	switch {
	case !slices.Contains(client.RedirectURIs, request.RedirectURI): // RFC 9700 section 2.1: compared as they stand
		return request, wrong(invalidRequest, "redirect_uri is required and must be one that is registered, byte for byte")
	case f["code_challenge_method"] != "S256": // FAPI 2.0 section 5.3.2.2; absent means plain (RFC 7636 section 4.3)
		return request, wrong(invalidRequest, "code_challenge_method is required and must be S256")
	case !isSHA256(request.Challenge): // RFC 7636 section 4.2
		return request, wrong(invalidRequest, "code_challenge is required and must be a SHA-256 in base64url: 43 characters")
	case !slices.Contains(prompts, request.Prompt): // OpenID Connect Core 1.0 section 3.1.2.1: none stands alone
		return request, wrong(invalidRequest, "prompt must be none, login, consent, or login consent")
	}
	for _, text := range []struct {
		name string
		most int
		into *string
	}{
		{"state", maxState, &request.State},
		{"nonce", maxNonce, &request.Nonce},
		{"login_hint", maxLoginHint, &request.LoginHint},
	} {
		if *text.into, err = f.bounded(text.name, text.most); err != nil {
			return request, err
		}
	}
	if request.ACRs, err = readACRs(f); err != nil {
		return request, err
	}
	request.MaxAge, err = readMaxAge(f)
	return request, err
}

// checkKind lets one kind of request through: a code in the query of the redirect, for an ID token.
func checkKind(f form) error {
	if _, there := f["request_uri"]; there { // RFC 9126 section 2.1: MUST NOT be there
		return wrong(invalidRequest, "request_uri is not accepted here")
	}
	if _, there := f["request"]; there { // OpenID Connect Core 1.0 section 3.1.2.6
		return wrong(requestUnsupported, "request objects are not supported: push the parameters themselves")
	}
	if _, there := f["id_token_hint"]; there { // it says who must be signed in: to pass over it could answer for somebody else (section 3.1.2.1)
		return wrong(invalidRequest, "id_token_hint is not supported")
	}
	response, err := f.required("response_type")
	if err != nil {
		return err
	}
	switch {
	case response != "code": // FAPI 2.0 section 5.3.2.2
		return wrong(unsupportedResponse, "response_type must be code")
	case f["response_mode"] != "" && f["response_mode"] != "query":
		return wrong(invalidRequest, "response_mode must be query")
	case !slices.Contains(strings.Split(f["scope"], " "), "openid"): // OpenID Connect Core 1.0 section 3.1.2.1
		return wrong(invalidScope, "scope must hold openid")
	}
	return nil
}

// readACRs: OpenID Connect Core 1.0 section 3.1.2.1, acr_values.
func readACRs(f form) ([]string, error) {
	text, err := f.bounded("acr_values", maxACRs)
	if err == nil && strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		err = wrong(invalidRequest, "acr_values must be printable ASCII")
	}
	return strings.Fields(text), err
}

// readMaxAge: OpenID Connect Core 1.0 section 3.1.2.1, max_age. 0 is not the same as none.
func readMaxAge(f form) (*int64, error) {
	text, there := f["max_age"]
	if !there {
		return nil, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || len(text) > maxMaxAge || strings.Trim(text, "0123456789") != "" {
		return nil, wrong(invalidRequest, "max_age must be a number of seconds, in digits")
	}
	return &seconds, nil
}

// boundKey is the thumbprint of the DPoP key that the code will be bound to: dpop_jkt, the key of the proof that came along, or none
// (RFC 9449 sections 10 and 10.1).
func (p *Provider) boundKey(r *http.Request, f form) (string, error) {
	named := f["dpop_jkt"]
	if named != "" && !isSHA256(named) {
		return "", wrong(invalidRequest, "dpop_jkt must be a JWK SHA-256 thumbprint in base64url: 43 characters")
	}
	if len(r.Header["Dpop"]) == 0 {
		return named, nil
	}
	proof, err := p.prove(r, PathPAR)
	if err != nil {
		return "", err
	}
	if named != "" && named != proof.Thumbprint { // RFC 9449 section 10.1: MUST
		return "", wrong(invalidRequest, "dpop_jkt is another key than that of the DPoP proof")
	}
	return proof.Thumbprint, nil
}

// prove verifies the DPoP header of a request to one of our endpoints (RFC 9449 sections 4.3 and 5). Its nonce is the caller's matter.
func (p *Provider) prove(r *http.Request, path string) (dpop.Verified, error) {
	verifier := dpop.Verifier{Ahead: clocks, Behind: proofLifetime, Now: p.Now, Replay: p.Codes.Replay()}
	proof, err := verifier.Verify(r.Context(), r.Header["Dpop"], dpop.Want{Method: http.MethodPost, URL: p.Issuer + path})
	if errors.Is(err, dpop.ErrProof) {
		f := wrong(invalidDPoPProof, "one DPoP header is required: a proof with ES256 or PS256, htm POST, htu this endpoint, a fresh iat and jti, no ath")
		f.Cause = err
		return dpop.Verified{}, f
	}
	return proof, err
}

// isSHA256 wants the one spelling of a SHA-256 in base64url.
func isSHA256(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == 43 // the decoder passes over line ends
}
