package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// issuer is an httptest server that answers what it is told to and counts.
type issuer struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	hits   atomic.Int32
}

func newIssuer(t *testing.T, answer http.HandlerFunc) *issuer {
	i := &issuer{}
	i.behave(answer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.hits.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) behave(answer http.HandlerFunc) { i.answer.Store(&answer) }

func serving(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }
}

func status(code int, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		w.Write(body)
	}
}

// settle waits for a fetch in the background.
func (r *Remote) settle() {
	r.mu.Lock()
	flight := r.flight
	r.mu.Unlock()
	if flight != nil {
		<-flight
	}
}

func wantKey(t *testing.T, r *Remote, kid string) {
	t.Helper()
	if _, err := r.Key(t.Context(), kid); err != nil {
		t.Errorf("key %s: %v", kid, err)
	}
}

func wantNoKey(t *testing.T, r *Remote, kid string) {
	t.Helper()
	if _, err := r.Key(t.Context(), kid); !errors.Is(err, ErrNoKey) {
		t.Errorf("key %s: %v, want ErrNoKey", kid, err)
	}
}

func wantNoKeys(t *testing.T, r *Remote, kid string) {
	t.Helper()
	if _, err := r.Key(t.Context(), kid); err == nil || errors.Is(err, ErrNoKey) {
		t.Errorf("key %s: %v, want an error that is not ErrNoKey", kid, err)
	}
}

func (i *issuer) wantHits(t *testing.T, want int32) {
	t.Helper()
	if got := i.hits.Load(); got != want {
		t.Errorf("%d fetches, want %d", got, want)
	}
}

func TestRemoteVerify(t *testing.T) {
	c, es := newClock(), newES256(t, "k")
	i := newIssuer(t, serving(jwksOf(t, es.jwk)))
	r := NewRemote(i.URL, i.Client(), c.now)
	for range 3 {
		if _, err := Verify(t.Context(), es.sign(t, goodHeader, goodClaims), r, expect(c)); err != nil {
			t.Error(err)
		}
	}
	i.wantHits(t, 1)
	wantRefused(t, "an unknown key", es.sign(t, strings.Replace(goodHeader, `"k"`, `"x"`, 1), goodClaims), r, expect(c))

	down := NewRemote("http://127.0.0.1:1/", http.DefaultClient, c.now)
	if _, err := Verify(t.Context(), es.sign(t, goodHeader, goodClaims), down, expect(c)); !errors.Is(err, ErrKeys) || errors.Is(err, ErrToken) {
		t.Errorf("an issuer that is down: %v, want ErrKeys", err)
	}
}

// The last good set serves through every kind of bad answer, and gives way to the next good one.
func TestRemoteMisbehaves(t *testing.T) {
	old, next := newES256(t, "old"), newES256(t, "next")
	var many []map[string]any
	for n := range maxKeys + 1 {
		many = append(many, next.with("kid", fmt.Sprint(n)))
	}
	tests := map[string]http.HandlerFunc{
		"500":       status(500, jwksOf(t, next.jwk)),
		"404":       status(404, nil),
		"HTML":      serving([]byte("<!doctype html><title>Sign in</title>")),
		"empty set": serving(jwksOf(t)),
		"no keys":   serving([]byte(`{}`)),
		"nothing":   serving(nil),
		"cut":       serving(jwksOf(t, next.jwk)[:40]),
		"too many":  serving(jwksOf(t, many...)),
		"too large": serving([]byte(`{"pad":"` + strings.Repeat("x", maxJWKS) + `",` + string(jwksOf(t, next.jwk)[1:]))),
		"useless":   serving(jwksOf(t, next.with("use", "enc"))),
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"hangs up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hangs up in the body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			w.Write(jwksOf(t, next.jwk))
		},
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			i := newIssuer(t, bad)
			r := NewRemote(i.URL, i.Client(), c.now)
			wantNoKeys(t, r, "old") // none was ever good
			c.add(fetchEvery)
			i.behave(serving(jwksOf(t, old.jwk)))
			wantKey(t, r, "old") // it recovers by itself

			i.behave(bad)
			c.add(refreshAfter + time.Second)
			wantKey(t, r, "old")
			r.settle()
			wantKey(t, r, "old")
			wantNoKeys(t, r, "next") // nobody can say that there is no such key
			i.wantHits(t, 3)

			i.behave(serving(jwksOf(t, next.jwk)))
			c.add(fetchEvery)
			wantKey(t, r, "next")
			wantNoKey(t, r, "old")
		})
	}
}

func TestRemoteRotatesAndShrinks(t *testing.T) {
	c, a, b := newClock(), newES256(t, "a"), newES256(t, "b")
	i := newIssuer(t, serving(jwksOf(t, a.jwk)))
	r := NewRemote(i.URL, i.Client(), c.now)
	wantKey(t, r, "a")

	i.behave(serving(jwksOf(t, a.jwk, b.jwk)))
	c.add(fetchEvery - time.Second)
	wantNoKey(t, r, "b") // too early for another fetch
	c.add(time.Second)
	wantKey(t, r, "b") // at once, by its unknown id
	i.wantHits(t, 2)

	i.behave(serving(jwksOf(t, b.jwk)))
	c.add(refreshAfter)
	wantKey(t, r, "a")
	i.wantHits(t, 2) // not old enough yet
	c.add(time.Second)
	wantKey(t, r, "b")
	r.settle()
	i.wantHits(t, 3)
	wantNoKey(t, r, "a") // a key that its issuer withdrew is dead
	wantKey(t, r, "b")
}

