package idp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/pquerna/otp/totp"
	"golang.org/x/oauth2"
)

const (
	rpHost     = "rp.example"
	rpCallback = "https://rp.example/callback"
	rpAfter    = "https://rp.example/bye"
	totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
)

var (
	alice = User{Username: "alice", Password: "correct horse", TOTP: totpSecret, Email: "alice@corp.example", EmailVerified: true,
		Name: "Alice Example", Groups: []string{"engineering", "oncall"}}
	bob = User{Username: "bob", Password: "battery staple", Email: "bob@corp.example", Name: "Bob Example"}
)

// world is a provider on a TLS server and a relying party made of x/oauth2 and go-oidc.
type world struct {
	t        *testing.T
	p        *Provider
	issuer   string
	offset   *atomic.Int64 // of the provider's clock, in nanoseconds
	http     *http.Client  // the relying party's own
	rp       oauth2.Config
	verifier *oidc.IDTokenVerifier
}

func newWorld(t *testing.T) *world {
	t.Helper()
	offset := new(atomic.Int64)
	srv := httptest.NewUnstartedServer(nil)
	issuer := "https://" + srv.Listener.Addr().String()
	p, err := New(Config{
		Issuer: issuer, Users: []User{alice, bob},
		Clients: []Client{
			{ID: "rp", Secret: "s3cr:t%", RedirectURIs: []string{rpCallback}, PostLogoutURIs: []string{rpAfter}},
			{ID: "other", Secret: "other secret", RedirectURIs: []string{rpCallback}},
		},
		Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = p
	srv.StartTLS()
	t.Cleanup(srv.Close)
	w := &world{t: t, p: p, issuer: issuer, offset: offset, http: srv.Client()}
	discovered, err := oidc.NewProvider(w.ctx(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	w.verifier = discovered.Verifier(&oidc.Config{ClientID: "rp"})
	w.rp = oauth2.Config{ClientID: "rp", ClientSecret: "s3cr:t%", RedirectURL: rpCallback, Endpoint: discovered.Endpoint(),
		Scopes: []string{"openid", "email", "profile", "groups"}}
	w.rp.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return w
}

func (w *world) ctx() context.Context { return oidc.ClientContext(context.Background(), w.http) }

func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) browser() *browser { return newBrowser(w.t, w.http.Transport) }

const verifierText = "a-verifier-of-at-least-forty-three-characters-0123456789"

// start is an authorization URL; each extra pair replaces a parameter, and "" removes it.
func (w *world) start(extra ...string) string {
	u, err := url.Parse(w.rp.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifierText), oidc.Nonce("nonce-1")))
	if err != nil {
		w.t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(extra); i += 2 {
		q.Del(extra[i])
		if extra[i+1] != "" {
			q.Set(extra[i], extra[i+1])
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func (w *world) code() string {
	code, err := totp.GenerateCode(totpSecret, w.p.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

func password(u User) map[string]string {
	return map[string]string{"username": u.Username, "password": u.Password}
}

// signIn goes through all pages until the relying party is called.
func (w *world) signIn(b *browser, u User, extra ...string) page {
	w.t.Helper()
	p := b.submit(b.open(w.start(extra...)), password(u))
	if u.TOTP != "" {
		p = b.submit(p, map[string]string{"code": w.code()})
	}
	w.wantCode(p)
	return p
}

func (w *world) wantCode(p page) {
	w.t.Helper()
	if p.answer == nil || p.answer.Query().Get("code") == "" {
		w.t.Fatalf("no code: status %d, answer %v, page %s", p.status, p.answer, p.text)
	}
}

// redeem exchanges the code and checks the ID token as a relying party does.
func (w *world) redeem(p page) (*oauth2.Token, *oidc.IDToken, map[string]any) {
	w.t.Helper()
	token, err := w.exchange(p.answer.Query().Get("code"))
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := w.verifier.Verify(w.ctx(), token.Extra("id_token").(string))
	if err != nil {
		w.t.Fatal(err)
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		w.t.Fatal(err)
	}
	return token, id, claims
}

func (w *world) exchange(code string) (*oauth2.Token, error) {
	return w.rp.Exchange(w.ctx(), code, oauth2.VerifierOption(verifierText))
}
