package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
	"isogate/policies"
)

// live is what a running extauthz answers with: the state that the file of the moment describes, behind one pointer that each request
// reads once, and beside it what outlives a change of the file.
type live struct {
	process  *daemon.Process
	store    *kv.Bolt
	sessions *session.Stored
	signers  *keys.Signers
	sealers  *keys.Sealers
	access   *keys.Remote   // the OAuth server's keys
	marks    *profile.Marks // of the proofs that came with access tokens
	signIns  *prometheus.CounterVec
	up       *prometheus.GaugeVec
	answers  map[string]bool // by provider, as of the last look

	state  atomic.Pointer[state]
	bundle atomic.Pointer[policies.Bundle]
}

// state is immutable.
type state struct {
	config    *config
	limits    session.Policies
	ingress   *profile.Ingress
	gateway   *profile.Gateway // nil if the file has none
	door      http.Handler
	resource  http.Handler
	providers []*signin.Provider
}

// open reads the keys and makes the first state. The checks and the door are served only after it.
func (l *live) open(c *config, store *kv.Bolt, sessions *session.Stored) (err error) {
	l.store, l.sessions = store, sessions
	l.signIns, l.up, l.answers = signin.Metrics(l.process.Admin.Metrics), newProviderGauge(l.process.Admin.Metrics), map[string]bool{}
	if l.signers, err = keys.OpenSigners(string(c.ExtAuthz.Keys.UCT), time.Now); err != nil {
		return err
	}
	if l.sealers, err = keys.OpenSealers(string(c.ExtAuthz.Keys.Sealing), time.Now); err != nil {
		return err
	}
	// Over a unix socket a host means nothing; the OAuth server may start after us.
	l.access = keys.NewRemote("http://oidcprovider/oauth2/jwks", daemon.UnixClient(c.Cloud.OAuthSocket()), time.Now)
	if l.marks, err = profile.OpenMarks(context.Background(), store, time.Now); err != nil {
		return err
	}
	if lost := l.marks.Lost(); lost > 0 {
		l.process.Log.Warn("the last process did not end as it should: which proofs of possession it saw is not known, so calls have to wait", "seconds", lost.Round(time.Second).Seconds())
	}
	l.process.Admin.Ready("policies", errors.New("not loaded yet"))
	return l.apply(c)
}

// Decide answers a check with the state of the moment.
func (l *live) Decide(ctx context.Context, r check.Request) check.Verdict {
	return l.state.Load().ingress.Decide(ctx, r)
}

// ServeHTTP answers at the door with the state of the moment.
func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := l.state.Load()
	if r.URL.Path == profile.PathOAuthSession {
		now.resource.ServeHTTP(w, r)
		return
	}
	now.door.ServeHTTP(w, r)
}

func (l *live) providers() []*signin.Provider { return l.state.Load().providers }

// providerState shows whether a provider answers, and logs each change. It is called by one goroutine.
func (l *live) providerState(id string, err error) {
	was, known := l.answers[id]
	l.answers[id] = err == nil
	if err != nil {
		l.up.WithLabelValues(id).Set(0)
		l.process.Admin.Note("provider "+id, "does not answer: "+err.Error())
		if was || !known {
			l.process.Log.Warn("an identity provider does not answer: who is signed in goes on, new sign-ins have to wait", "provider", id, "cause", err.Error())
		}
		return
	}
	l.up.WithLabelValues(id).Set(1)
	l.process.Admin.Note("provider "+id, "answers")
	if !was {
		l.process.Log.Info("an identity provider answers", "provider", id)
	}
}

func newProviderGauge(registry prometheus.Registerer) *prometheus.GaugeVec {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "isogate_provider_up", Help: "1 if an identity provider answers, 0 if not."}, []string{"provider"})
	registry.MustRegister(gauge)
	return gauge
}

// apply makes the state that a file describes the one that answers.
func (l *live) apply(c *config) error {
	providers, err := l.makeProviders(c.ExtAuthz)
	if err != nil {
		return err
	}
	flows := signin.Flows{Site: signin.OfCloud(*c.Cloud), Seal: l.sealers, Now: time.Now}
	limits := c.policies()
	minter := usercontext.NewMinter(l.signers, time.Now)
	ingress := profile.NewIngress(*c.Cloud, flows, l.sessions, limits, minter, l.bundle.Load)
	door := &signin.Door{
		Flows: flows, Sessions: l.sessions, Policies: limits, Tickets: l.store, Providers: providers,
		Fits: ingress.Fits, JWKS: l.signers.JWKS, Log: l.process.Log, SignIns: l.signIns,
	}
	access := profile.Access{
		Issuer: c.Cloud.Issuer(), Audience: c.Cloud.Audience(), Keys: l.access, Tokens: profile.NewTokens(), Proofs: l.marks,
		Grants: l.sessions, Policies: limits, Now: time.Now,
	}
	fresh := &state{
		config: c, limits: limits, ingress: ingress, providers: providers, door: door.Handler(usercontext.JWKSPath),
		resource: resource{access: access, url: c.Cloud.Issuer() + profile.PathOAuthSession, cloud: c.Cloud.ID, log: l.process.Log},
	}
	if c.Cloud.Gateway != nil {
		fresh.gateway = profile.NewGateway(*c.Cloud, access, minter, l.bundle.Load, time.Now)
	}
	l.state.Store(fresh)
	return nil
}

