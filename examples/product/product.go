// Package product is an example backend of an isolated cloud: an issue tracker, a wiki, whatever its name says. It trusts no
// network: every path but /health asks for a verified User Context Token, and who the person is comes from that token alone.
// Whatever it has no page for it answers with an echo of the request, so that people and tests see what really arrived.
//
// It owns no token checking: the middleware that verifies and the function that reads the verified claims are given to it.
package product

import (
	"embed"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

//go:embed page.html
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// Config names a product and says how it knows its users.
type Config struct {
	ID   string // the audience of its tokens, such as "issues"
	Name string // what people read, such as "Issue tracker"
	// Verify lets only requests with a valid token through; nil lets none through.
	Verify func(http.Handler) http.Handler
	// Claims returns the verified claims of a request that passed Verify, in a form that marshals to a JSON object, or nil.
	Claims func(*http.Request) any
}

// Product is the running backend.
type Product struct {
	id, name string
	claims   func(*http.Request) any
	guarded  http.Handler
	hits     atomic.Int64
}

// New builds a product.
func New(c Config) *Product {
	p := &Product{id: c.ID, name: c.Name, claims: c.Claims}
	if p.claims == nil {
		p.claims = func(*http.Request) any { return nil }
	}
	if c.Verify == nil {
		c.Verify = refuseAll
	}
	p.guarded = c.Verify(http.HandlerFunc(p.serve))
	return p
}

func refuseAll(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this product cannot verify anybody", http.StatusUnauthorized)
	})
}

// Hits is how many requests arrived, refused ones included; /health, which probes call all the time, is not counted.
func (p *Product) Hits() int64 { return p.hits.Load() }

// ServeHTTP has one anonymous path, compared whole. There is no http.ServeMux, since that redirects paths like //x or /a/../b,
// and the echo is to show them as they came.
func (p *Product) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" {
		_, _ = io.WriteString(w, "ok")
		return
	}
	p.hits.Add(1)
	p.guarded.ServeHTTP(w, r)
}

func (p *Product) serve(w http.ResponseWriter, r *http.Request) {
	key, isIssue := strings.CutPrefix(r.URL.Path, issuePrefix)
	status, isAnswer := isAnswer(r.URL.Path)
	switch {
	case r.URL.Path == "/" && r.Method == http.MethodGet:
		p.servePage(w, r)
	case r.URL.Path == "/ws":
		echoSocket.ServeHTTP(w, r)
	case r.URL.Path == "/events":
		serveEvents(w, r)
	case r.URL.Path == "/set-cookie":
		serveCookies(w)
	case isAnswer:
		serveAnswer(w, r, status)
	case isIssue && p.id == "issues" && r.Method == http.MethodGet:
		serveIssue(w, key)
	default:
		p.serveEcho(w, r)
	}
}

func (p *Product) servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = page.Execute(w, map[string]string{"Product": p.name, "Person": p.person(r)}) // the client is gone; nobody is left to tell
}

// person is the name in the verified claims, "" where they hold none.
func (p *Product) person(r *http.Request) string {
	var claims struct {
		Name string `json:"name"`
	}
	b, err := json.Marshal(p.claims(r))
	if err != nil || json.Unmarshal(b, &claims) != nil {
		return ""
	}
	return claims.Name
}

// Echo is what the product answers where it has no page of its own: itself, and the request as it arrived.
type Echo struct {
	Name      string              `json:"name"`   // the product's id
	Claims    any                 `json:"claims"` // of the verified token; null without one
	Method    string              `json:"method"`
	Host      string              `json:"host"`
	Target    string              `json:"target"`  // path and query, byte for byte
	Headers   map[string][]string `json:"headers"` // every header but host, names in lower case
	BodyBytes int64               `json:"body_bytes"`
}

func (p *Product) serveEcho(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, "the body ended early", http.StatusBadRequest)
		return
	}
	headers := make(map[string][]string, len(r.Header))
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = values
	}
	writeJSON(w, http.StatusOK, Echo{p.id, p.claims(r), r.Method, r.Host, r.RequestURI, headers, n})
}

// serveCookies tries to set cookies that are not the product's to set, beside one that is.
func serveCookies(w http.ResponseWriter) {
	for _, c := range []string{
		"__Host-isogate_session=evil; Path=/; Secure; HttpOnly",
		"__Host-isogate_flow_1=evil; Path=/; Secure; HttpOnly",
		"theme=dark; Path=/; Secure",
		"__Host-isogate_federated=evil; Path=/; Secure; HttpOnly",
	} {
		w.Header().Add("Set-Cookie", c)
	}
	_, _ = io.WriteString(w, "cookies sent\n")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone; nobody is left to tell
}
