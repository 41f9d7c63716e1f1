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
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

// outside is a running extauthz of the commercial side. It has no store: whatever lasts is sealed, in the browsers of the people, and what is
// in memory is lost without harm.
type outside struct {
	process  *daemon.Process
	sealers  *keys.Sealers // of what stands in URLs
	sessions *keys.Sealers // of the sessions themselves
	users    []byte        // key of the ids that services know people by; read once: another one would make strangers of everybody
	answers  *profile.Answers
	faults   *signin.CloudLog
	signIns  *prometheus.CounterVec

	state atomic.Pointer[outsideState]
}

// outsideState is immutable.
type outsideState struct {
	config    *config
	federated *profile.Federated
	door      http.Handler
	clouds    []cloud
	tokens    map[string]*keys.Sealers // of what each service with a sidecar carries, by folder
}

// cloud is a directory's entry that people come from.
type cloud struct {
	signers    *keys.Signers // of the client that we are there
	federation *signin.Federation
}

// startOutside builds the units of the commercial side.
func startOutside(p *daemon.Process, c *config) ([]daemon.Unit, error) {
	live := &outside{process: p}
	live.state.Store(&outsideState{config: c})
	watch := daemon.Watch(p.Log, p.Admin, // looks at the files before they are read, so that no change is missed
		daemon.Reload{What: "config", Files: func() []string { return []string{p.File} }, Do: live.reloadFile},
		daemon.Reload{What: "keys", Files: live.keyFolders, Do: live.reloadKeys})
	if err := live.open(c); err != nil {
		return nil, err
	}
	checks, err := checkUnit(p, "federated", c.Platform.CheckSocket("federated"), live)
	if err != nil {
		return nil, err
	}
	door, err := doorUnit(c.Platform.DoorSocket(), live)
	if err != nil {
		return nil, err
	}
	admin, err := p.Admin.Unit(c.ExtAuthz.Admin)
	if err != nil {
		return nil, err
	}
	clouds := daemon.Unit{Name: "clouds", Run: func(ctx context.Context) error { return signin.RunFederations(ctx, live.federations) }}
	return []daemon.Unit{admin, clouds, watch, door, checks}, nil
}

// open reads the keys and makes the first state. It asks no isolated cloud.
func (o *outside) open(c *config) (err error) {
	files := c.ExtAuthz.Keys
	if o.sealers, err = keys.OpenSealers(string(files.Sealing), time.Now); err != nil {
		return err
	}
	if o.sessions, err = keys.OpenSealers(string(files.Federated), time.Now); err != nil {
		return err
	}
	if o.users, err = daemon.ReadLastingKey("extauthz.keys.service_users", files.ServiceUsers); err != nil {
		return err
	}
	o.signIns = signin.FederatedMetrics(o.process.Admin.Metrics)
	o.faults = signin.NewCloudLog(o.process.Log, time.Now)
	o.answers = profile.NewAnswers(time.Now, o.unanswered())
	return o.apply(c)
}

// unanswered counts and logs that a cloud did not say whether a session lives.
func (o *outside) unanswered() func(cloud string, err error) {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "isogate_cloud_unanswered_total",
		Help: "Times that an isolated cloud did not say whether a session lives, by cloud; while it does not answer, one in ten seconds.",
	}, []string{"cloud"})
	o.process.Admin.Metrics.MustRegister(counter)
	return func(cloud string, err error) {
		counter.WithLabelValues(cloud).Inc()
		o.faults.Warn(context.Background(), cloud, "an isolated cloud does not say whether sessions live: they go on until their end", err)
	}
}

// federations are the clouds of the moment.
func (o *outside) federations() []*signin.Federation {
	return federationsOf(o.state.Load().clouds)
}

func federationsOf(clouds []cloud) (all []*signin.Federation) {
	for _, of := range clouds {
		all = append(all, of.federation)
	}
	return all
}

// Decide answers a check with the state of the moment.
func (o *outside) Decide(ctx context.Context, r check.Request) check.Verdict {
	return o.state.Load().federated.Decide(ctx, r)
}

// ServeHTTP answers at the door with the state of the moment.
func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.state.Load().door.ServeHTTP(w, r)
}

// apply makes the state that a file describes the one that answers.
func (o *outside) apply(c *config) error {
	clouds, err := o.makeClouds(c)
	if err != nil {
		return err
	}
	tokens, err := o.openTokens(c)
	if err != nil {
		return err
	}
	flows := signin.Flows{Site: signin.OfPlatform(*c.Platform), Seal: o.sealers, Now: time.Now}
	sealed := session.Sealed{Keys: o.sessions, Now: time.Now}
	federations, every := signin.NewFederations(federationsOf(clouds)), c.ExtAuthz.CheckEvery.Or(defaultCheck)
	checks := profile.Checks{Sealed: sealed, Clouds: federations, Answers: o.answers, Every: every}
	identity := &signin.Identity{
		Flows: flows, Platform: *c.Platform, Sealed: sealed, Clouds: federations, Grants: checks, Within: every,
		Log: o.process.Log, Faults: o.faults, SignIns: o.signIns,
	}
	o.state.Store(&outsideState{
		config: c, clouds: clouds, tokens: tokens, door: identity.Handler(),
		federated: profile.NewFederated(*c.Platform, c.Clouds, flows, checks, o.users, carriers(c, tokens)),
	})
	return nil
}

