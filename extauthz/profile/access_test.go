package profile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/session"
)

const resourceURL = "https://auth.acme.example:8443/oauth2/session"

// marks are a Replay in memory.
type marks struct{ seen map[string]bool }

func (m *marks) Add(_ context.Context, key string, _ time.Time) error {
	if m.seen[key] {
		return dpop.ErrSeen
	}
	m.seen[key] = true
	return nil
}

// service is somebody outside with a token: what the OAuth server signs, and the key that it is bound to.
type service struct {
	*Access
	t      testing.TB
	now    time.Time
	signer *keys.Signers
	key    dpop.Key
	marks  *records // the store of the marks
	store  *records
	keeper *session.Stored
	person session.Session
	claims map[string]any
}

func newService(t testing.TB) *service {
	t.Helper()
	s := &service{t: t, now: start}
	clock := func() time.Time { return s.now }
	bolt := must(kv.OpenBolt(filepath.Join(t.TempDir(), "store"), clock))(t)
	t.Cleanup(func() { _ = bolt.Close() })
	s.store, s.marks = &records{Records: bolt}, &records{Records: bolt}
	s.keeper = session.NewStored(s.store, clock)
	s.signer = must(keys.OpenSigners(t.TempDir(), clock))(t)
	s.key = must(dpop.Generate())(t)
	s.Access = &Access{
		Issuer: "https://auth.acme.example:8443", Audience: "urn:isogate:cloud:c-0123456789abcdef", Keys: s.signer, Tokens: NewTokens(),
		Proofs: must(OpenMarks(t.Context(), s.marks, clock))(t), Grants: s.keeper, Policies: rulesOfSessions, Now: clock,
	}
	s.person = must(s.keeper.Open(t.Context(), ada, limits))(t)
	opened := must(s.keeper.OpenGrant(t.Context(), s.person.ID, "commercial", rulesOfSessions))(t)
	must(s.keeper.RedeemGrant(t.Context(), opened.ID, "commercial", rulesOfSessions))(t)
	s.claims = map[string]any{
		"iss": s.Issuer, "aud": s.Audience, "sub": "pairwise", "sid": opened.ID, "client_id": "commercial", "jti": "1",
		"iat": start.Unix(), "exp": start.Add(24 * time.Hour).Unix(), "cnf": map[string]any{"jkt": s.key.Thumbprint()},
	}
	return s
}

func (s *service) sign(typ string) string {
	s.t.Helper()
	return must(s.signer.Sign(typ, must(json.Marshal(s.claims))(s.t)))(s.t)
}

func (s *service) proof(token string) string {
	s.t.Helper()
	return must(s.key.Make(dpop.Proof{Method: "GET", URL: resourceURL, AccessToken: token, Now: s.now}))(s.t)
}

// present is a good request with a token.
func (s *service) present(token string) Presented {
	return Presented{Authorization: []string{"DPoP " + token}, Proofs: []string{s.proof(token)}, Method: "GET", URL: resourceURL}
}

func TestAGoodTokenIsBelieved(t *testing.T) {
	s := newService(t)
	for _, scheme := range []string{"DPoP ", "dpop ", "DPOP "} {
		p := s.present(s.sign("at+jwt"))
		p.Authorization[0] = strings.Replace(p.Authorization[0], "DPoP ", scheme, 1)
		got, err := s.Judge(t.Context(), p)
		if err != nil || got.Subject != "pairwise" || got.Client != "commercial" || got.Session.ID != s.person.ID || !got.Expiry.Equal(start.Add(limits.Idle)) {
			t.Errorf("%s: %+v, %v", scheme, got, err)
		}
	}
}

