package differential

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
	"isogate/extauthz/usercontext"
	"isogate/policies"
	"isogate/xds/snapshot"
)

// border is a real gateway with the real check behind it, and before it the real sidecar of the service support with its own check. Clients speak to
// the gateway itself, with a caller's certificate, or to the sidecar.
type border struct {
	*lab
	authority    authority
	cloud        topology.Cloud
	platform     topology.Platform
	directory    topology.Directory
	certificates map[string]tls.Certificate // by caller
	bundle       *policies.Bundle

	key     dpop.Key // of the living session's access token
	token   string
	outside session.Outside // the same as the commercial side holds it
	carrier session.Carrier
	sealed  string // what a service carries, made anew before it ends
	made    time.Time

	uct     *keys.Signers
	tokens  map[string]error   // verified User Context Tokens, by product, caller and token
	refusal map[string]refusal // the first of each kind of answer for what is not exposed
}

const (
	support = "support"
	client0 = "commercial" // the OAuth client
)

func startBorder() (*border, error) {
	l, err := newLab()
	if err != nil {
		return nil, err
	}
	b := &border{lab: l, certificates: map[string]tls.Certificate{}, tokens: map[string]error{}, refusal: map[string]refusal{}}
	b.connect = b.dial
	for _, step := range []func() error{b.place, b.startGatewayCheck, b.startSidecarCheck, b.startGateway, b.startSidecar} {
		if err := step(); err != nil {
			b.stop()
			return nil, err
		}
	}
	return b, nil
}

// place says where everything stands.
func (b *border) place() (err error) {
	if b.authority, err = newAuthority(); err != nil {
		return err
	}
	gateway, err := freeAddress()
	if err != nil {
		return err
	}
	sidecar, err := freeAddress()
	if err != nil {
		return err
	}
	b.cloud = topology.Cloud{
		ID: "0123456789abcdef", Domain: domain, Sockets: daemon.Path(b.dir), Listeners: topology.CloudListeners{Gateway: gateway},
		Gateway: &topology.IsolationGateway{TrustDomain: "commercial.example", Rate: 100_000},
		Clients: []topology.Client{{ID: client0, Callers: []string{callers["support"], callers["market"]}}},
	}
	for _, id := range products {
		upstream, err := b.startBackend(id)
		if err != nil {
			return err
		}
		b.cloud.Products = append(b.cloud.Products, topology.Product{ID: id, Upstream: upstream})
	}
	b.platform = topology.Platform{Sockets: daemon.Path(b.dir), Services: []topology.Service{{
		ID: support, Host: "support.commercial.example", Federation: topology.FederationAllowed,
		Egress: &topology.Egress{SPIFFE: callers["support"], Listen: sidecar},
	}}}
	b.directory = topology.Directory{ID: b.cloud.ID, Domain: domain, Gateway: gateway}
	return nil
}

// startGatewayCheck opens a session and serves the real check of the gateway profile, with a recorder before it.
func (b *border) startGatewayCheck() error {
	store, err := kv.OpenBolt(b.path("store.db"), time.Now)
	if err != nil {
		return err
	}
	b.ends = append(b.ends, func() { store.Close() })
	oauth, err := keys.OpenSigners(b.path("oauth"), time.Now)
	if err != nil {
		return err
	}
	if b.uct, err = keys.OpenSigners(b.path("uct"), time.Now); err != nil {
		return err
	}
	rules := b.path("policies")
	err = errors.Join(os.Mkdir(rules, 0o700), os.WriteFile(filepath.Join(rules, "ingress.rego"), []byte(policy), 0o600),
		os.WriteFile(filepath.Join(rules, "gateway.rego"), []byte(crossingPolicy()), 0o600))
	if err != nil {
		return err
	}
	ctx := context.Background()
	if b.bundle, err = policies.Load(ctx, rules); err != nil {
		return err
	}
	marks, err := profile.OpenMarks(ctx, store, time.Now)
	if err != nil {
		return err
	}
	sessions := session.NewStored(store, time.Now)
	access := profile.Access{
		Issuer: b.cloud.URL(b.cloud.AuthHost()), Audience: b.cloud.Audience(), Keys: oauth, Tokens: profile.NewTokens(), Proofs: marks,
		Grants: witnesses{sessions}, Policies: sessionRules, Now: time.Now,
	}
	if err := b.signIn(ctx, sessions, oauth, access); err != nil {
		return err
	}
	gateway := profile.NewGateway(b.cloud, access, usercontext.NewMinter(b.uct, time.Now), func() *policies.Bundle { return b.bundle }, time.Now)
	return b.serveChecks("gateway", b.cloud.CheckSocket("gateway"), crossingRecorder{gateway, &b.book})
}

