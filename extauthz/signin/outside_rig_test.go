package signin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/topology"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

const (
	identityHost = "id.commercial.test"
	supportHost  = "support.commercial.test"
	academyHost  = "academy.commercial.test"
	closedHost   = "closed.commercial.test"
	atIdentity   = "https://" + identityHost
	atSupport    = "https://" + supportHost
)

// outside is the door of the commercial side, with two isolated clouds, acme and zeta, that sign in acme.example and zeta.example. Its time
// stands still until a test moves it.
type outside struct {
	*Identity
	Grants   *fakeGrants // which the door has too
	t        *testing.T
	clouds   map[string]*cloud
	registry *prometheus.Registry
	clock    *clock
	log      *safeBuffer
}

// safeBuffer is a log that tests may read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// fakeGrants are asked for each time, as if nothing were remembered but what ended here.
type fakeGrants struct {
	clouds func() Federations

	mu    sync.Mutex
	ended map[string]bool
	every []time.Duration // of each ask
	knows error           // instead of asking
}

func (g *fakeGrants) End(o session.Outside) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended[o.Cloud+" "+o.Grant] = true
}

func (g *fakeGrants) Ended(cloud, grant string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended[cloud+" "+grant]
}

func (g *fakeGrants) asked(every time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.every = append(g.every, every)
	return g.knows
}

func (g *fakeGrants) Living(ctx context.Context, o session.Outside, every time.Duration) (session.Outside, error) {
	if err := g.asked(every); err != nil || g.Ended(o.Cloud, o.Grant) {
		return session.Outside{}, session.ErrNone
	}
	expiry, err := g.clouds().Check(ctx, o)
	switch {
	case errors.Is(err, session.ErrNone):
		return session.Outside{}, session.ErrNone
	case err != nil:
		return o, nil
	}
	o.Checked = g.clouds().byID[o.Cloud].now().Truncate(time.Second)
	return o.Until(expiry), nil
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	dir := t.TempDir()
	r := &outside{t: t, clouds: map[string]*cloud{}, clock: &clock{}, log: &safeBuffer{}, registry: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	r.Grants = &fakeGrants{ended: map[string]bool{}, clouds: func() Federations { return r.Clouds }}
	r.clock.nanos.Store(time.Now().UnixNano())
	signers, err := keys.OpenSigners(filepath.Join(dir, "client"), r.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	sealers := map[string]*keys.Sealers{}
	for _, name := range []string{"sealing", "federated"} {
		if sealers[name], err = keys.OpenSealers(filepath.Join(dir, name), r.clock.now); err != nil {
			t.Fatal(err)
		}
	}
	var federations []*Federation
	for _, name := range []string{"acme", "zeta"} {
		c := newCloud(t, name+"-0123456789abcdef", name, signers, r.clock.now)
		r.clouds[name] = c
		federations = append(federations, NewFederation(c.entry, signers, c.Client(), atIdentity+PathFederatedCallback, r.clock.now))
	}
	platform := topology.Platform{
		IdentityHost: identityHost,
		Services: []topology.Service{
			{ID: "closed", Host: closedHost, Federation: topology.FederationNone},
			{ID: "support", Host: supportHost, Federation: topology.FederationAllowed}, {ID: "academy", Host: academyHost, Federation: topology.FederationAllowed},
		},
		SignIn:    []topology.Option{{Name: "Password", Address: "https://login.example/password"}, {Name: "Passkey", Address: "https://login.example/passkey"}},
		Listeners: topology.PlatformListeners{Commercial: "127.0.0.1:1"},
	}
	r.Identity = &Identity{
		Flows: Flows{Site: OfPlatform(platform), Seal: sealers["sealing"], Now: r.clock.now}, Platform: platform,
		Sealed: session.Sealed{Keys: sealers["federated"], Now: r.clock.now}, Clouds: NewFederations(federations), Within: time.Minute,
		Grants: r.Grants, Log: log, Faults: NewCloudLog(log, r.clock.now), SignIns: FederatedMetrics(r.registry),
	}
	return r
}

func (r *outside) federation(name string) *Federation { return r.Clouds.byID[r.clouds[name].entry.ID] }

// count is how many sign-ins had a result.
func (r *outside) count(result string) int {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "isogate_federated_signins_total" {
		r.t.Fatalf("%d metrics, %v", len(families), err)
	}
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == result {
			return int(m.GetCounter().GetValue())
		}
	}
	r.t.Fatalf("no result %q", result)
	return 0
}

// person is a browser.
type person struct {
	*outside
	jar jar
}

func (r *outside) person() person { return person{r, jar{}} }

func (p person) copied() person { return person{p.outside, p.jar.clone()} }

func (p person) get(address string) response {
	return p.jar.send(context.Background(), p.Handler(), http.MethodGet, address, nil)
}

func (p person) post(address string, form url.Values) response {
	return p.jar.send(context.Background(), p.Handler(), http.MethodPost, address, form)
}

// visit is a navigation to a service by somebody without a session, as the check answers it: it gives the address of the sign-in.
func (p person) visit(host, path, query string) string {
	p.t.Helper()
	location, cookie, err := p.Begin(host, path, query)
	if err != nil {
		p.t.Fatal(err)
	}
	p.jar.keep(host, []*http.Cookie{{Name: cookie.Name, Value: cookie.Secret}})
	return location
}

// buttons are the forms of a page, by the path that they post to: what each sends beside its buttons.
func buttons(r response) map[string]url.Values {
	forms := map[string]url.Values{}
	for _, form := range regexp.MustCompile(`(?s)<form class="action" method="post" action="([^"]*)">(.*?)</form>`).FindAllStringSubmatch(r.body, -1) {
		fields := url.Values{}
		for _, input := range regexp.MustCompile(`<input name="([^"]*)" type="hidden" value="([^"]*)">`).FindAllStringSubmatch(form[2], -1) {
			fields.Set(input[1], input[2])
		}
		forms[form[1]] = fields
	}
	return forms
}

// types types an address into a page that asks for one.
func (p person) types(at response, email string) response {
	p.t.Helper()
	form, ok := buttons(at)[PathSignIn]
	if !ok {
		p.t.Fatalf("no page that asks for an address: %d %s", at.status, at.reason())
	}
	form.Set("email", email)
	return p.post(atIdentity+PathSignIn, form)
}

// begins goes as far as an isolated cloud, whose address it gives.
func (p person) begins(host, path, query, email string) *url.URL {
	p.t.Helper()
	ways := p.types(p.get(p.visit(host, path, query)), email)
	form, ok := buttons(ways)[PathFederatedStart]
	if !ok {
		p.t.Fatalf("no button of an isolated cloud: %d %s", ways.status, ways.reason())
	}
	return p.post(atIdentity+PathFederatedStart, form).led(p.t)
}

func callbackOf(answer url.Values) string {
	return atIdentity + PathFederatedCallback + "?" + answer.Encode()
}

// signsIn signs sub in for a service, as far as that service.
func (p person) signsIn(host, sub string) response {
	p.t.Helper()
	at := p.begins(host, "/x", "a=b", "kim@acme.example")
	return p.get(p.get(callbackOf(p.clouds["acme"].authorize(at, sub))).led(p.t).String())
}

// at is the session of this browser at a host; the zero value says that there is none.
func (p person) at(host string) session.Outside {
	p.t.Helper()
	o, err := p.Sealed.Open(host, p.jar[host][session.OutsideCookie])
	if err != nil {
		return session.Outside{}
	}
	return o
}

// record is the door's answer to a request as it is.
func record(r *outside, request *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, request)
	return w
}