// makeProviders keeps what is known of each provider whose entry did not change.
func (l *live) makeProviders(s section) ([]*signin.Provider, error) {
	userID, err := daemon.ReadLastingKey("extauthz.keys.user_id", s.Keys.UserID)
	if err != nil {
		return nil, err
	}
	roots, err := daemon.Roots(s.CA)
	if err != nil {
		return nil, err
	}
	client := s.Connect.Client(roots)
	made := make([]*signin.Provider, len(s.Providers))
	for i, entry := range s.Providers {
		secret, err := daemon.ReadSecret(entry.ClientSecret)
		if err != nil {
			return nil, fmt.Errorf("extauthz.providers[%d].client_secret: %w", i, err)
		}
		config := entry.config(secret)
		config.Several = len(s.Providers) > 1
		made[i] = signin.NewProvider(config, client, userID, time.Now)
		if old := l.state.Load(); old != nil && reflect.DeepEqual(old.config.ExtAuthz.Connect, s.Connect) && old.config.ExtAuthz.CA == s.CA {
			for _, p := range old.providers {
				if p.ProviderConfig.Equal(config) {
					made[i] = p
				}
			}
		}
	}
	return made, nil
}

func (p provider) config(secret daemon.Secret) signin.ProviderConfig {
	c := signin.ProviderConfig{
		ID: p.ID, Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, Secret: secret, Domains: p.Domains, Scopes: p.Scopes, Groups: p.GroupsClaim,
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "email", "profile", "groups"}
	}
	if c.Groups == "" {
		c.Groups = "groups"
	}
	return c
}

// reloadFile reads the file again. What a running process cannot change keeps it from being taken at all: half a change is none.
func (l *live) reloadFile() error {
	fresh, err := loadConfig(l.process.File)
	if err != nil {
		return err
	}
	was := l.state.Load().config
	if !fresh.Isolated() {
		return otherSide(l.process.File)
	}
	for what, same := range map[string]bool{
		"cloud.id":          was.Cloud.ID == fresh.Cloud.ID,
		"cloud.domain":      was.Cloud.Domain == fresh.Cloud.Domain,
		"cloud.port":        was.Cloud.Port == fresh.Cloud.Port,
		"cloud.gateway":     (was.Cloud.Gateway == nil) == (fresh.Cloud.Gateway == nil),
		"cloud.sockets":     was.Cloud.Sockets == fresh.Cloud.Sockets,
		"extauthz.admin":    was.ExtAuthz.Admin == fresh.ExtAuthz.Admin,
		"extauthz.store":    was.ExtAuthz.Store == fresh.ExtAuthz.Store,
		"extauthz.policies": was.ExtAuthz.Policies == fresh.ExtAuthz.Policies,
		"extauthz.keys":     was.ExtAuthz.Keys == fresh.ExtAuthz.Keys,
	} {
		if !same {
			return fmt.Errorf("%s: %s has changed: restart extauthz, xds and the Envoys for that", l.process.File, what)
		}
	}
	if err := l.apply(fresh); err != nil {
		return err
	}
	l.warnOfEntries(l.bundle.Load())
	return nil
}

// reloadKeys also drops the tokens that were made ahead: one by a key that is gone would be refused everywhere.
func (l *live) reloadKeys() error {
	if err := errors.Join(l.signers.Reload(), l.sealers.Reload()); err != nil {
		return err
	}
	return l.apply(l.state.Load().config)
}

// watchPolicies keeps the last good bundle in place. Until there is one, every product is closed.
func (l *live) watchPolicies(ctx context.Context) error {
	policies.Watch(ctx, string(l.state.Load().config.ExtAuthz.Policies), func(bundle *policies.Bundle, err error) {
		if err == nil && l.state.Load().config.Cloud.Gateway != nil {
			err = bundle.ForGateway()
		}
		if err != nil && l.bundle.Load() == nil {
			err = fmt.Errorf("none was good yet, so every product answers 503: %w", err)
		}
		l.process.Admin.Reloaded(l.process.Log, "policies", err)
		if err != nil {
			return
		}
		l.bundle.Store(bundle) // first: what a list of thousands has to be said about must not hold up what it closes
		l.warnOfEntries(bundle)
		l.process.Admin.Ready("policies", nil)
		l.process.Admin.Note("policies", bundle.Digest())
	})
	return nil
}