// Whatever is not exactly an access token of this cloud, with a proof of its key for this request, opens nothing.
func TestEachFaultOfATokenHasItsOwnAnswer(t *testing.T) {
	unavailable := errors.New("the store is gone")
	type change func(*service, *Presented)
	claim := func(name string, value any) change {
		return func(s *service, p *Presented) {
			s.claims[name] = value
			*p = s.present(s.sign("at+jwt"))
		}
	}
	typed := func(typ string) change {
		return func(s *service, p *Presented) { *p = s.present(s.sign(typ)) }
	}
	tests := []struct {
		name   string
		change change
		want   error
	}{
		{"no token", func(_ *service, p *Presented) { p.Authorization = nil }, ErrNoToken},
		{"two tokens", func(_ *service, p *Presented) { p.Authorization = append(p.Authorization, p.Authorization[0]) }, ErrNoToken},
		{"a bearer token", func(_ *service, p *Presented) {
			p.Authorization[0] = "Bearer" + strings.TrimPrefix(p.Authorization[0], "DPoP")
		}, ErrNoToken},
		{"a scheme alone", func(_ *service, p *Presented) { p.Authorization[0] = "DPoP" }, ErrNoToken},
		{"no JWT", func(_ *service, p *Presented) { p.Authorization[0] = "DPoP x" }, ErrToken},
		{"a User Context Token", typed("uct+jwt"), ErrToken},
		{"an ID token", typed("JWT"), ErrToken},
		{"a client assertion", typed("client-authentication+jwt"), ErrToken},
		{"another cloud's", claim("aud", "urn:isogate:cloud:another-cloud-0001"), ErrToken},
		{"several audiences", claim("aud", []string{"urn:isogate:cloud:c-0123456789abcdef"}), ErrToken},
		{"another issuer's", claim("iss", "https://auth.globex.example"), ErrToken},
		{"without a subject", claim("sub", ""), ErrToken},
		{"without a grant", claim("sid", ""), ErrToken},
		{"without a client", claim("client_id", nil), ErrToken},
		{"bound to no key", claim("cnf", map[string]any{}), ErrToken},
		{"bound to another key", claim("cnf", map[string]any{"jkt": strings.Repeat("A", 43)}), dpop.ErrProof},
		{"expired", claim("exp", start.Add(-time.Minute).Unix()), ErrToken},
		{"of the future", claim("iat", start.Add(time.Minute).Unix()), ErrToken},
		{"another client's grant", claim("client_id", "another"), ErrDead},
		{"an unknown grant", claim("sid", "AAAAAAAAAAAAAAAAAAAAAA"), ErrDead},
		{"no proof", func(_ *service, p *Presented) { p.Proofs = nil }, dpop.ErrProof},
		{"two proofs", func(_ *service, p *Presented) { p.Proofs = append(p.Proofs, p.Proofs[0]) }, dpop.ErrProof},
		{"a proof for another token", func(s *service, p *Presented) { p.Proofs[0] = s.proof("x") }, dpop.ErrProof},
		{"a proof for no token", func(s *service, p *Presented) { p.Proofs[0] = s.proof("") }, dpop.ErrProof},
		{"a proof for another place", func(_ *service, p *Presented) { p.URL += "/x" }, dpop.ErrProof},
		{"a proof for another method", func(_ *service, p *Presented) { p.Method = "POST" }, dpop.ErrProof},
		{"another's key", func(s *service, p *Presented) {
			token := strings.TrimPrefix(p.Authorization[0], "DPoP ")
			s.key = must(dpop.Generate())(s.t)
			p.Proofs[0] = s.proof(token)
		}, dpop.ErrProof},
		{"an old proof", func(s *service, _ *Presented) { s.now = s.now.Add(2 * time.Minute) }, dpop.ErrProof},
		{"a client that is gone", func(s *service, _ *Presented) { s.Policies.Clients = nil }, ErrDead},
		{"a domain that is gone", func(s *service, _ *Presented) { s.Policies.Managed = nil }, ErrDead},
		{"a provider that is gone", func(s *service, _ *Presented) { s.Policies.Believed = nil }, ErrDead},
		{"a limit that was shortened", func(s *service, _ *Presented) {
			s.now = s.now.Add(30 * time.Second)
			s.Policies.Default.Federated = 20 * time.Second
		}, ErrDead},
		{"a session that was ended", func(s *service, _ *Presented) { _ = s.keeper.End(s.t.Context(), s.person.ID) }, ErrDead},
		{"a grant that was ended", func(s *service, _ *Presented) {
			_ = s.keeper.EndGrant(s.t.Context(), s.claims["sid"].(string), "commercial")
		}, ErrDead},
		{"a store that is gone", func(s *service, _ *Presented) { s.store.fault = unavailable }, unavailable},
		{"marks that cannot be made", func(s *service, _ *Presented) { s.marks.fault = unavailable }, unavailable},
		{"keys that cannot be had", func(s *service, _ *Presented) { s.Keys = noKeys{} }, keys.ErrKeys},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			p := s.present(s.sign("at+jwt"))
			tt.change(s, &p)
			got, err := s.Judge(t.Context(), p)
			if !errors.Is(err, tt.want) || got.ID != "" {
				t.Errorf("%+v, %v, want %v", got, err, tt.want)
			}
			if errors.Is(err, unavailable) && (errors.Is(err, ErrDead) || errors.Is(err, ErrToken) || errors.Is(err, dpop.ErrProof)) {
				t.Errorf("a fault of ours is taken for the caller's: %v", err)
			}
		})
	}
}

