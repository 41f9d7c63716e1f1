package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
)

// sidecar is a running extauthz beside the egress Envoy of one service. Of all keys of the commercial side it reads that service's token_key
// alone: it can open no session, sign nobody in, and open nothing that another service carries.
type sidecar struct {
	process *daemon.Process
	id      string // of the service
	state   atomic.Pointer[sidecarState]
}

// sidecarState is immutable.
type sidecarState struct {
	config  *config
	service topology.Service
	tokens  *keys.Sealers
	decider *profile.Egress
}

// runEgress is the main function of a sidecar, given what follows the word egress.
func runEgress(args []string, faults io.Writer) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(faults, "usage: extauthz egress SERVICE -config FILE [-check]\n\nrun beside the sidecar of a service of the commercial file")
		return 2
	}
	id := args[0]
	load := func(file string) (*config, error) {
		c, err := loadConfig(file)
		if err != nil {
			return nil, err
		}
		_, err = calling(file, c, id)
		return c, err
	}
	start := func(_ context.Context, p *daemon.Process, c *config) ([]daemon.Unit, error) {
		return startSidecar(p, c, id)
	}
	return daemon.Main("extauthz", args[1:], load, start)
}

// calling finds the service that has this sidecar.
func calling(file string, c *config, id string) (topology.Service, error) {
	if c.Isolated() {
		return topology.Service{}, fmt.Errorf("%s: is the file of an isolated cloud: sidecars are of the commercial side", file)
	}
	s, known := c.Platform.Service(id)
	switch {
	case !known:
		return s, fmt.Errorf("%s: platform.services: there is no service %q", file, id)
	case s.Egress == nil:
		return s, fmt.Errorf("%s: platform.services: %s has no egress, so there is no sidecar to run", file, id)
	}
	return s, nil
}

// startSidecar builds the units of a sidecar.
func startSidecar(p *daemon.Process, c *config, id string) ([]daemon.Unit, error) {
	live := &sidecar{process: p, id: id}
	live.state.Store(&sidecarState{config: c})
	watch := daemon.Watch(p.Log, p.Admin, // looks at the files before they are read, so that no change is missed
		daemon.Reload{What: "config", Files: func() []string { return []string{p.File} }, Do: live.reloadFile},
		daemon.Reload{What: "keys", Files: live.keyFolders, Do: live.reloadKeys})
	if err := live.apply(c); err != nil {
		return nil, err
	}
	checks, err := checkUnit(p, "egress", c.Platform.CheckSocket(string(topology.EgressRole(id))), live)
	if err != nil {
		return nil, err
	}
	admin, err := p.Admin.Unit(live.state.Load().service.Egress.Admin)
	if err != nil {
		return nil, err
	}
	p.Admin.Note("service", id)
	return []daemon.Unit{admin, watch, checks}, nil
}

// Decide answers a check with the state of the moment.
func (s *sidecar) Decide(ctx context.Context, r check.Request) check.Verdict {
	return s.state.Load().decider.Decide(ctx, r)
}

// apply makes the state that a file describes the one that answers. It keeps the keys of the same folder.
func (s *sidecar) apply(c *config) error {
	service, err := calling(s.process.File, c, s.id)
	if err != nil {
		return err
	}
	was := s.state.Load()
	tokens := was.tokens
	if tokens == nil || was.service.Egress.TokenKey != service.Egress.TokenKey {
		if tokens, err = keys.OpenSealers(string(service.Egress.TokenKey), time.Now); err != nil {
			return fmt.Errorf("egress.token_key of %s: %w", s.id, err)
		}
	}
	carrier := session.Carrier{Service: s.id, Keys: tokens, Now: time.Now}
	s.state.Store(&sidecarState{config: c, service: service, tokens: tokens, decider: profile.NewEgress(service, c.Clouds, carrier)})
	return nil
}

// keyFolders is the one folder that is shared with the extauthz of the identity host. Before the first state it is the file's.
func (s *sidecar) keyFolders() []string {
	service, _ := s.state.Load().config.Platform.Service(s.id)
	return []string{string(service.Egress.TokenKey)}
}

// reloadKeys reads the folder again. On any fault the last good keys stay.
func (s *sidecar) reloadKeys() error { return s.state.Load().tokens.Reload() }

// reloadFile reads the file again. What a running process cannot change keeps it from being taken at all.
func (s *sidecar) reloadFile() error {
	fresh, err := loadConfig(s.process.File)
	if err != nil {
		return err
	}
	service, err := calling(s.process.File, fresh, s.id)
	if err != nil {
		return err
	}
	was := s.state.Load()
	for what, same := range map[string]bool{
		"platform.sockets":        was.config.Platform.Sockets == fresh.Platform.Sockets,
		"egress.admin of " + s.id: was.service.Egress.Admin == service.Egress.Admin,
	} {
		if !same {
			return fmt.Errorf("%s: %s has changed: restart this sidecar's extauthz for that", s.process.File, what)
		}
	}
	return s.apply(fresh)
}
