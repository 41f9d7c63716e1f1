package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchEvery   = 10 * time.Second // at most one fetch in this time, whoever asks for whatever key
	fetchTimeout = 5 * time.Second
	refreshAfter = 5 * time.Minute
	serveFor     = 24 * time.Hour
	firstEvery   = time.Second / 2 // instead, until there is a first set
	runEvery     = time.Second
)

// Remote is the key set that an issuer publishes at a URL, as a KeySource. The methods may be called in parallel.
//
// The last good set serves while the issuer is slow, down or answers nonsense, for at most 24 hours after it was fetched:
// long enough for an outage to be noticed and mended, and a bound on how long a key lives that its issuer has withdrawn
// while we could not hear of it. After that every answer is an error that is not ErrNoKey.
//
// A set older than 5 minutes is fetched anew when it is used, and the use does not wait for it. A good set replaces the last
// one whole: a key that is gone from it is dead. An id that is not in the set causes a fetch and waits for it. All of
// this together causes at most one fetch in 10 seconds, so that made-up ids cannot turn us against the issuer. Until there
// is a first set it is one in half a second, Run tries once a second, and who asks just after a fetch that failed waits for
// the next one: two daemons that need each other's keys may start in any order.
type Remote struct {
	url    string
	client *http.Client
	now    func() time.Time
	last   atomic.Pointer[fetched] // nil until a first set was good

	mu     sync.Mutex    // guards what follows
	flight chan struct{} // closed when the running fetch ends; nil: none runs
	tried  time.Time     // when the last fetch began
	fault  error         // of the last fetch that ended
}

type fetched struct {
	set Set
	at  time.Time
}

// NewRemote fetches nothing yet. client says how the issuer is reached and trusted; redirects are never followed, since they
// could lead to keys that are not the issuer's. now is the clock that all ages are measured with.
func NewRemote(url string, client *http.Client, now func() time.Time) *Remote {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Remote{url: url, client: &own, now: now}
}

// Run fetches the set now and keeps it fresh until ctx ends, so that a withdrawn key dies in time when no token comes in. A
// Remote that is not run works too, but an idle one may serve one old answer before it hears of a withdrawal.
func (r *Remote) Run(ctx context.Context) error {
	tick := time.NewTicker(runEvery)
	defer tick.Stop()
	for {
		if now := r.now(); r.last.Load().stale(now) {
			r.start(now)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Key answers at once for an id that is in the living set. Otherwise it waits for a fetch, at most until ctx ends, and
// answers ErrNoKey only if the issuer's last answer was a good set without the id.
func (r *Remote) Key(ctx context.Context, kid string) (Key, error) {
	now, last := r.now(), r.last.Load()
	if key, err := last.key(kid, now); err == nil {
		if last.stale(now) {
			r.start(now)
		}
		return key, nil
	}
	if err := r.await(ctx, now); err != nil {
		return Key{}, err
	}
	key, err := r.last.Load().key(kid, r.now())
	if fault := r.lastFault(); err != nil && fault != nil {
		return Key{}, fault // the id may be a new key's
	}
	return key, err
}

// await waits for a fetch that is begun or under way. Where it is too soon for one, the set that there is has to do; but where there is none at all,
// it is worth waiting until a fetch may begin.
func (r *Remote) await(ctx context.Context, now time.Time) error {
	flight, next := r.start(now)
	if next > 0 && !r.Known() {
		select {
		case <-time.After(next):
			flight, _ = r.start(r.now())
		case <-ctx.Done():
			flight = nil // it is closed, and would hide that there was no time
		}
	}
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("keys: waiting for %s: %w", r.url, ctx.Err())
	}
}

func (r *Remote) lastFault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault
}

// Known tells whether a set was ever read.
func (r *Remote) Known() bool { return r.last.Load() != nil }

// start begins a fetch, unless one runs or began too short a time ago: then next says how long it is until one may. The channel is closed once
// there is nothing to wait for any more.
func (r *Remote) start(now time.Time) (flight <-chan struct{}, next time.Duration) {
	every := fetchEvery
	if !r.Known() {
		every = firstEvery
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight, 0
	}
	done := make(chan struct{})
	if next := every - now.Sub(r.tried); !r.tried.IsZero() && next > 0 {
		close(done)
		return done, next
	}
	r.flight, r.tried = done, now
	go r.fly(done, now)
	return done, 0
}

// fly is bounded by the fetch's own timeout and not by a caller's context: the caller may leave, others wait too.
func (r *Remote) fly(done chan struct{}, began time.Time) {
	set, err := r.fetch()
	if err == nil {
		r.last.Store(&fetched{set, began})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight, r.fault = nil, err
	close(done)
}

func (r *Remote) fetch() (Set, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return Set{}, fmt.Errorf("keys: fetching %w", err)
	}
	req.Close = true // nothing to gain in 5 minutes, and Go's client repeats what a kept connection loses
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return Set{}, fmt.Errorf("keys: fetching %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Set{}, fmt.Errorf("keys: fetching %s: status %d", r.url, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1)) // one more, for ParseJWKS to see that it is too long
	if err != nil {
		return Set{}, fmt.Errorf("keys: fetching %s: %w", r.url, err)
	}
	set, err := ParseJWKS(body)
	if err != nil {
		return Set{}, fmt.Errorf("keys: fetching %s: %w", r.url, err)
	}
	return set, nil
}

var errNoSet = errors.New("keys: no key set of the issuer that is young enough")

func (f *fetched) key(kid string, now time.Time) (Key, error) {
	if f == nil || now.Sub(f.at) >= serveFor {
		return Key{}, errNoSet
	}
	return find(f.set.keys, kid)
}

func (f *fetched) stale(now time.Time) bool { return f == nil || now.Sub(f.at) > refreshAfter }
