package profile

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
	"isogate/policies"
)

const (
	authHost   = "auth.acme.example"
	issuesHost = "issues.acme.example"
	wikiHost   = "wiki.acme.example"
	issuesURL  = "https://issues.acme.example:8443"
	portal     = "https://portal.partner.example"
)

// rules open two endpoints, close /forbidden, contradict themselves at /broken, and let only writers change the wiki.
const rules = `package isogate.ingress

anonymous["issues.health"] := {"product": "issues", "method": "GET", "path": "/health"}
anonymous["issues.hook"] := {"product": "issues", "method": "POST", "path": "/hook"}

forbidden contains "closed" if input.path == "/forbidden"

forbidden contains "writers-only" if {
	input.product == "wiki"
	input.method != "GET"
	not "writers" in input.user.groups
}

decision := {"allow": true, "reason": "signed-in"} if count(forbidden) == 0

decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0

decision := {"allow": true, "reason": "twice"} if input.path == "/broken"
`

var (
	start  = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	limits = session.Limits{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Federated: 8 * time.Hour}

	believed        = map[string][]string{"main": {"acme.example", "partner.example"}}
	rulesOfSessions = session.Policies{Believed: believed, Default: limits, Managed: []string{"acme.example"}, Clients: []string{"commercial"}}
	ada             = session.Identity{
		User: "opaque-user", Provider: "main", Email: "ada@acme.example", Name: "Ada", Groups: []string{"staff"}, AuthTime: start, Stated: true, ACR: "mfa", AMR: []string{"pwd", "otp"},
	}
)

func cloud() topology.Cloud {
	return topology.Cloud{ID: "c-0123456789abcdef", Domain: "acme.example", Port: 8443, Products: []topology.Product{
		{ID: "issues", Claims: []string{"email"}, Origins: []string{portal}},
		{ID: "wiki", Claims: []string{"name", "groups"}, StreamLimit: daemon.Duration(time.Hour)},
		{ID: "plain", Host: "simple.acme.example"},
	}, Clients: []topology.Client{{ID: "commercial"}}}
}

// records count what is written, and fail on demand.
type records struct {
	session.Records
	mu     sync.Mutex
	writes []string
	reads  int
	fault  error
}

func (r *records) note(reads int, keys ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes, r.reads = append(r.writes, keys...), r.reads+reads
	return r.fault
}

func (r *records) Put(ctx context.Context, items ...kv.Item) error {
	for _, i := range items {
		if err := r.note(0, i.Key); err != nil {
			return err
		}
	}
	return r.Records.Put(ctx, items...)
}

func (r *records) Get(ctx context.Context, key string) ([]byte, error) {
	if err := r.note(1); err != nil {
		return nil, err
	}
	return r.Records.Get(ctx, key)
}

func (r *records) Take(ctx context.Context, keys ...string) ([]byte, error) {
	if err := r.note(0, keys...); err != nil {
		return nil, err
	}
	return r.Records.Take(ctx, keys...)
}

// world is an ingress over real sessions, keys and policies, at a time that stands still unless it is moved.
type world struct {
	*Ingress
	t        testing.TB
	now      time.Time
	records  *records
	sessions *session.Stored
	sealers  *keys.Sealers
	signers  *keys.Signers
	bundle   *policies.Bundle
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: start}
	clock := func() time.Time { return w.now }
	bolt := must(kv.OpenBolt(filepath.Join(t.TempDir(), "store"), clock))(t)
	t.Cleanup(func() { _ = bolt.Close() })
	w.records = &records{Records: bolt}
	w.sessions = session.NewStored(w.records, clock)
	w.sealers = must(keys.OpenSealers(t.TempDir(), clock))(t)
	w.signers = must(keys.OpenSigners(t.TempDir(), clock))(t)
	w.bundle = load(t, rules)
	w.Ingress = NewIngress(cloud(), signin.Flows{Site: signin.OfCloud(cloud()), Seal: w.sealers, Now: clock}, w.sessions, rulesOfSessions,
		usercontext.NewMinter(w.signers, clock), func() *policies.Bundle { return w.bundle })
	return w
}

