package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/policies"
)

// policyUnits watch the policies and the clock, where there is a gateway. The other roles do not wait for them.
func (c *control) policyUnits(admin *daemon.Admin) []daemon.Unit {
	if c.config.XDS.Policies == "" {
		return nil
	}
	admin.Ready("policies", errors.New("not loaded yet"))
	folder := string(c.config.XDS.Policies)
	return []daemon.Unit{
		{Name: "policies", Run: func(ctx context.Context) error {
			policies.Watch(ctx, folder, func(bundle *policies.Bundle, err error) { c.policiesChanged(admin, bundle, err) })
			return nil
		}},
		{Name: "endpoints' ends", Run: c.watchEnds},
	}
}

// policiesChanged keeps the last good bundle in force. Until there is one, the gateway gets no configuration: one that starts opens no port, and one
// that runs keeps what it has. Whatever its routes are, the check holds each call against policies of its own.
func (c *control) policiesChanged(admin *daemon.Admin, bundle *policies.Bundle, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = bundle.ForGateway()
	}
	if err == nil {
		err = c.expose(bundle)
	}
	if err != nil && c.bundle == nil {
		err = fmt.Errorf("none was good yet, so the gateway keeps what it has: %w", err)
	}
	admin.Reloaded(c.log, "policies", err)
	if err != nil {
		return
	}
	admin.Ready("policies", nil)
	admin.Note("policies", bundle.Digest())
}

// expose makes a bundle's endpoints of this moment the gateway's routes. The caller holds the lock.
func (c *control) expose(bundle *policies.Bundle) error {
	now := c.now()
	resources, err := c.config.resources(topology.Gateway, c.files, bundle.EndpointsAt(now), &c.lists)
	if err != nil {
		return err
	}
	if err := c.servers[topology.Gateway].Set(resources); err != nil {
		return err
	}
	c.bundle, c.ends = bundle, bundle.NextEnd(now)
	return nil
}

// watchEnds takes routes away when their endpoints end. It looks at the clock rather than waiting for a time: clocks are set, and machines sleep. The
// check knows the end too, so a second is not too late.
func (c *control) watchEnds(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.endpointsEnd()
		}
	}
}

func (c *control) endpointsEnd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends.IsZero() || c.now().Before(c.ends) {
		return
	}
	if err := c.expose(c.bundle); err != nil {
		c.log.Error("endpoints have ended and their routes stay: the check refuses them", "error", err.Error())
		return
	}
	c.log.Info("endpoints have ended")
}
