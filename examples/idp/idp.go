// Package idp is a small corporate OpenID Provider for the demo world and for tests: discovery, authorization code flow with
// PKCE, ID tokens with the person's claims, a login page with a second factor, single sign-on and sign-out. The protocol is
// github.com/zitadel/oidc; the pages, the users and the state are here.
//
// It stands for a party that Isogate does not own, so nothing here imports Isogate. It is no product: passwords are held in
// clear, all state is in memory and lost at the end, a one-time code is accepted as often as it is valid (a real provider takes
// each code once, RFC 6238 section 5.2), and guesses are limited per sign-in, not per user. [Provider.Mutate] makes it lie, for
// tests of what a relying party must refuse.
//
// Its caller serves it, over TLS, under the issuer's address.
package idp

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// The ACR values of ID tokens: what the person proved at sign-in.
const (
	ACRPassword = "urn:example:pwd"
	ACRMFA      = "urn:example:mfa"
)

// User is a person who can sign in.
type User struct {
	Username, Password string
	TOTP               string // base32 secret of the second factor (RFC 6238: SHA-1, six digits, 30 s); "" = none
	Email              string
	EmailVerified      bool
	Name               string
	Groups             []string
}

// Client is a relying party: confidential, with client_secret_basic.
type Client struct {
	ID, Secret     string
	RedirectURIs   []string // matched exactly
	PostLogoutURIs []string // matched exactly
}

// Config says who the provider is and whom it knows.
type Config struct {
	Issuer  string // https://host[:port], without a path; http only on a loopback host
	Users   []User
	Clients []Client
	// Now is the clock of sessions, sign-ins in flight, auth_time and one-time codes; nil = time.Now. The times iat and exp of
	// tokens always follow the wall clock, since the library asks no other.
	Now func() time.Time
}

// Provider is the running identity provider.
type Provider struct {
	issuer  string
	now     func() time.Time
	people  *people
	store   *storage
	library *op.Provider
	mutate  atomic.Pointer[func(claims map[string]any)]
	routes  http.Handler
}

// New builds a provider with a fresh signing key. The error names every fault of the configuration.
func New(c Config) (*Provider, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("idp: configuration: %w", err)
	}
	now := c.Now
	if now == nil {
		now = time.Now
	}
	people := newPeople(c.Users)
	store, err := newStorage(now, people, c.Clients)
	if err != nil {
		return nil, fmt.Errorf("idp: making the signing key: %w", err)
	}
	library, err := newLibrary(c.Issuer, store)
	if err != nil {
		return nil, fmt.Errorf("idp: building the provider: %w", err)
	}
	p := &Provider{issuer: c.Issuer, now: now, people: people, store: store, library: library}
	p.routes = p.newRoutes()
	return p, nil
}

// SetUser adds a person or replaces the one of the same user name; running sign-ins and sessions see the change.
func (p *Provider) SetUser(u User) error {
	if err := u.validate(); err != nil {
		return fmt.Errorf("idp: user %q: %w", u.Username, err)
	}
	p.people.set(u)
	return nil
}

// Mutate has f change the claims of every ID token just before it is signed, so that a relying party under test meets wrong
// values under a right signature. Numbers arrive as float64. nil ends it.
func (p *Provider) Mutate(f func(claims map[string]any)) {
	if f == nil {
		p.mutate.Store(nil)
		return
	}
	p.mutate.Store(&f)
}

// ServeHTTP answers all of the provider's paths; no request body may exceed 64 KiB.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	p.routes.ServeHTTP(w, r)
}

func (c Config) validate() error {
	faults := []error{validateIssuer(c.Issuer)}
	users, clients := map[string]bool{}, map[string]bool{}
	for _, u := range c.Users {
		if err := u.validate(); err != nil {
			faults = append(faults, fmt.Errorf("user %q: %w", u.Username, err))
		}
		if users[u.Username] {
			faults = append(faults, fmt.Errorf("user %q: named twice", u.Username))
		}
		users[u.Username] = true
	}
	for _, cl := range c.Clients {
		if cl.ID == "" || cl.Secret == "" || len(cl.RedirectURIs) == 0 {
			faults = append(faults, fmt.Errorf("client %q: needs an id, a secret and a redirect URI", cl.ID))
		}
		if clients[cl.ID] {
			faults = append(faults, fmt.Errorf("client %q: named twice", cl.ID))
		}
		clients[cl.ID] = true
	}
	return errors.Join(faults...)
}

func validateIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("issuer: %w", err)
	case u.Host == "" || u.Scheme+"://"+u.Host != issuer:
		return errors.New("issuer: must be scheme://host[:port] and no more")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("issuer: must be https, or http on a loopback host")
}

func loopback(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host).IsLoopback()
}
