package idp

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

func TestConfigRefused(t *testing.T) {
	good := func() Config {
		return Config{Issuer: "https://idp.example:8443", Users: []User{alice},
			Clients: []Client{{ID: "rp", Secret: "s", RedirectURIs: []string{rpCallback}}}}
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   string // "" = accepted
	}{
		{"good", func(*Config) {}, ""},
		{"http on a loopback name", func(c *Config) { c.Issuer = "http://idp.localhost:8080" }, ""},
		{"http on a loopback address", func(c *Config) { c.Issuer = "http://127.0.0.1:8080" }, ""},
		{"zero", func(c *Config) { *c = Config{} }, "issuer"},
		{"http elsewhere", func(c *Config) { c.Issuer = "http://idp.example" }, "https"},
		{"path", func(c *Config) { c.Issuer += "/realm" }, "no more"},
		{"trailing slash", func(c *Config) { c.Issuer += "/" }, "no more"},
		{"no password", func(c *Config) { c.Users[0].Password = "" }, `user "alice"`},
		{"TOTP secret", func(c *Config) { c.Users[0].TOTP = "1" }, "TOTP"},
		{"user twice", func(c *Config) { c.Users = append(c.Users, alice) }, "twice"},
		{"no secret", func(c *Config) { c.Clients[0].Secret = "" }, `client "rp"`},
		{"no redirect", func(c *Config) { c.Clients[0].RedirectURIs = nil }, `client "rp"`},
		{"client twice", func(c *Config) { c.Clients = append(c.Clients, c.Clients[0]) }, "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.change(&c)
			_, err := New(c)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// Over plain http, for tests on loopback, cookies can be neither Secure nor carry the prefix that demands it.
func TestPlainHTTP(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	issuer := "http://" + srv.Listener.Addr().String()
	p, err := New(Config{Issuer: issuer, Users: []User{bob}, Clients: []Client{{ID: "rp", Secret: "s", RedirectURIs: []string{rpCallback}}}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = p
	srv.Start()
	defer srv.Close()
	b := newBrowser(t, srv.Client().Transport)
	start := issuer + authorizePath + "?client_id=rp&response_type=code&scope=openid&code_challenge_method=S256&code_challenge=" +
		oauth2.S256ChallengeFromVerifier(verifierText) + "&redirect_uri=" + url.QueryEscape(rpCallback)
	if got := outcome(b.submit(b.open(start), password(bob))); got != "code" {
		t.Errorf("outcome = %q", got)
	}
	if got := outcome(b.open(start)); got != "code" {
		t.Errorf("with a session: %q", got)
	}
}

func TestShelfIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	s := newShelf[int](func() time.Time { return now }, time.Minute)
	for i := range maxEntries {
		if err := s.put(fmt.Sprint(i), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.put("more", 0); !errors.Is(err, errFull) {
		t.Errorf("error = %v, want errFull", err)
	}
	if v, ok := s.get("7"); !ok || v != 7 {
		t.Errorf("7 = %d, %v", v, ok)
	}
	now = now.Add(time.Minute)
	if _, ok := s.get("7"); ok {
		t.Error("an expired value was given out")
	}
	if err := s.put("more", 0); err != nil || len(s.items) != 1 {
		t.Errorf("after expiry: %v, %d entries", err, len(s.items))
	}
}
