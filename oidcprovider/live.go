package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/grant"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/code"
	"isogate/oidcprovider/provider"
)

// live is what a running oidcprovider answers with: the state that the file of the moment describes, behind one pointer that each request
// reads once, and beside it what outlives a change of the file.
type live struct {
	process  *daemon.Process
	codes    *code.Store
	signers  *keys.Signers
	sealers  *keys.Sealers
	pairwise []byte       // read once: another one would make strangers of everybody
	people   *keys.Remote // the keys of the User Context Tokens, which extauthz publishes
	grants   *grant.Client
	requests *prometheus.CounterVec

	state atomic.Pointer[state]
}

// state is immutable.
type state struct {
	config   *config
	provider *provider.Provider
	remotes  map[string]*keys.Remote // of the clients that publish their keys, by address
}

// newLive has a state that names files and answers nothing: the first one that does is made by open.
func newLive(p *daemon.Process, c *config) *live {
	l := &live{process: p}
	l.state.Store(&state{config: c})
	return l
}

// open reads the keys and makes the first state that answers. It asks nobody: extauthz may start later.
func (l *live) open(c *config, store *kv.Bolt) (err error) {
	l.codes, l.requests = code.New(store, time.Now), provider.Metrics(l.process.Admin.Metrics)
	if l.signers, err = keys.OpenSigners(string(c.OIDCProvider.Keys.Signing), time.Now); err != nil {
		return err
	}
	if l.sealers, err = keys.OpenSealers(string(c.OIDCProvider.Keys.Sealing), time.Now); err != nil {
		return err
	}
	if l.pairwise, err = daemon.ReadLastingKey("oidcprovider.keys.pairwise", c.OIDCProvider.Keys.Pairwise); err != nil {
		return err
	}
	l.people = keys.NewRemote("http://extauthz"+usercontext.JWKSPath, daemon.UnixClient(c.Cloud.DoorSocket()), time.Now)
	l.grants = grant.NewClient(c.Cloud.SessionSocket())
	l.process.Admin.Ready("people", errors.New("the keys of the User Context Tokens were not read yet: extauthz does not answer"))
	return l.apply(c)
}

// ServeHTTP answers with the state of the moment.
func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.state.Load().provider.ServeHTTP(w, r)
}

// awaitPeople makes the daemon ready when the first keys of the User Context Tokens were read: until then nobody can be recognised.
func (l *live) awaitPeople(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !l.people.Known() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	l.process.Admin.Ready("people", nil)
	<-ctx.Done()
	return nil
}

// apply makes the state that a file describes the one that answers.
func (l *live) apply(c *config) error {
	made := &state{config: c, remotes: map[string]*keys.Remote{}}
	clients, err := l.makeClients(made)
	if err != nil {
		return err
	}
	made.provider = &provider.Provider{
		Issuer: c.Cloud.Issuer(), CloudID: c.Cloud.ID, Audience: c.Cloud.Audience(), Clients: clients,
		Signer: l.signers, Seal: l.sealers, Pairwise: l.pairwise,
		People: usercontext.Verifier{Issuer: c.Cloud.Issuer(), Audience: topology.OAuthAudience, Keys: l.people, Now: time.Now},
		Grants: l.grants, Codes: l.codes, Now: time.Now, Log: l.process.Log, Requests: l.requests,
	}
	l.state.Store(made)
	return nil
}

// makeClients reads the clients' key files, and keeps what is known of the key set of each client that publishes it where it did. What was
// fetched through other roots or from another place is not kept.
func (l *live) makeClients(made *state) (map[string]*provider.Client, error) {
	s, was := made.config.OIDCProvider, l.state.Load()
	roots, err := daemon.Roots(s.CA)
	if err != nil {
		return nil, fmt.Errorf("oidcprovider.ca: %w", err)
	}
	dial := s.Connect.Client(roots)
	same := was.config.OIDCProvider.CA == s.CA && reflect.DeepEqual(was.config.OIDCProvider.Connect, s.Connect)
	clients := map[string]*provider.Client{}
	for i, entry := range made.config.Cloud.Clients {
		client := &provider.Client{ID: entry.ID, Name: entry.Name, RedirectURIs: entry.RedirectURIs, Sector: entry.SectorOf()}
		if entry.JWKS != "" {
			if client.Keys, err = readJWKS(entry.JWKS); err != nil {
				return nil, fmt.Errorf("cloud.clients[%d].jwks: the keys of client %s: %w", i, entry.ID, err)
			}
		} else {
			client.Keys = made.remote(entry.JWKSURI, func() *keys.Remote {
				if old := was.remotes[entry.JWKSURI]; old != nil && same {
					return old
				}
				return keys.NewRemote(entry.JWKSURI, dial, time.Now)
			})
		}
		clients[entry.ID] = client
	}
	return clients, nil
}

// remote is the key set at an address: one, however many clients publish there.
func (s *state) remote(address string, find func() *keys.Remote) *keys.Remote {
	if s.remotes[address] == nil {
		s.remotes[address] = find()
	}
	return s.remotes[address]
}

func readJWKS(file daemon.Path) (keys.Set, error) {
	raw, err := os.ReadFile(string(file))
	if err != nil {
		return keys.Set{}, err
	}
	set, err := keys.ParseJWKS(raw)
	if err != nil {
		return keys.Set{}, fmt.Errorf("%s: %w", file, err)
	}
	return set, nil
}

// clientFiles are the key files of the clients of the moment.
func (l *live) clientFiles() (files []string) {
	for _, client := range l.state.Load().config.Cloud.Clients {
		if client.JWKS != "" {
			files = append(files, string(client.JWKS))
		}
	}
	return files
}

// reloadFile reads the file again. What a running process cannot change keeps it from being taken at all: half a change is none.
func (l *live) reloadFile() error {
	fresh, err := loadConfig(l.process.File)
	if err != nil {
		return err
	}
	was := l.state.Load().config
	for what, same := range map[string]bool{
		"cloud.id":           was.Cloud.ID == fresh.Cloud.ID,
		"cloud.domain":       was.Cloud.Domain == fresh.Cloud.Domain,
		"cloud.port":         was.Cloud.Port == fresh.Cloud.Port,
		"cloud.sockets":      was.Cloud.Sockets == fresh.Cloud.Sockets,
		"oidcprovider.admin": was.OIDCProvider.Admin == fresh.OIDCProvider.Admin,
		"oidcprovider.store": was.OIDCProvider.Store == fresh.OIDCProvider.Store,
		"oidcprovider.keys":  was.OIDCProvider.Keys == fresh.OIDCProvider.Keys,
	} {
		if !same {
			return fmt.Errorf("%s: %s has changed: restart oidcprovider, and whatever else reads it, for that", l.process.File, what)
		}
	}
	return l.apply(fresh)
}

// reloadClients reads the clients' key files again. One that is faulty keeps all of the last good ones.
func (l *live) reloadClients() error { return l.apply(l.state.Load().config) }

// reloadKeys reads the folders of our own keys.
func (l *live) reloadKeys() error { return errors.Join(l.signers.Reload(), l.sealers.Reload()) }
