package provider

import (
	"encoding/json"
	"net/http"

	"isogate/extauthz/page"
)

// metadata says what this server does, and nothing that it does not (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).
type metadata struct {
	Issuer                string   `json:"issuer"`
	Authorization         string   `json:"authorization_endpoint"`
	PAR                   string   `json:"pushed_authorization_request_endpoint"` // RFC 9126 section 5
	RequirePAR            bool     `json:"require_pushed_authorization_requests"`
	Token                 string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Revocation            string   `json:"revocation_endpoint"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgorithms  []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	JWKS                  string   `json:"jwks_uri"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	DPoPAlgorithms        []string `json:"dpop_signing_alg_values_supported"`              // RFC 9449 section 5.1
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`               // RFC 8414 section 2
	ISSParameter          bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 section 3
	Scopes                []string `json:"scopes_supported"`
	Claims                []string `json:"claims_supported"`
	Prompts               []string `json:"prompt_values_supported"` // Initiating User Registration via OpenID Connect 1.0 section 4.2
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"` // of the client's own; it would be true if it were left out
}

func (p *Provider) describe() metadata {
	method, algorithms := []string{"private_key_jwt"}, []string{"ES256", "PS256"}
	return metadata{
		Issuer: p.Issuer, Authorization: p.Issuer + PathAuthorize, PAR: p.Issuer + PathPAR, RequirePAR: true,
		Token: p.Issuer + PathToken, TokenAuthMethods: method, TokenAuthAlgorithms: algorithms,
		Revocation: p.Issuer + PathRevoke, RevocationAuthMethods: method, RevocationAlgorithms: algorithms,
		JWKS:              p.Issuer + PathJWKS,
		ResponseTypes:     []string{"code"},
		ResponseModes:     []string{"query"},
		GrantTypes:        []string{"authorization_code"},
		SubjectTypes:      []string{"pairwise"},
		IDTokenAlgorithms: []string{"ES256"},
		DPoPAlgorithms:    algorithms,
		ChallengeMethods:  []string{"S256"},
		ISSParameter:      true,
		Scopes:            []string{"openid"},
		Claims:            []string{"iss", "sub", "aud", "exp", "iat", "nonce", "acr", "auth_time", "isolated_cloud_id", "sid", "session_expiry"},
		Prompts:           []string{"none", "login", "consent"},
	}
}

// brief lets a document be kept for a minute: a new key is published five minutes before it signs.
const brief = "public, max-age=60"

// discovery answers with the one document at both of its addresses.
func (p *Provider) discovery(*http.Request) (page.Answer, error) {
	p.once.Do(func() {
		if body, err := json.Marshal(p.describe()); err == nil { // the zero answer is served as 503
			p.metadata = document("application/json", body)
		}
	})
	return p.metadata, nil
}

// jwks publishes the keys of ID tokens and access tokens (RFC 7517 section 8.5.1).
func (p *Provider) jwks(*http.Request) (page.Answer, error) {
	return document("application/jwk-set+json", p.Signer.JWKS()), nil
}

func document(contentType string, body []byte) page.Answer {
	return page.Answer{Status: http.StatusOK, Body: body, Header: []page.Field{
		{Name: "content-type", Value: contentType},
		{Name: "cache-control", Value: brief},
		{Name: "x-content-type-options", Value: "nosniff"},
	}}
}