func TestRemoteBound(t *testing.T) {
	c, a := newClock(), newES256(t, "a")
	i := newIssuer(t, serving(jwksOf(t, a.jwk)))
	r := NewRemote(i.URL, i.Client(), c.now)
	wantKey(t, r, "a")
	i.behave(status(503, nil))
	c.add(serveFor - time.Second)
	wantKey(t, r, "a")
	r.settle()
	c.add(time.Second)
	wantNoKeys(t, r, "a")
	c.add(fetchEvery)
	wantNoKeys(t, r, "a")
	i.behave(serving(jwksOf(t, a.jwk)))
	c.add(fetchEvery)
	wantKey(t, r, "a")
}

// Whatever ids strangers make up, an issuer sees at most one fetch in ten seconds.
func TestRemoteFlood(t *testing.T) {
	c, a := newClock(), newES256(t, "a")
	i := newIssuer(t, serving(jwksOf(t, a.jwk)))
	r := NewRemote(i.URL, i.Client(), c.now)
	const windows = 5
	for n := range windows * 10 { // a second each
		var wg sync.WaitGroup
		for m := range 20 {
			wg.Go(func() { wantNoKey(t, r, fmt.Sprint("made up ", n, m)) })
		}
		wg.Go(func() { wantKey(t, r, "a") })
		wg.Wait()
		c.add(time.Second)
	}
	i.wantHits(t, windows)

	i.behave(status(500, nil)) // and failing does not make it more
	for n := range windows * 10 {
		r.Key(t.Context(), fmt.Sprint("made up ", n))
		c.add(time.Second)
	}
	i.wantHits(t, 2*windows)
}

func TestRemoteSingleFlight(t *testing.T) {
	c, a, b := newClock(), newES256(t, "a"), newES256(t, "b")
	i := newIssuer(t, serving(jwksOf(t, a.jwk)))
	r := NewRemote(i.URL, i.Client(), c.now)
	wantKey(t, r, "a")

	reached, release := make(chan struct{}), make(chan struct{})
	i.behave(func(w http.ResponseWriter, _ *http.Request) {
		close(reached) // a second fetch would panic here
		<-release
		w.Write(jwksOf(t, a.jwk, b.jwk))
	})
	c.add(time.Hour)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { wantKey(t, r, "b") })
	}
	<-reached
	wantKey(t, r, "a") // a known key does not wait for a slow issuer

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Key(ctx, "b"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoKey) {
		t.Errorf("a caller that left: %v", err)
	}
	close(release)
	wg.Wait()
	i.wantHits(t, 2)
}

// roundTrip is a client without a network, for made-up time.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRemoteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRemote("https://issuer.example/jwks", &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done() // the issuer never answers
			return nil, req.Context().Err()
		})}, time.Now)
		began := time.Now()
		_, err := r.Key(t.Context(), "a")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != fetchTimeout {
			t.Errorf("after %v: %v, want a timeout after %v", time.Since(began), err, fetchTimeout)
		}
		// A caller with less time waits for less, and the fetch goes on without it.
		time.Sleep(fetchEvery)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := r.Key(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v, want a timeout after 1s", time.Since(began), err)
		}
		r.settle()
		if got := time.Since(began); got != fetchTimeout {
			t.Errorf("the fetch ended after %v, want %v", got, fetchTimeout)
		}
	})
}

func TestRemoteRun(t *testing.T) {
	a, b := newES256(t, "a"), newES256(t, "b")
	synctest.Test(t, func(t *testing.T) {
		var body atomic.Pointer[[]byte]
		serve := func(b []byte) { body.Store(&b) }
		serve(jwksOf(t, a.jwk))
		r := NewRemote("https://issuer.example/jwks", &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(*body.Load())))}, nil
		})}, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		wantKey(t, r, "a")

		serve(jwksOf(t, b.jwk))
		time.Sleep(refreshAfter + 2*time.Minute)
		synctest.Wait()
		wantNoKey(t, r, "a") // although nobody asked in between
		wantKey(t, r, "b")
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run after its context ended: %v", err)
		}
	})
}

// Whoever asks just after a first fetch failed gets the key from the next one, rather than that failure.
func TestRemoteFirstSet(t *testing.T) {
	a := newES256(t, "a")
	synctest.Test(t, func(t *testing.T) {
		var asked int
		r := NewRemote("https://issuer.example/jwks", &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			if asked++; asked == 1 {
				return nil, errors.New("nobody listens yet")
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(jwksOf(t, a.jwk))))}, nil
		})}, time.Now)
		began := time.Now()
		wantNoKeys(t, r, "a") // this one caused the fetch that failed
		if took := time.Since(began); took != 0 {
			t.Errorf("it waited %s for another", took)
		}
		hurried, cancel := context.WithTimeout(t.Context(), firstEvery/2)
		defer cancel()
		if _, err := r.Key(hurried, "a"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != firstEvery/2 {
			t.Errorf("after %s: %v, want a timeout after %s", time.Since(began), err, firstEvery/2)
		}
		wantKey(t, r, "a")
		if took := time.Since(began); took != firstEvery || asked != 2 {
			t.Errorf("the key came after %s and %d fetches, want %s and 2", took, asked, firstEvery)
		}
	})
}
