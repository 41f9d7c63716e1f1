package world

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
)

// counting counts the requests that pass through it.
type counting struct {
	http.RoundTripper
	requests atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// unknownKey is a token whose key nobody has.
func unknownKey() string {
	segment := base64.RawURLEncoding.EncodeToString
	signature := make([]byte, 64)
	rand.Read(signature) // it never returns an error
	return segment([]byte(`{"alg":"ES256","kid":"`+forged()+`","typ":"uct+jwt"}`)) + "." + segment([]byte(`{"iss":"`+shared.URL("auth", "")+`"}`)) + "." + segment(signature)
}

// Tokens that name keys which nobody has must not turn a product against the issuer: one fetch in ten seconds, however many come.
func TestFloodOfUnknownKeys(t *testing.T) {
	b := signedIn(t, "bob")
	good := echoOf(t, must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, nil, ""))).Headers["x-user-context-token"][0]
	client := daemon.Connect(shared.Connect()).Client(shared.CA.Pool())
	counter := &counting{RoundTripper: client.Transport}
	client.Transport = counter
	var passed atomic.Int64 // on the clock by which the keys age
	now := func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	verifier := usercontext.Verifier{
		Issuer: shared.URL("auth", ""), Audience: "issues", Keys: keys.NewRemote(shared.URL("auth", usercontext.JWKSPath), client, now),
	}
	wantVerified(t, verifier, good)
	if got := counter.requests.Load(); got != 1 {
		t.Fatalf("%d fetches for the first token", got)
	}
	n := size(10_000)
	heap := ownHeap()
	for _, round := range []struct {
		name  string
		after time.Duration
		want  int64
	}{{"within ten seconds of the last fetch", 0, 0}, {"ten seconds later", 10 * time.Second, 1}, {"ten more", 10 * time.Second, 1}} {
		passed.Add(int64(round.after))
		before := counter.requests.Load()
		began := time.Now()
		refuse(t, verifier, n)
		fetches := counter.requests.Load() - before
		t.Logf("%s: %d tokens in %d ms, %d fetches", round.name, n, time.Since(began).Milliseconds(), fetches)
		if fetches > round.want+int64(time.Since(began)/(10*time.Second)) || fetches < round.want {
			t.Errorf("%s: %d fetches, want %d", round.name, fetches, round.want)
		}
		wantVerified(t, verifier, good)
	}
	if grown := ownHeap() - heap; grown > heapLeft {
		t.Errorf("%d KiB more are kept", grown>>10)
	}
}

// refuse offers n tokens with unknown keys, several at a time.
func refuse(t *testing.T, v usercontext.Verifier, n int) {
	t.Helper()
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range n / 4 {
				if _, err := v.Verify(t.Context(), unknownKey()); !errors.Is(err, usercontext.ErrInvalid) {
					t.Errorf("a token with an unknown key: %v", err)
					return
				}
			}
		})
	}
	workers.Wait()
}

func wantVerified(t *testing.T, v usercontext.Verifier, token string) {
	t.Helper()
	if c, err := v.Verify(t.Context(), token); err != nil || c.Audience != "issues" {
		t.Errorf("a good token: %v, for %q", err, c.Audience)
	}
}

func ownHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse)
}
