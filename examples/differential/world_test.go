package differential

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
	"isogate/policies"
	"isogate/xds/snapshot"
)

const domain = "acme.example"

// products by id; only the first may upgrade.
var products = []string{"issues", "wiki"}

func hostOf(product string) string { return product + "." + domain }

// policy denies a place below which nothing may ever be had, and says so too when it was shown another request than the check (see witness).
const policy = `package isogate.ingress

anonymous["health"] := {"product": "issues", "method": "GET", "path": "/open/health"}

anonymous["page"] := {"product": "wiki", "method": "GET", "path": "/open/a.b~c"}

forbidden contains "denied" if startswith(input.path, "/denied")

forbidden contains "another-request" if input.address != concat(" ", ["fe80::1%", input.product, input.method, input.path])

decision := {"allow": true, "reason": "signed-in"} if count(forbidden) == 0

decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0
`

// listed is what the policy opens to everybody.
var listed = map[string]string{"issues": "/open/health", "wiki": "/open/a.b~c"}

// denied is the prefix that the policy denies.
const denied = "/denied"

// world is a real ingress with the real check behind it, between raw clients and raw products.
type world struct {
	*lab
	cloud   topology.Cloud
	roots   *x509.CertPool
	handles map[string]session.Handle // of one living session, by host
	tokens  map[string]error          // verified ones, by product and token
	signers *keys.Signers
}

func start() (*world, error) {
	l, err := newLab()
	if err != nil {
		return nil, err
	}
	w := &world{lab: l, handles: map[string]session.Handle{}, tokens: map[string]error{}}
	w.connect = w.dial
	for _, step := range []func() error{w.startBackends, w.startCheck, w.startIngress} {
		if err := step(); err != nil {
			w.stop()
			return nil, err
		}
	}
	return w, nil
}

func (w *world) startBackends() error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	w.cloud = topology.Cloud{
		ID: "0123456789abcdef", Domain: domain, Sockets: daemon.Path(w.dir), Listeners: topology.CloudListeners{Ingress: address},
	}
	for _, id := range products {
		upstream, err := w.startBackend(id)
		if err != nil {
			return err
		}
		w.cloud.Products = append(w.cloud.Products, topology.Product{ID: id, Upstream: upstream, WebSockets: id == "issues"})
	}
	door, err := daemon.ListenUnix(w.cloud.DoorSocket())
	if err != nil {
		return err
	}
	w.background(w.backend(doorName, door))
	return nil
}

// startCheck serves the real check of the ingress profile, with a recorder before it.
func (w *world) startCheck() error {
	inner, err := w.profile()
	if err != nil {
		return err
	}
	listener, err := daemon.ListenUnix(w.cloud.CheckSocket("ingress"))
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	server := check.NewServer("ingress", recorder{inner, &w.book}, log, check.Metrics(prometheus.NewRegistry()))
	w.background(daemon.GRPC("check", listener, server.GRPC()))
	return nil
}

// profile builds the ingress's rules and opens one session, with a handle for each product.
func (w *world) profile() (check.Decider, error) {
	store, err := kv.OpenBolt(w.path("store.db"), time.Now)
	if err != nil {
		return nil, err
	}
	w.ends = append(w.ends, func() { store.Close() })
	sealers, err := keys.OpenSealers(w.path("sealing"), time.Now)
	if err != nil {
		return nil, err
	}
	if w.signers, err = keys.OpenSigners(w.path("uct"), time.Now); err != nil {
		return nil, err
	}
	rules := w.path("policies")
	err = errors.Join(os.Mkdir(rules, 0o700), os.WriteFile(filepath.Join(rules, "ingress.rego"), []byte(policy), 0o600))
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	bundle, err := policies.Load(ctx, rules)
	if err != nil {
		return nil, err
	}
	limits := session.Limits{Idle: time.Hour, Absolute: 24 * time.Hour}
	sessions := session.NewStored(store, time.Now)
	opened, err := sessions.Open(ctx, session.Identity{User: "u", Provider: "corp", Email: "alice@acme.example", AuthTime: time.Now()}, limits)
	if err != nil {
		return nil, err
	}
	for _, id := range products {
		if w.handles[hostOf(id)], err = sessions.Handle(ctx, opened, hostOf(id), limits); err != nil {
			return nil, err
		}
	}
	flows := signin.Flows{Site: signin.OfCloud(w.cloud), Seal: sealers, Now: time.Now}
	minter := usercontext.NewMinter(w.signers, time.Now)
	return profile.NewIngress(w.cloud, flows, sessions, session.Policies{Believed: map[string][]string{"corp": {"acme.example"}}, Default: limits}, minter, func() *policies.Bundle { return bundle }), nil
}

func (w *world) startIngress() error {
	certificate, roots, err := w.certificate()
	if err != nil {
		return err
	}
	w.roots = roots
	resources, err := snapshot.Ingress(w.cloud, []snapshot.Certificate{certificate})
	if err != nil {
		return err
	}
	return w.startEnvoy(topology.Ingress, w.cloud.XDSSocket(topology.Ingress), resources)
}
