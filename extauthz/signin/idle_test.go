package signin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"isogate/envoy/topology"
	"isogate/extauthz/keys"
)

// idle is a cloud that nobody signs in at. It is reached without a network, so that its time is the test's.
type idle struct {
	t          *testing.T
	federation *Federation

	mu      sync.Mutex
	times   int
	signers *keys.Signers
}

func newIdle(t *testing.T, name string) *idle {
	i := &idle{t: t}
	i.renew()
	i.federation = NewFederation(topology.Directory{ID: name, Issuer: "https://auth." + name + ".test"}, nil, &http.Client{Transport: i}, "", time.Now)
	return i
}

// renew withdraws the key, and makes another.
func (i *idle) renew() {
	signers, err := keys.OpenSigners(filepath.Join(i.t.TempDir(), "keys"), time.Now)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signers = signers
}

func (i *idle) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w := httptest.NewRecorder()
	if r.URL.Path == cloudJWKS {
		i.times++
		_, _ = w.Write(i.signers.JWKS())
	} else {
		w.WriteHeader(http.StatusNotFound)
	}
	return w.Result(), nil
}

func (i *idle) fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.times
}

func (i *idle) signs() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	token, err := i.signers.Sign("JWT", []byte(`{"iss":"i","aud":"a","exp":9999999999,"iat":1}`))
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

func (i *idle) expects() keys.Expect {
	return keys.Expect{Type: "JWT", Issuer: "i", Audience: "a", Now: time.Now, Skew: skew}
}

// runFederations runs a directory that a test changes, in a time of its own, and ends it.
func runFederations(t *testing.T, test func(t *testing.T, clouds map[string]*idle, directory func(names ...string))) {
	synctest.Test(t, func(t *testing.T) {
		clouds := map[string]*idle{}
		for _, name := range []string{"acme", "zeta", "extra"} {
			clouds[name] = newIdle(t, name)
		}
		var wanted atomic.Pointer[[]*Federation]
		directory := func(names ...string) {
			var all []*Federation
			for _, name := range names {
				all = append(all, clouds[name].federation)
			}
			wanted.Store(&all)
		}
		directory()
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- RunFederations(ctx, func() []*Federation { return *wanted.Load() }) }()
		defer end()
		test(t, clouds, directory)
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
