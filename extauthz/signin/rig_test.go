package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/session"
)

const (
	authHost    = "auth.acme.test"
	productHost = "issues.acme.test"
	atAuth      = "https://" + authHost
	plainURI    = atAuth + PathCallback
)

// ownURI is the redirect URI of one provider of several.
func ownURI(id string) string { return plainURI + "?provider=" + id }

// rig is a real door over a real store, with fake providers behind it. Its time stands still until a test moves it.
type rig struct {
	*Door
	t     *testing.T
	idps  map[string]*idp
	bolt  *kv.Bolt
	file  string // of the store
	clock *clock
}

type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// newRig has one provider for each id, believed for the domain id.example.
func newRig(t *testing.T, ids ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, idps: map[string]*idp{}, file: filepath.Join(dir, "db"), clock: &clock{}}
	r.clock.nanos.Store(time.Now().UnixNano())
	seal, err := keys.OpenSealers(filepath.Join(dir, "seal"), r.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	if r.bolt, err = kv.OpenBolt(r.file, r.clock.now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.bolt.Close() })
	hour := session.Limits{Idle: time.Hour, Absolute: time.Hour}
	r.Door = &Door{
		Flows: Flows{
			Site: OfCloud(topology.Cloud{
				ID: "acme-0123456789abcdef", Domain: "acme.test", Products: []topology.Product{{ID: "issues"}}, Clients: []topology.Client{{ID: "commercial"}},
			}),
			Seal: seal, Now: r.clock.now,
		},
		Sessions: session.NewStored(r.bolt, r.clock.now), Tickets: r.bolt,
		Policies: session.Policies{Default: hour, Believed: map[string][]string{}},
		Fits:     func(session.Session) error { return nil }, JWKS: func() []byte { return []byte(`{"keys":[]}`) },
		Log: slog.New(slog.DiscardHandler), SignIns: Metrics(prometheus.NewRegistry()),
	}
	for _, id := range ids {
		r.add(id, len(ids) > 1)
	}
	return r
}

func (r *rig) add(id string, several bool) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(clientSecret), 0o600); err != nil {
		r.t.Fatal(err)
	}
	secret, err := daemon.ReadSecret(daemon.Path(file))
	if err != nil {
		r.t.Fatal(err)
	}
	f := newIDP(r.t, id, r.clock.now)
	config := ProviderConfig{
		ID: id, Issuer: f.URL, ClientID: clientID, Secret: secret, Several: several,
		Domains: []string{id + ".example", "shared.example"}, Scopes: []string{"openid"}, Groups: "groups",
	}
	r.idps[id] = f
	r.Policies.Believed[id] = config.Domains
	r.Providers = append(r.Providers, NewProvider(config, f.Client(), []byte("0123456789abcdef0123456789abcdef"), r.clock.now))
}

// browser is one in front of a door.
type browser struct {
	*rig
	jar jar
}

func (r *rig) browser() browser { return browser{r, jar{}} }

// copied is a browser with the same cookies of this moment, which goes its own way.
func (b browser) copied() browser {
	return browser{b.rig, b.jar.clone()}
}

func (b browser) get(address string) response {
	b.t.Helper()
	return b.do(b.t.Context(), http.MethodGet, address, nil)
}

func (b browser) post(address string, form url.Values) response {
	b.t.Helper()
	return b.do(b.t.Context(), http.MethodPost, address, form)
}

func (b browser) do(ctx context.Context, method, address string, form url.Values) response {
	return b.jar.send(ctx, b.Handler("/jwks"), method, address, form)
}

// begin is led to a provider, and gives the address there.
func (b browser) begin(id string) *url.URL {
	b.t.Helper()
	return b.led(b.get(atAuth + PathSignIn + "?provider=" + id))
}

// led is the address that a response leads to, by a redirect or by a page that leads on.
func (b browser) led(r response) *url.URL {
	b.t.Helper()
	return r.led(b.t)
}

// answered is the address of the provider's answer to a sign-in that began.
func (b browser) answered(id string, at *url.URL, sub string) string {
	b.t.Helper()
	answer, err := b.idps[id].authorize(at, sub)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

// signIn signs sub in at a provider, as far as our callback.
func (b browser) signIn(id, sub string) response {
	b.t.Helper()
	return b.get(b.answered(id, b.begin(id), sub))
}

// session is the session of this browser at a host; the zero value says that there is none.
func (b browser) session(host string) session.Session {
	b.t.Helper()
	living, err := b.Sessions.Living(b.t.Context(), host, session.Handle(b.jar[host][session.SessionCookie]), b.Policies)
	if err != nil && !errors.Is(err, session.ErrNone) {
		b.t.Fatal(err)
	}
	return living
}

// who is the address of the person who is signed in, or "".
func (b browser) who() string {
	b.t.Helper()
	return b.session(authHost).Email
}
