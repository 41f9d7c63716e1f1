package dpop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (m *marks) add(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

// RFC 9449, 4.3, 11.
func TestWindow(t *testing.T) {
	es := newES256(t)
	tests := []struct {
		name  string
		since time.Duration // from the making to the verifying
		cause string
	}{
		{"now", 0, ""},
		{"10 s ahead", -10 * time.Second, ""},
		{"more than 10 s ahead", -10*time.Second - 1, "future"},
		{"11 s ahead", -11 * time.Second, "future"},
		{"60 s behind", time.Minute, ""},
		{"more than 60 s behind", time.Minute + 1, "too long ago"},
		{"61 s behind", 61 * time.Second, "too long ago"},
		{"years ahead", -1000 * time.Hour, "future"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMarks()
			m.add(test.since)
			_, err := m.verifier().Verify(t.Context(), []string{es.sign(t, es.header(t), goodClaims(t))}, es.want())
			if test.cause == "" && err != nil || test.cause != "" && (!errors.Is(err, ErrProof) || !strings.Contains(err.Error(), test.cause)) {
				t.Errorf("error %v, want %q", err, test.cause)
			}
		})
	}
}

// RFC 9449, 11.1: once, for as long as the proof could pass for its age, by any verifier whose clock is not off by more than
// Ahead.
func TestReplay(t *testing.T) {
	es := newES256(t)
	proof := es.sign(t, es.header(t), claimsWith(t, "iat", start.Add(10*time.Second).Unix()))
	m := newMarks()
	slow := m.verifier()
	slow.Now = func() time.Time { return m.clock().Add(-10 * time.Second) }
	if _, err := m.verifier().Verify(t.Context(), []string{proof}, es.want()); err != nil {
		t.Fatal(err)
	}
	for range 80 { // the last second in which the slow clock lets it pass
		m.add(time.Second)
		for _, v := range []Verifier{m.verifier(), slow} {
			if _, err := v.Verify(t.Context(), []string{proof}, es.want()); !errors.Is(err, ErrProof) {
				t.Fatalf("replayed after %v: %v", m.clock().Sub(start), err)
			}
		}
	}
	if _, err := slow.judge([]string{proof}, es.want()); err != nil {
		t.Errorf("the mark was not what refused it: %v", err)
	}
	m.add(2 * time.Second)
	for key, expires := range m.set {
		if m.clock().Before(expires) {
			t.Errorf("the mark %s outlives its proof", key)
		}
	}
}

func TestReplayIsTold(t *testing.T) {
	es, m := newES256(t), newMarks()
	proof := es.sign(t, es.header(t), goodClaims(t))
	must[Verified](t)(m.verifier().Verify(t.Context(), []string{proof}, es.want()))
	_, err := m.verifier().Verify(t.Context(), []string{proof}, es.want())
	if !errors.Is(err, ErrProof) || !errors.Is(err, ErrSeen) {
		t.Errorf("error %v, want ErrProof and ErrSeen", err)
	}
}