var sessionRules = session.Policies{
	Believed: map[string][]string{"corp": {"acme.example"}}, Managed: []string{"acme.example"}, Clients: []string{client0},
	Default: session.Limits{Idle: 12 * time.Hour, Absolute: 24 * time.Hour, Federated: 12 * time.Hour},
}

// signIn makes the access token of a living grant, as the OAuth server does.
func (b *border) signIn(ctx context.Context, sessions *session.Stored, oauth *keys.Signers, access profile.Access) error {
	opened, err := sessions.Open(ctx, session.Identity{User: "u", Provider: "corp", Email: "alice@acme.example", AuthTime: time.Now()}, sessionRules.Default)
	if err != nil {
		return err
	}
	grant, err := sessions.OpenGrant(ctx, opened.ID, client0, sessionRules)
	if err != nil {
		return err
	}
	if _, err = sessions.RedeemGrant(ctx, grant.ID, client0, sessionRules); err != nil {
		return err
	}
	if b.key, err = dpop.Generate(); err != nil {
		return err
	}
	now := time.Now().Truncate(time.Second)
	claims, err := json.Marshal(map[string]any{
		"iss": access.Issuer, "aud": access.Audience, "sub": "pairwise", "sid": grant.ID, "client_id": client0, "jti": "1",
		"iat": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(), "cnf": map[string]any{"jkt": b.key.Thumbprint()},
	})
	if err != nil {
		return err
	}
	b.token, err = oauth.Sign("at+jwt", claims)
	b.outside = session.Outside{
		Cloud: b.cloud.ID, Subject: "pairwise", Grant: grant.ID, Token: b.token, Key: b.key.Marshal(), Start: now, Ends: now.Add(12 * time.Hour), Checked: now,
	}
	return err
}

// startSidecarCheck serves the real check of the sidecar's profile.
func (b *border) startSidecarCheck() error {
	sealers, err := keys.OpenSealers(b.path("carried"), time.Now)
	if err != nil {
		return err
	}
	b.carrier = session.Carrier{Service: support, Keys: sealers, Now: time.Now}
	egress := profile.NewEgress(b.platform.Services[0], []topology.Directory{b.directory}, b.carrier)
	role := string(topology.EgressRole(support))
	return b.serveChecks("egress", b.platform.CheckSocket(role), signingRecorder{egress, &b.book})
}

func (b *border) serveChecks(name, socket string, decider check.Decider) error {
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		return err
	}
	server := check.NewServer(name, decider, slog.New(slog.NewTextHandler(io.Discard, nil)), check.Metrics(prometheus.NewRegistry()))
	b.background(daemon.GRPC("check "+name, listener, server.GRPC()))
	return nil
}

func (b *border) startGateway() error {
	for name, id := range callers {
		certificate, _, err := b.authority.issue(b.authority.caller(id), b.path(name+".key"))
		if err != nil {
			return err
		}
		b.certificates[name] = certificate
	}
	_, own, err := b.authority.issue(b.authority.server(b.cloud.GatewayHost()), b.path("gateway.key"))
	if err != nil {
		return err
	}
	resources, err := snapshot.Gateway(b.cloud, b.bundle.EndpointsAt(time.Now()), []snapshot.Certificate{own}, b.authority.pem)
	if err != nil {
		return err
	}
	return b.startEnvoy(topology.Gateway, b.cloud.XDSSocket(topology.Gateway), resources)
}

func (b *border) startSidecar() error {
	_, own, err := b.authority.issue(b.authority.caller(callers["support"]), b.path("sidecar.key"))
	if err != nil {
		return err
	}
	service := b.platform.Services[0]
	resources, err := snapshot.Egress(b.platform, service, []topology.Directory{b.directory}, own, map[string][]byte{b.cloud.ID: b.authority.pem})
	if err != nil {
		return err
	}
	role := topology.EgressRole(service.ID)
	return b.startEnvoy(role, b.platform.XDSSocket(role), resources)
}

// dial connects from an address of its own: to the gateway with the caller's certificate, or without one in clear text to the sidecar.
func (b *border) dial(r request) (client, error) {
	from := b.nextAddress(127, 18)
	dialer := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	to := b.cloud.Listeners.Gateway
	if r.caller == "" {
		to = b.platform.Services[0].Egress.Listen
	}
	raw, err := dialer.Dial("tcp", string(to))
	if err != nil {
		return nil, err
	}
	if r.caller == "" {
		return newClient(raw, r.h2, from)
	}
	roots := x509.NewCertPool()
	roots.AddCert(b.authority.leaf)
	return handshake(raw, &tls.Config{RootCAs: roots, ServerName: r.sni, Certificates: []tls.Certificate{b.certificates[r.caller]}}, r.h2, from)
}