type noKeys struct{}

func (noKeys) Key(context.Context, string) (keys.Key, error) {
	return keys.Key{}, errors.New("the issuer does not answer")
}

// A proof works once. What is forged leaves no mark.
func TestAProofWorksOnce(t *testing.T) {
	s := newService(t)
	p := s.present(s.sign("at+jwt"))
	if _, err := s.Judge(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Judge(t.Context(), p); !errors.Is(err, dpop.ErrProof) || !errors.Is(err, dpop.ErrSeen) {
		t.Errorf("the second time: %v", err)
	}
	forged := s.present(s.sign("JWT"))
	if _, err := s.Judge(t.Context(), forged); !errors.Is(err, ErrToken) || marked(s.Proofs) != 1 {
		t.Errorf("%v, %d marks", err, marked(s.Proofs))
	}
}

// What is said to who is refused: RFC 9449 section 7.1, and RFC 6750 section 3.1 for who brings nothing.
func TestChallenges(t *testing.T) {
	tests := []struct {
		name string
		in   error
		want string
	}{
		{"no token", ErrNoToken, `DPoP algs="ES256 PS256"`},
		{"a bad token", fmt.Errorf("%w: why", ErrToken), `DPoP error="invalid_token", algs="ES256 PS256"`},
		{"a dead grant", ErrDead, `DPoP error="invalid_token", algs="ES256 PS256"`},
		{"a bad proof", fmt.Errorf("%w: why", dpop.ErrProof), `DPoP error="invalid_dpop_proof", algs="ES256 PS256"`},
		{"no keys", keys.ErrKeys, ""},
		{"another fault", errors.New("x"), ""},
		{"none", nil, ""},
	}
	for _, tt := range tests {
		if got := Challenge(tt.in); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

// Asking is no activity: a service outside must not keep a session alive that its person has left.
func TestAskingIsNoActivity(t *testing.T) {
	s := newService(t)
	for range 3 {
		s.now = s.now.Add(9 * time.Minute)
		got, err := s.Judge(t.Context(), s.present(s.sign("at+jwt")))
		if err != nil || !got.Expiry.Equal(start.Add(limits.Idle)) {
			t.Fatalf("%v, %v", got.Expiry, err)
		}
	}
	s.now = start.Add(limits.Idle)
	if _, err := s.Judge(t.Context(), s.present(s.sign("at+jwt"))); !errors.Is(err, ErrDead) {
		t.Errorf("idle: %v", err)
	}
}
