// Package service is an example backend of the commercial side, which people of many organisations share: a support centre, a marketplace,
// whatever its name says. It stores nothing: who a person is comes from the headers that the commercial Envoy gives to it, an isolated cloud and a
// user id that means nothing anywhere else. What it shows of that cloud it asks for through its sidecar, with a sealed token that it was given for
// this one request: it holds no secret. Whatever it has no page for it answers with an echo of the request, so that people and tests see what
// really arrived; and it remembers every byte that it received, so that tests can search for what must not.
//
// It trusts whoever connects, so it must be reachable by its Envoy alone. [Login] is the page of a standard sign-in, which is no part of Isogate.
package service

import (
	"embed"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// The headers by which a service knows people.
const (
	CloudHeader = "X-Isolated-Cloud-Id"
	UserHeader  = "X-Isolated-Cloud-User"
)

//go:embed page.html issue.html login.html
var files embed.FS

var pages = template.Must(template.ParseFS(files, "*.html"))

// Service is the running backend.
type Service struct {
	Record   // what it received
	id, name string
	sidecar  string
	calls    *http.Client // of the sidecar
	hits     atomic.Int64
}

// New builds a service by its id, such as "support", the name that people read, and where its sidecar listens: host:port, "" for a service that
// calls no isolated cloud.
func New(id, name, sidecar string) *Service {
	s := &Service{id: id, name: name, sidecar: sidecar}
	s.calls = s.caller()
	return s
}

// Hits is how many requests arrived.
func (s *Service) Hits() int64 { return s.hits.Load() }

// ServeHTTP answers every path, compared whole.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.hits.Add(1)
	switch {
	case r.URL.Path == "/" && r.Method == http.MethodGet:
		show(w, http.StatusOK, "page.html", map[string]any{
			"Service": s.name, "Cloud": r.Header.Get(CloudHeader), "User": r.Header.Get(UserHeader), "Calls": s.sidecar != "",
		})
	case s.sidecar != "" && strings.HasPrefix(r.URL.Path, issuePath) && r.Method == http.MethodGet:
		s.serveIssue(w, r)
	case r.URL.Path == "/set-cookie":
		serveCookies(w)
	default:
		s.serveEcho(w, r)
	}
}

func show(w http.ResponseWriter, status int, page string, v any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, page, v) // the client is gone; nobody is left to tell
}

// Echo is what the service answers where it has no page of its own: itself, whom it was given, and the request as it arrived.
type Echo struct {
	Name      string              `json:"name"`  // the service's id
	Cloud     string              `json:"cloud"` // the isolated cloud that the person belongs to; "" without one
	User      string              `json:"user"`  // the person, by an id that this service alone is given
	Method    string              `json:"method"`
	Host      string              `json:"host"`
	Target    string              `json:"target"`  // path and query, byte for byte
	Headers   map[string][]string `json:"headers"` // every header but host, names in lower case
	BodyBytes int64               `json:"body_bytes"`
}

func (s *Service) serveEcho(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, "the body ended early", http.StatusBadRequest)
		return
	}
	headers := make(map[string][]string, len(r.Header))
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(Echo{ // the client is gone; nobody is left to tell
		s.id, r.Header.Get(CloudHeader), r.Header.Get(UserHeader), r.Method, r.Host, r.RequestURI, headers, n,
	})
}

// serveCookies tries to set cookies that are not the service's to set, beside one that is.
func serveCookies(w http.ResponseWriter) {
	for _, name := range []string{"__Host-isogate_federated", "__Host-isogate_flow_1", "theme", "__Host-isogate_session"} {
		w.Header().Add("Set-Cookie", name+"=value; Path=/; Secure; HttpOnly")
	}
	_, _ = io.WriteString(w, "cookies sent\n")
}

// Login is a standard way to sign in to the commercial side, for people of no isolated cloud. It shows a page and goes no further.
type Login struct{ Record }

func (*Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // it ends with the request
	show(w, http.StatusOK, "login.html", nil)
}
