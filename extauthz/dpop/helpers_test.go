package dpop

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	method = "POST"
	url    = "https://gateway.example/issues/rest/api/issue/X-1"
	token  = "an.access.token"
)

var start = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// marks is a Replay in memory, with the clock that the test moves.
type marks struct {
	mu   sync.Mutex
	now  time.Time
	set  map[string]time.Time
	fail error
}

func newMarks() *marks { return &marks{now: start, set: map[string]time.Time{}} }

func (m *marks) Add(_ context.Context, key string, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if m.now.Before(m.set[key]) {
		return ErrSeen
	}
	m.set[key] = expires
	return nil
}

func (m *marks) clock() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *marks) verifier() Verifier {
	return Verifier{Ahead: 10 * time.Second, Behind: time.Minute, Now: m.clock, Replay: m}
}

// pair is a key pair of a made-up client, which signs with another implementation than ours.
type pair struct {
	alg     jwa.SignatureAlgorithm
	private crypto.Signer
	jwk     map[string]any // public, for tests to spoil
	jkt     string
}

func newPair(t testing.TB, alg jwa.SignatureAlgorithm, private crypto.Signer) pair {
	t.Helper()
	public := must[jwk.Key](t)(jwk.FromRaw(private.Public()))
	jkt := b64.EncodeToString(must[[]byte](t)(public.Thumbprint(crypto.SHA256)))
	var members map[string]any
	if err := json.Unmarshal(must[[]byte](t)(json.Marshal(public)), &members); err != nil {
		t.Fatal(err)
	}
	return pair{alg, private, members, jkt}
}

func newES256(t testing.TB) pair {
	t.Helper()
	return newPair(t, jwa.ES256, must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
}

// RSA keys are made once: they are the slow part of these tests.
var (
	rsa2048 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	rsa1024 = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })
)

func newPS256(t testing.TB) pair {
	t.Helper()
	return newPair(t, jwa.PS256, must[*rsa.PrivateKey](t)(rsa2048()))
}

// jwkWith is the public JWK as JSON with one member more or other; a nil value takes it away.
func (p pair) jwkWith(t testing.TB, name string, value any) string {
	t.Helper()
	members := map[string]any{}
	for n, v := range p.jwk {
		members[n] = v
	}
	members[name] = value
	if value == nil {
		delete(members, name)
	}
	return string(must[[]byte](t)(json.Marshal(members)))
}

func (p pair) jwkJSON(t testing.TB) string { return p.jwkWith(t, "", nil) }

func (p pair) header(t testing.TB) string { return headerOf(p.alg.String(), p.jwkJSON(t)) }

func headerOf(alg, jwk string) string {
	return `{"typ":"dpop+jwt","alg":"` + alg + `","jwk":` + jwk + `}`
}

// sign makes a proof of any header and payload, however wrong.
func (p pair) sign(t testing.TB, header, payload string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	signer := must[jws.Signer](t)(jws.NewSigner(p.alg))
	return input + "." + b64.EncodeToString(must[[]byte](t)(signer.Sign([]byte(input), p.private)))
}

// claimsWith are good claims, for a request with the token, with one other or more; nil takes it away.
func claimsWith(t testing.TB, name string, value any) string {
	t.Helper()
	members := map[string]any{"jti": "0123456789abcdef", "htm": method, "htu": url, "iat": start.Unix(), "ath": tokenHash(token)}
	members[name] = value
	if value == nil {
		delete(members, name)
	}
	return string(must[[]byte](t)(json.Marshal(members)))
}

func goodClaims(t testing.TB) string { return claimsWith(t, "", nil) }

func (p pair) want() Want {
	return Want{Method: method, URL: url, AccessToken: token, Thumbprint: p.jkt}
}

// wantPassed verifies with marks of its own.
func wantPassed(t *testing.T, proof string, want Want) Verified {
	t.Helper()
	got, err := newMarks().verifier().Verify(t.Context(), []string{proof}, want)
	if err != nil {
		t.Errorf("refused: %v", err)
	}
	return got
}

// wantRefused demands the right cause too, so that no test passes for another fault than its own, and that no mark is set.
func wantRefused(t *testing.T, proof string, want Want, cause string) {
	t.Helper()
	m := newMarks()
	got, err := m.verifier().Verify(t.Context(), []string{proof}, want)
	if !errors.Is(err, ErrProof) || !strings.Contains(err.Error(), cause) {
		t.Errorf("error %v, want ErrProof: %s", err, cause)
	}
	if got != (Verified{}) || len(m.set) > 0 {
		t.Errorf("a refused proof gave %v and left %d marks", got, len(m.set))
	}
}