// A jti is spent for its key alone, in whichever spelling and signature it comes.
func TestWhatIsSpent(t *testing.T) {
	es, other, m := newES256(t), newES256(t), newMarks()
	spend := func(p pair, claims string) error {
		_, err := m.verifier().Verify(t.Context(), []string{p.sign(t, p.header(t), claims)}, p.want())
		return err
	}
	if err := spend(es, claimsWith(t, "jti", "abc")); err != nil {
		t.Fatal(err)
	}
	escaped := strings.Replace(claimsWith(t, "jti", "abc"), `"abc"`, `"\u0061bc"`, 1)
	for name, claims := range map[string]string{
		"signed anew":      claimsWith(t, "jti", "abc"),
		"another spelling": escaped,
		"another iat":      strings.Replace(claimsWith(t, "jti", "abc"), fmt.Sprint(start.Unix()), fmt.Sprint(start.Unix()+1), 1),
	} {
		if err := spend(es, claims); !errors.Is(err, ErrSeen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := spend(es, claimsWith(t, "jti", "abcd")); err != nil {
		t.Errorf("another jti: %v", err)
	}
	if err := spend(other, claimsWith(t, "jti", "abc")); err != nil {
		t.Errorf("another's key: %v", err)
	}
	for key := range m.set {
		if len(key) != 43 || strings.Contains(key, "abc") {
			t.Errorf("the store's key is %q", key)
		}
	}
}

func TestReplayInParallel(t *testing.T) {
	es, m := newES256(t), newMarks()
	proof := es.sign(t, es.header(t), goodClaims(t))
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := m.verifier().Verify(t.Context(), []string{proof}, es.want()); err == nil {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d passed", passed.Load())
	}
}

// waits is a store that never answers.
type waits struct{}

func (waits) Add(ctx context.Context, _ string, _ time.Time) error {
	<-ctx.Done()
	return ctx.Err()
}

// A store that cannot answer is no verdict on the proof.
func TestStoreFails(t *testing.T) {
	es := newES256(t)
	proof := es.sign(t, es.header(t), goodClaims(t))
	broken, m := errors.New("disk full"), newMarks()
	m.fail = broken
	got, err := m.verifier().Verify(t.Context(), []string{proof}, es.want())
	if !errors.Is(err, broken) || errors.Is(err, ErrProof) || got != (Verified{}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := m.verifier().Verify(t.Context(), []string{proof + "A"}, es.want()); !errors.Is(err, ErrProof) {
		t.Errorf("a bad proof at a broken store: %v", err)
	}
	v := m.verifier()
	v.Replay = waits{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, []string{proof}, es.want()); !errors.Is(err, context.Canceled) || errors.Is(err, ErrProof) {
		t.Errorf("a caller that left: %v", err)
	}
}

// The zero values deny, and what is set up wrongly is not the proof's fault.
func TestVerifierIncomplete(t *testing.T) {
	es := newES256(t)
	proof := es.sign(t, es.header(t), goodClaims(t))
	good := newMarks().verifier()
	for name, v := range map[string]Verifier{
		"the zero verifier": {},
		"no store":          {Ahead: good.Ahead, Behind: good.Behind, Now: good.Now},
		"no window":         {Now: good.Now, Replay: good.Replay},
		"a negative window": {Ahead: -time.Second, Behind: time.Minute, Now: good.Now, Replay: good.Replay},
	} {
		if _, err := v.Verify(t.Context(), []string{proof}, es.want()); err == nil || errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifierWithTheRealClock(t *testing.T) {
	v := newMarks().verifier()
	v.Now = nil
	key, want := must[Key](t)(Generate()), Want{Method: method, URL: url}
	must[Verified](t)(v.Verify(t.Context(), []string{must[string](t)(key.Make(Proof{Method: method, URL: url, Now: time.Now()}))}, want))
	old := must[string](t)(key.Make(Proof{Method: method, URL: url, Now: time.Now().Add(-2 * time.Minute)}))
	if _, err := v.Verify(t.Context(), []string{old}, want); !errors.Is(err, ErrProof) {
		t.Errorf("an old proof: %v", err)
	}
}

// What the request wants is part of the judgement.
func TestWant(t *testing.T) {
	es, other := newES256(t), newES256(t)
	with := es.sign(t, es.header(t), goodClaims(t))
	without := es.sign(t, es.header(t), claimsWith(t, "ath", nil))
	tests := []struct {
		name, proof string
		want        Want
		cause       string // "": passes
	}{
		{"all of it", with, es.want(), ""},
		{"no token, any key", without, Want{Method: method, URL: url}, ""},
		{"no token, this key", without, Want{Method: method, URL: url, Thumbprint: es.jkt}, ""},

		{"nothing", with, Want{}, "nothing is wanted"},
		{"no method", with, Want{URL: url, AccessToken: token, Thumbprint: es.jkt}, "nothing is wanted"},
		{"no URL", with, Want{Method: method, AccessToken: token, Thumbprint: es.jkt}, "nothing is wanted"},
		{"another method", with, Want{Method: "GET", URL: url, AccessToken: token, Thumbprint: es.jkt}, "htm"},
		{"the method in small letters", with, Want{Method: "post", URL: url, AccessToken: token, Thumbprint: es.jkt}, "htm"},
		{"another URL", with, Want{Method: method, URL: url + "2", AccessToken: token, Thumbprint: es.jkt}, "another target"},
		{"a URL that is none", with, Want{Method: method, URL: "/rest", AccessToken: token, Thumbprint: es.jkt}, "the request"},
		{"another token", with, Want{Method: method, URL: url, AccessToken: token + "2", Thumbprint: es.jkt}, "ath is another token's"},
		{"a token, a proof without", without, es.want(), "no ath"},
		{"no token, a proof with one", with, Want{Method: method, URL: url, Thumbprint: es.jkt}, "ath, without"},
		{"a token that is bound to nothing", with, Want{Method: method, URL: url, AccessToken: token}, "without the key"},
		{"another's key", with, other.want(), "another key"},
		{"no token, another's key", without, Want{Method: method, URL: url, Thumbprint: other.jkt}, "another key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.cause == "" {
				wantPassed(t, test.proof, test.want)
			} else {
				wantRefused(t, test.proof, test.want, test.cause)
			}
		})
	}
}
