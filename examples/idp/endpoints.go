package idp

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The provider's paths. Those of the protocol are the library's defaults.
const (
	discoveryPath  = "/.well-known/openid-configuration"
	authorizePath  = "/authorize"
	callbackPath   = "/authorize/callback"
	tokenPath      = "/oauth/token"
	userinfoPath   = "/userinfo"
	keysPath       = "/keys"
	endSessionPath = "/end_session"
	loginPath      = "/login"
	signedOutPath  = "/signed-out"
	stylePath      = "/style.css"
)

func newLibrary(issuer string, s *storage) (*op.Provider, error) {
	config := &op.Config{CodeMethodS256: true, DefaultLogoutRedirectURI: issuer + signedOutPath}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return nil, err
	}
	// The library's default answers every origin with credentials allowed.
	options := []op.Option{op.WithCORSOptions(nil)}
	if strings.HasPrefix(issuer, "http://") {
		options = append(options, op.WithAllowInsecure())
	}
	return op.NewProvider(config, s, op.StaticIssuer(issuer), options...)
}

// newRoutes lists everything that is served. The library has more endpoints; what is not in this list does not exist.
func (p *Provider) newRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+discoveryPath, p.serveDiscovery)
	mux.HandleFunc(authorizePath, p.serveAuthorize)
	mux.HandleFunc("GET "+callbackPath, p.serveCallback)
	mux.HandleFunc("POST "+tokenPath, p.serveToken)
	mux.Handle(userinfoPath, p.library)
	mux.Handle("GET "+keysPath, p.library)
	mux.HandleFunc(endSessionPath, p.serveEndSession)
	mux.HandleFunc(loginPath, p.serveLogin)
	mux.HandleFunc("GET "+signedOutPath, p.serveSignedOut)
	mux.HandleFunc("GET "+stylePath, serveStyle)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		showFailure(w, http.StatusNotFound, "There is no such page here.")
	})
	return mux
}

// discovery is the library's document (OpenID Connect Discovery 1.0 section 3) and the member of RFC 9207 section 3.
type discovery struct {
	oidc.DiscoveryConfiguration
	IssuerInResponse bool `json:"authorization_response_iss_parameter_supported"`
}

// serveDiscovery announces only what is served here; the library's own document would promise more.
func (p *Provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, discovery{IssuerInResponse: true, DiscoveryConfiguration: oidc.DiscoveryConfiguration{
		Issuer:                            p.issuer,
		AuthorizationEndpoint:             p.issuer + authorizePath,
		TokenEndpoint:                     p.issuer + tokenPath,
		UserinfoEndpoint:                  p.issuer + userinfoPath,
		EndSessionEndpoint:                p.issuer + endSessionPath,
		JwksURI:                           p.issuer + keysPath,
		ScopesSupported:                   []string{oidc.ScopeOpenID, oidc.ScopeEmail, oidc.ScopeProfile, scopeGroups},
		ResponseTypesSupported:            []string{string(oidc.ResponseTypeCode)},
		ResponseModesSupported:            []string{string(oidc.ResponseModeQuery)},
		GrantTypesSupported:               []oidc.GrantType{oidc.GrantTypeCode},
		ACRValuesSupported:                []string{ACRPassword, ACRMFA},
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  []string{string(jose.ES256)},
		TokenEndpointAuthMethodsSupported: []oidc.AuthMethod{oidc.AuthMethodBasic},
		CodeChallengeMethodsSupported:     []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		ClaimsSupported: []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid",
			"email", "email_verified", "name", "groups"},
	}})
}

// serveAuthorize lets the library judge the request and ties it to this browser by a cookie. Without it somebody could begin a
// sign-in, send its link to a person, and fetch the code once that person had signed in.
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	answer := capture(p.library, r)
	if id, ok := strings.CutPrefix(answer.header.Get("Location"), loginURL("")); ok {
		if req, ok := p.store.requests.get(id); ok {
			p.setCookie(w, requestCookie+id, req.secret, int(requestLife.Seconds()))
		}
	}
	p.sendAuthorization(w, answer)
}

// serveCallback is where the login page sends the browser once the person is known: here the code is made.
func (p *Provider) serveCallback(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	if _, ok := p.ownRequest(r, id); !ok {
		showFailure(w, http.StatusBadRequest, staleText)
		return
	}
	p.setCookie(w, requestCookie+id, "", -1)
	p.sendAuthorization(w, capture(p.library, r))
}

// sendAuthorization passes the library's answer on: with the issuer (RFC 9207 section 2) when it goes to the client, as a
// readable page when it is an error that must not be redirected.
func (p *Provider) sendAuthorization(w http.ResponseWriter, answer *captured) {
	if answer.status >= http.StatusBadRequest {
		showFailure(w, answer.status, strings.TrimSpace(answer.body.String()))
		return
	}
	to, err := url.Parse(answer.header.Get("Location"))
	if err == nil && to.Host != "" {
		q := to.Query()
		q.Set("iss", p.issuer)
		to.RawQuery = q.Encode()
		answer.header.Set("Location", to.String())
	}
	answer.header.Set("Cache-Control", "no-store")
	answer.send(w)
}

// serveToken allows one grant and one way to authenticate, and applies the lie where there is one.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := r.BasicAuth(); !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`) // RFC 6749 section 5.2
		writeJSON(w, http.StatusUnauthorized, oidc.ErrInvalidClient().WithDescription("client_secret_basic is required"))
		return
	}
	if r.PostFormValue("grant_type") != string(oidc.GrantTypeCode) {
		writeJSON(w, http.StatusBadRequest, oidc.ErrUnsupportedGrantType())
		return
	}
	answer := capture(p.library, r)
	if lie := p.mutate.Load(); lie != nil && answer.status == http.StatusOK {
		if err := p.remint(&answer.body, *lie); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	answer.header.Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	answer.send(w)
}

// remint replaces the ID token in a token answer by one with changed claims under the same key.
func (p *Provider) remint(body *bytes.Buffer, change func(map[string]any)) error {
	var answer, claims map[string]any
	if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
		return fmt.Errorf("idp: reading the token answer: %w", err)
	}
	token, _ := answer["id_token"].(string)
	if _, err := oidc.ParseToken(token, &claims); err != nil {
		return fmt.Errorf("idp: reading the ID token: %w", err)
	}
	change(claims)
	signer, err := op.SignerFromKey(p.store.key)
	if err != nil {
		return fmt.Errorf("idp: signing: %w", err)
	}
	if answer["id_token"], err = crypto.Sign(claims, signer); err != nil {
		return fmt.Errorf("idp: signing: %w", err)
	}
	body.Reset()
	return json.NewEncoder(body).Encode(answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone; nobody is left to tell
}

// captured is a response held back, so that it can be changed before it is sent.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func capture(h http.Handler, r *http.Request) *captured {
	c := &captured{header: http.Header{}}
	h.ServeHTTP(c, r)
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c
}

func (c *captured) Header() http.Header { return c.header }

func (c *captured) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *captured) Write(b []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(b)
}

func (c *captured) send(w http.ResponseWriter) {
	for name, values := range c.header {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	w.WriteHeader(c.status)
	_, _ = c.body.WriteTo(w) // the client is gone; nobody is left to tell
}
