package main

import (
	"context"
	"slices"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/policies"
)

// crossings answers the checks of the gateway with the state of the moment. A file without a gateway is taken only by a restart.
type crossings struct{ *live }

func (c crossings) Decide(ctx context.Context, r check.Request) check.Verdict {
	return c.state.Load().gateway.Decide(ctx, r)
}

// checkUnits serve the check sockets of the isolated side: that of the ingress, and that of the gateway where the file has one.
func (l *live) checkUnits() ([]daemon.Unit, error) {
	cloud := l.state.Load().config.Cloud
	ingress, err := checkUnit(l.process, "ingress", cloud.CheckSocket("ingress"), l)
	if err != nil || cloud.Gateway == nil {
		return []daemon.Unit{ingress}, err
	}
	gateway, err := checkUnit(l.process, "gateway", cloud.CheckSocket("gateway"), crossings{l})
	gateway.Name = "checks gateway"
	return []daemon.Unit{ingress, gateway}, err
}

// warnOfEntries names what stands on the anonymous allowlist without opening anything.
func (l *live) warnOfEntries(bundle *policies.Bundle) {
	for _, a := range bundle.AnonymousEndpoints() {
		switch {
		case !l.hasProduct(a.Product):
			l.process.Log.Warn("an anonymous entry opens nothing: the file has no such product", "entry", a.ID, "product", a.Product)
		case !a.Expires.IsZero() && !time.Now().Before(a.Expires):
			l.process.Log.Warn("an anonymous entry opens nothing: it has expired", "entry", a.ID, "expired", a.Expires)
		}
	}
}

// warnOfEndpoints names the endpoints that expose nothing, where there is a gateway to expose them.
func (l *live) warnOfEndpoints(bundle *policies.Bundle) {
	if l.state.Load().config.Cloud.Gateway == nil {
		return
	}
	for _, e := range bundle.Endpoints() {
		switch {
		case !l.hasProduct(e.Product):
			l.process.Log.Warn("an endpoint exposes nothing: the file has no such product", "endpoint", e.ID)
		case !e.Expires.IsZero() && !time.Now().Before(e.Expires):
			l.process.Log.Warn("an endpoint exposes nothing: it has expired", "endpoint", e.ID)
		}
	}
}

func (l *live) hasProduct(id string) bool {
	return slices.ContainsFunc(l.state.Load().config.Cloud.Products, func(p topology.Product) bool { return p.ID == id })
}