func load(t testing.TB, text string) *policies.Bundle {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ingress.rego"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return must(policies.Load(context.Background(), dir))(t)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// signedIn opens a session and gives the cookie for a host.
func (w *world) signedIn(host string, who session.Identity) (session.Session, string) {
	w.t.Helper()
	s := must(w.sessions.Open(w.t.Context(), who, limits))(w.t)
	h := must(w.sessions.Handle(w.t.Context(), s, host, limits))(w.t)
	return s, session.SessionCookie + "=" + string(h)
}

// forged is a cookie of the right form that names no session.
const forged = session.SessionCookie + "=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// ask is a request to the issues. Header lines are name, value, name, value.
func ask(method, target string, lines ...string) check.Request {
	path, query, _ := strings.Cut(target, "?")
	r := check.Request{
		Method: method, Host: issuesHost, SNI: issuesHost, Path: path, Query: query, Header: check.Header{},
		Address: netip.MustParseAddr("192.0.2.1"), Route: check.Route{Product: "issues"},
	}
	return with(r, lines...)
}

func with(r check.Request, lines ...string) check.Request {
	header := check.Header{}
	for name, values := range r.Header {
		header[name] = values
	}
	for i := 0; i+1 < len(lines); i += 2 {
		header[lines[i]] = append(header[lines[i]][:len(header[lines[i]]):len(header[lines[i]])], lines[i+1])
	}
	r.Header = header
	return r
}

// at sends a request to another host, whose route leads to a product, or to what answers our own paths if that is empty.
func at(host, product string, r check.Request) check.Request {
	r.Host, r.SNI, r.Route = host, host, check.Route{Product: product}
	if product == "" {
		r.Route = ownRoute(r.Path)
	}
	return r
}

// ownRoute is where Envoy sends a path of ours.
func ownRoute(path string) check.Route {
	if path != PathOAuthSession && strings.HasPrefix(path, "/oauth2/") || strings.HasPrefix(path, "/.well-known/o") {
		return check.Route{OAuth: "auth"}
	}
	return check.Route{Door: "yes"}
}

// What browsers send: a person opens an address, a page fetches, a person sends a form.
var (
	navigation = []string{"sec-fetch-mode", "navigate", "sec-fetch-dest", "document", "sec-fetch-site", "none", "accept", "text/html"}
	fetch      = []string{"sec-fetch-mode", "cors", "sec-fetch-dest", "empty", "sec-fetch-site", "same-origin", "accept", "*/*"}
	form       = []string{"sec-fetch-mode", "navigate", "sec-fetch-dest", "document", "sec-fetch-site", "same-origin", "origin", issuesURL}
)

// outcome is the short form of a verdict. Status is that of the answer, 0 for a pass.
type outcome struct {
	Allow  bool
	Status int
	Reason check.Reason
}

func pass(reason check.Reason) outcome             { return outcome{true, 0, reason} }
func deny(status int, reason check.Reason) outcome { return outcome{false, status, reason} }

func (w *world) decide(r check.Request) check.Verdict {
	w.t.Helper()
	return w.Decide(w.t.Context(), r)
}

// expect decides and holds the short form against what is wanted.
func (w *world) expect(r check.Request, want outcome) check.Verdict {
	w.t.Helper()
	v := w.decide(r)
	if got := (outcome{v.Allow, v.Answer.Status, v.Reason}); got != want {
		w.t.Errorf("%+v, want %+v (cause %v)", got, want, v.Cause)
	}
	if !v.Allow && (len(v.Set)+len(v.Remove) > 0 || v.Stream != 0) {
		w.t.Error("a denial changes the request")
	}
	return v
}

// answered gives all values of a header of an answer.
func answered(v check.Verdict, name string) (values []string) {
	for _, f := range v.Answer.Header {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return values
}

// set gives the value that a pass writes to a request header.
func set(v check.Verdict, name string) string {
	for _, f := range v.Set {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// token gives the claims of the token of a pass; ok is false if there is none. One that does not verify fails the test.
func (w *world) token(v check.Verdict, product string) (c usercontext.Claims, ok bool) {
	w.t.Helper()
	raw := set(v, usercontext.Header)
	if raw == "" {
		return c, false
	}
	verifier := usercontext.Verifier{Issuer: "https://auth.acme.example:8443", Audience: product, Keys: w.signers, Now: func() time.Time { return w.now }}
	return must(verifier.Verify(w.t.Context(), raw))(w.t), true
}
