package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/topology"
	"isogate/policies"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// control is what a reload changes.
type control struct {
	file    string
	now     func() time.Time
	log     *slog.Logger
	servers map[topology.Role]*push.Server
	remote  *push.Remote // nil without xds.remote
	expiry  *prometheus.GaugeVec

	mu     sync.Mutex // files, policies and the clock change things, each in its own time
	config *Config
	files  material         // as they were read last
	bundle *policies.Bundle // the last good one; while it is nil the gateway gets nothing
	ends   time.Time        // when the next of its endpoints does; zero: none
	lists  snapshot.Lists
}

func newExpiry(registry prometheus.Registerer) *prometheus.GaugeVec {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "isogate_certificate_expiry_timestamp_seconds", Help: "When a TLS certificate ends, in seconds since 1970.",
	}, []string{"certificate"})
	registry.MustRegister(gauge)
	return gauge
}

func (c *control) configFiles() []string { return []string{c.file} }

func (c *control) certificateFiles() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config.certificateFiles()
}

// reloadConfig takes the file as it is now. On any error the last good one stays in force, whole.
func (c *control) reloadConfig() error {
	next, err := load(c.file)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.config.restartFor(next); err != nil {
		return err
	}
	return c.apply(next)
}

// restartFor names what a running process cannot change: what it is bound to.
func (c *Config) restartFor(next *Config) error {
	switch {
	case c.Isolated() != next.Isolated():
		return errors.New("the file is now for the other side: restart xds to serve it")
	case !slices.Equal(c.roles(), next.roles()):
		return fmt.Errorf("the file is now for the roles %v: restart xds to serve them", next.roles())
	case c.socket(c.roles()[0]) != next.socket(c.roles()[0]):
		return errors.New("sockets has changed: restart extauthz, xds and the Envoys for that")
	case c.Platform != nil && (c.Platform.IdentityHost != next.Platform.IdentityHost || c.Platform.Port != next.Platform.Port):
		return errors.New("platform.identity_host or platform.port has changed: restart extauthz, xds and the Envoys for that")
	case c.Cloud != nil && (c.Cloud.Domain != next.Cloud.Domain || c.Cloud.Port != next.Cloud.Port):
		return errors.New("cloud.domain or cloud.port has changed: restart extauthz, xds and the Envoys for that")
	case c.XDS.Policies != next.XDS.Policies:
		return errors.New("xds.policies has changed: restart xds to watch that folder")
	case c.XDS.Admin != next.XDS.Admin:
		return errors.New("xds.admin has changed: restart xds to listen there")
	case c.XDS.listen() != next.XDS.listen():
		return errors.New("xds.remote.listen has changed: restart xds to listen there")
	}
	return nil
}

// rebuild takes the certificates as they are now.
func (c *control) rebuild() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apply(c.config)
}

// apply reads everything before it changes anything. The caller holds the lock.
func (c *control) apply(config *Config) error {
	now := c.now()
	resources, files, err := build(config, now, c.bundle.EndpointsAt(now), &c.lists)
	if err != nil {
		return err
	}
	var access push.Access
	if c.remote != nil {
		if access, err = config.XDS.Remote.access(now); err != nil {
			return err
		}
	}
	for _, role := range slices.Backward(config.roles()) { // the edge leads to a host once that is served
		if role == topology.Gateway && c.bundle == nil {
			continue // a gateway that runs keeps the routes that it has, rather than lose them all until the policies are read
		}
		if err := c.servers[role].Set(resources[role]); err != nil {
			return err
		}
	}
	if c.remote != nil {
		c.remote.Allow(access)
	}
	c.config, c.files, c.ends = config, files, c.bundle.NextEnd(now)
	c.expiry.Reset()
	for file, leaf := range files.leaves() {
		c.expiry.WithLabelValues(file).Set(float64(leaf.NotAfter.Unix()))
	}
	if c.remote != nil {
		c.expiry.WithLabelValues(string(config.XDS.Remote.Certificate)).Set(float64(access.Certificate.Leaf.NotAfter.Unix()))
	}
	return nil
}

// build reads the files that a configuration names and makes the resources of the side's roles.
func build(config *Config, now time.Time, exposed []policies.Endpoint, lists *snapshot.Lists) (map[topology.Role]snapshot.Resources, material, error) {
	files, err := config.read(now)
	if err != nil {
		return nil, material{}, err
	}
	all := map[topology.Role]snapshot.Resources{}
	for _, role := range config.roles() {
		if all[role], err = config.resources(role, files, exposed, lists); err != nil {
			return nil, material{}, err
		}
	}
	return all, files, nil
}

func (c *Config) resources(role topology.Role, files material, exposed []policies.Endpoint, lists *snapshot.Lists) (snapshot.Resources, error) {
	certificates := contents(files.of(role, c))
	switch role {
	case topology.Ingress:
		return snapshot.Ingress(*c.Cloud, certificates)
	case topology.Gateway:
		return lists.Gateway(*c.Cloud, exposed, certificates, files.callers)
	case topology.Commercial:
		return snapshot.Commercial(*c.Platform, certificates)
	case topology.Edge:
		return snapshot.Edge(*c.Platform, c.Clouds)
	}
	for _, s := range c.sidecars() {
		if role == topology.EgressRole(s.ID) {
			return snapshot.Egress(*c.Platform, s, c.Clouds, certificates[0], files.authorities)
		}
	}
	return snapshot.Resources{}, fmt.Errorf("xds: this side has no role %s", role)
}
