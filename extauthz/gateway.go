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

// warnOfEntries names what the policies list in vain: entries that open or expose nothing, and callers whose calls no client's tokens can come with.
// Without a gateway nothing is exposed anyway.
func (l *live) warnOfEntries(bundle *policies.Bundle) {
	for _, a := range bundle.AnonymousEndpoints() {
		l.warnOfIdle("an anonymous entry opens nothing", "entry", a.ID, a.Product, a.Expires)
	}
	if l.state.Load().config.Cloud.Gateway == nil {
		return
	}
	told := map[string]bool{} // a caller may stand in thousands of entries
	for _, e := range bundle.Endpoints() {
		if l.warnOfIdle("an endpoint exposes nothing", "endpoint", e.ID, e.Product, e.Expires) {
			continue
		}
		for _, caller := range e.Callers {
			if !told[caller] {
				told[caller] = true
				l.warnOfStranger(caller, e.ID)
			}
		}
	}
}

// warnOfStranger logs a caller that no client of the file admits.
func (l *live) warnOfStranger(caller, endpoint string) {
	if !slices.ContainsFunc(l.state.Load().config.Cloud.Clients, func(c topology.Client) bool { return c.Admits(caller) }) {
		l.process.Log.Warn("an endpoint names a caller that the file does not have", "endpoint", endpoint, "caller", caller)
	}
}

// warnOfIdle tells whether an entry has no effect, and logs why: the file does not have its product, or its last day is over.
func (l *live) warnOfIdle(what, kind, id, product string, end time.Time) bool {
	switch {
	case !slices.ContainsFunc(l.state.Load().config.Cloud.Products, func(p topology.Product) bool { return p.ID == product }):
		l.process.Log.Warn(what+": the file has no such product", kind, id, "product", product)
	case !end.IsZero() && !time.Now().Before(end):
		l.process.Log.Warn(what+": it has expired", kind, id, "expires", end.AddDate(0, 0, -1).Format(time.DateOnly))
	default:
		return false
	}
	return true
}