// openTokens keeps the keys of each service's token_key whose folder is the same.
func (o *outside) openTokens(c *config) (map[string]*keys.Sealers, error) {
	known, tokens := o.state.Load().tokens, map[string]*keys.Sealers{}
	for i, s := range c.Platform.Services {
		if s.Egress == nil {
			continue
		}
		folder := string(s.Egress.TokenKey)
		if tokens[folder] = known[folder]; tokens[folder] != nil {
			continue
		}
		opened, err := keys.OpenSealers(folder, time.Now)
		if err != nil {
			return nil, fmt.Errorf("platform.services[%d].egress.token_key: %w", i, err)
		}
		tokens[folder] = opened
	}
	return tokens, nil
}

// carriers are those of the services that have a sidecar, by id.
func carriers(c *config, tokens map[string]*keys.Sealers) map[string]session.Carrier {
	all := map[string]session.Carrier{}
	for _, s := range c.Platform.Services {
		if s.Egress != nil {
			all[s.ID] = session.Carrier{Service: s.ID, Keys: tokens[string(s.Egress.TokenKey)], Now: time.Now}
		}
	}
	return all
}

// makeClouds keeps what is known of each cloud whose entry did not change.
func (o *outside) makeClouds(c *config) (clouds []cloud, err error) {
	was := o.state.Load()
	same := reflect.DeepEqual(was.config.ExtAuthz.Connect, c.ExtAuthz.Connect)
	for i, entry := range c.Clouds {
		if !entry.Federates() {
			continue
		}
		made := was.cloud(entry)
		if made == nil || !same {
			if made, err = o.makeCloud(c, entry); err != nil {
				return nil, fmt.Errorf("clouds[%d]: %w", i, err)
			}
		}
		clouds = append(clouds, *made)
	}
	return clouds, nil
}

func (s *outsideState) cloud(entry topology.Directory) *cloud {
	for _, known := range s.clouds {
		if reflect.DeepEqual(known.federation.Entry, entry) {
			return &known
		}
	}
	return nil
}

func (o *outside) makeCloud(c *config, entry topology.Directory) (*cloud, error) {
	signers, err := keys.OpenSigners(string(entry.Client.Key), time.Now)
	if err != nil {
		return nil, fmt.Errorf("client.key: %w", err)
	}
	roots, err := daemon.Roots(entry.CA)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	callback := c.Platform.URL(c.Platform.IdentityHost) + signin.PathFederatedCallback
	return &cloud{signers, signin.NewFederation(entry, signers, c.ExtAuthz.Connect.Client(roots), callback, time.Now)}, nil
}

// keyFolders are ours, those of the clients that we are, and those that we share with the sidecars.
func (o *outside) keyFolders() []string {
	now := o.state.Load()
	folders := now.config.ExtAuthz.Keys.folders()
	for _, s := range now.config.Platform.Services {
		if s.Egress != nil {
			folders = append(folders, string(s.Egress.TokenKey))
		}
	}
	for _, entry := range now.config.Clouds {
		if entry.Federates() {
			folders = append(folders, string(entry.Client.Key))
		}
	}
	return folders
}

// reloadKeys reads the folders again. On any fault the last good keys of a folder stay.
func (o *outside) reloadKeys() error {
	faults := []error{o.sealers.Reload(), o.sessions.Reload()}
	now := o.state.Load()
	for _, known := range now.clouds {
		faults = append(faults, known.signers.Reload())
	}
	for _, shared := range now.tokens {
		faults = append(faults, shared.Reload())
	}
	return errors.Join(faults...)
}

// reloadFile reads the file again. What a running process cannot change keeps it from being taken at all: half a change is none.
func (o *outside) reloadFile() error {
	fresh, err := loadConfig(o.process.File)
	if err != nil {
		return err
	}
	if fresh.Isolated() {
		return otherSide(o.process.File)
	}
	was := o.state.Load().config
	for what, same := range map[string]bool{
		"platform.identity_host": was.Platform.IdentityHost == fresh.Platform.IdentityHost,
		"platform.port":          was.Platform.Port == fresh.Platform.Port,
		"platform.sockets":       was.Platform.Sockets == fresh.Platform.Sockets,
		"extauthz.admin":         was.ExtAuthz.Admin == fresh.ExtAuthz.Admin,
		"extauthz.keys":          was.ExtAuthz.Keys == fresh.ExtAuthz.Keys,
	} {
		if !same {
			return fmt.Errorf("%s: %s has changed: restart extauthz, xds and the Envoys for that", o.process.File, what)
		}
	}
	return o.apply(fresh)
}
