package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/extauthz/grant"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/code"
)

const (
	standIssuer = "https://auth.acme.test"
	standCloud  = "acme-0123456789abcdef"
	standBack   = "https://login.shop.test/back"
)

// stand is a provider over a real store, with the ingress and extauthz played by the test. Its time stands still until a test moves it.
type stand struct {
	*Provider
	t      testing.TB
	nanos  atomic.Int64
	people *keys.Signers // extauthz's
	keeper *keeper
	store  *moody
	log    *lines
}

func newStand(t testing.TB) *stand {
	t.Helper()
	s := &stand{t: t, keeper: &keeper{ended: map[string]int{}}, log: &lines{}}
	s.nanos.Store(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	now, dir := func() time.Time { return time.Unix(0, s.nanos.Load()) }, t.TempDir()
	s.people = must(keys.OpenSigners(filepath.Join(dir, "uct"), now))(t)
	bolt := must(kv.OpenBolt(filepath.Join(dir, "db"), now))(t)
	t.Cleanup(func() { _ = bolt.Close() })
	s.store = &moody{Records: bolt}
	s.Provider = &Provider{
		Issuer: standIssuer, CloudID: standCloud, Audience: "urn:isogate:cloud:" + standCloud,
		Clients: map[string]*Client{
			"shop":  {ID: "shop", Name: "Shop", RedirectURIs: []string{standBack, standBack + "?dummy1=lorem&dummy2=ipsum"}, Sector: "login.shop.test"},
			"other": {ID: "other", Name: "Other", RedirectURIs: []string{"https://other.test/back", standBack}, Sector: "other.test"},
		},
		Signer: must(keys.OpenSigners(filepath.Join(dir, "oauth"), now))(t), Seal: must(keys.OpenSealers(filepath.Join(dir, "seal"), now))(t),
		Pairwise: bytes.Repeat([]byte("k"), 32),
		People:   usercontext.Verifier{Issuer: standIssuer, Audience: "oidcprovider", Keys: s.people, Now: now},
		Grants:   s.keeper, Codes: code.New(s.store, now), Now: now,
		Log: slog.New(slog.NewTextHandler(s.log, nil)), Requests: Metrics(prometheus.NewRegistry()),
	}
	return s
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (s *stand) wait(d time.Duration) { s.nanos.Add(int64(d)) }

// pushed is the request_uri of a request that was pushed with some changes.
func (s *stand) pushed(changes ...func(*code.Request)) string {
	s.t.Helper()
	r := code.Request{Client: "shop", RedirectURI: standBack, State: "as it was", Nonce: "n", Challenge: strings.Repeat("c", 43)}
	for _, change := range changes {
		change(&r)
	}
	return must(s.Codes.Push(s.t.Context(), r))(s.t)
}

// ada is a User Context Token of a managed person with a session, with some changes; nil takes a claim away.
func (s *stand) ada(changes map[string]any) string {
	s.t.Helper()
	now := s.Now()
	claims := map[string]any{
		"iss": standIssuer, "sub": "ada", "aud": "oidcprovider", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "j",
		"sid": "session-of-ada", "auth_time": now.Add(-time.Hour).Unix(), "acr": "pwd", "isolated_cloud_id": standCloud, "managed": true,
		"session_expiry": now.Add(8 * time.Hour).Unix(), "signed_in": now.Add(-time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return must(s.people.Sign(usercontext.Type, must(json.Marshal(claims))(s.t)))(s.t)
}

// sees is a browser's visit at the authorization endpoint, with the header that the ingress gives it.
func (s *stand) sees(query string, tokens ...string) *httptest.ResponseRecorder {
	return s.answers(httptest.NewRequest(http.MethodGet, PathAuthorize+"?"+query, nil), tokens...)
}

// presses is a button of one of the two pages.
func (s *stand) presses(decision, sealed string, tokens ...string) *httptest.ResponseRecorder {
	return s.sends(url.Values{"decision": {decision}, "request": {sealed}}.Encode(), tokens...)
}

func (s *stand) sends(body string, tokens ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, PathDecision, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.answers(r, tokens...)
}

func (s *stand) answers(r *http.Request, tokens ...string) *httptest.ResponseRecorder {
	for _, token := range tokens {
		r.Header.Add(usercontext.Header, token)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// of is the query of the address that a client sends browsers to.
func of(uri string) string { return url.Values{"client_id": {"shop"}, "request_uri": {uri}}.Encode() }

// confirmed remembers that ada agreed.
func (s *stand) confirmed() {
	s.t.Helper()
	if err := s.Codes.Confirm(s.t.Context(), "session-of-ada", "shop"); err != nil {
		s.t.Fatal(err)
	}
}

// kept tells whether a pushed request is still there.
func (s *stand) kept(uri string) bool {
	_, err := s.Codes.Pushed(s.t.Context(), uri)
	return err == nil
}

var (
	refreshTo = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]+)"`)
	carried   = regexp.MustCompile(`name="request" type="hidden" value="([^"]+)"`)
	reason    = regexp.MustCompile(`Reason: ([a-z-]+)`)
)

// sealedIn is what a page carries for its form.
func sealedIn(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	found := carried.FindStringSubmatch(w.Body.String())
	if found == nil {
		t.Fatalf("no form: %d %s", w.Code, w.Body)
	}
	return html.UnescapeString(found[1])
}

// leads is where an answer leads, by redirect or by page.
func leads(t testing.TB, w *httptest.ResponseRecorder) *url.URL {
	t.Helper()
	to := w.Header().Get("Location")
	if found := refreshTo.FindStringSubmatch(w.Body.String()); found != nil {
		to = html.UnescapeString(found[1])
	}
	return must(url.Parse(to))(t)
}

// said says in a few words what an answer is, without what differs each time.
func said(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	body, at := w.Body.String(), leads(t, w)
	page := map[bool]string{true: "page "}[refreshTo.MatchString(body)]
	query := at.Query()
	switch where := (&url.URL{Scheme: at.Scheme, Host: at.Host, Path: at.Path}).String(); {
	case where == standIssuer+PathSignIn:
		query.Del("authorize")
		return strings.TrimSpace(page + "sign-in " + query.Encode())
	case where == standIssuer+PathAuthorize:
		return page + "authorize"
	case query.Has("error"):
		return page + query.Get("error")
	case query.Has("code"):
		return page + "code"
	case strings.Contains(body, `value="continue"`):
		return "asks"
	}
	if found := reason.FindStringSubmatch(body); found != nil {
		return fmt.Sprint(w.Code, " ", found[1])
	}
	return fmt.Sprint(w.Code)
}

// keeper plays extauthz's part.
type keeper struct {
	mu     sync.Mutex
	opened []string // "session client" of each grant, which has its place as its name
	ended  map[string]int
	err    error  // of Open
	during func() // called by Open
}

func (k *keeper) Open(_ context.Context, session, client string) (grant.Opened, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.during != nil {
		k.during()
	}
	if k.err != nil {
		return grant.Opened{}, k.err
	}
	k.opened = append(k.opened, session+" "+client)
	return grant.Opened{Grant: fmt.Sprint("grant-", len(k.opened)), Expiry: time.Unix(4e9, 0)}, nil
}

func (k *keeper) Redeem(context.Context, string, string) (grant.Opened, error) {
	return grant.Opened{}, errors.New("not asked in these tests")
}

func (k *keeper) End(ctx context.Context, id, client string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended[id+" "+client]++
	return nil
}

// endings are the grants that were ended.
func (k *keeper) endings() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.ended))
}

// moody is a store that does not answer when it is told so.
type moody struct {
	code.Records
	put, get, take atomic.Bool
}

var errMoody = errors.New("the disk is on fire")

func (m *moody) Put(ctx context.Context, items ...kv.Item) error {
	if m.put.Load() {
		return errMoody
	}
	return m.Records.Put(ctx, items...)
}

func (m *moody) Get(ctx context.Context, key string) ([]byte, error) {
	if m.get.Load() {
		return nil, errMoody
	}
	return m.Records.Get(ctx, key)
}

func (m *moody) Take(ctx context.Context, keys ...string) ([]byte, error) {
	if m.take.Load() {
		return nil, errMoody
	}
	return m.Records.Take(ctx, keys...)
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
