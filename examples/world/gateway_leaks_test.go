package world

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// found is what somebody may have got hold of: what a service was given for bob, what its sidecar makes of it, and every other secret value of his
// session and of another cloud's.
type found struct {
	support, market Call // as given
	inside          Call // the access token of the first, with no proof yet
	key             dpop.Key
	grace           Call // the same as inside, of the other cloud
	graceKey        dpop.Key
	uct, id, cookie string
	sealed          string // the cookie of the session at the service
	portal          string // an access token of a client whose tokens no caller may bring
	portalKey       dpop.Key
}

func finds(t *testing.T) (f found) {
	t.Helper()
	b, grace := member(t, "bob"), watched(t)
	must(t)(b.Open(at("market", "/")))
	federate(t, grace, shared.Globex, "grace", at("support", "/"))
	f.support, f.market = calls(t, b, "support").To("issues", "GET", openTarget), calls(t, b, "market").To("issues", "GET", openTarget)
	f.inside, f.key = inside(t, f.support)
	f.grace, f.graceKey = inside(t, calls(t, grace, "support").To("issues", "GET", openTarget))
	f.uct = strings.Join(echoOf(t, must(t)(b.Open(shared.URL("issues", "/whoami")))).Headers["x-user-context-token"], "")
	f.cookie = b.Cookies(shared.URL("issues", "/"))["__Host-isogate_session"]
	f.sealed = outsideOf(b, "support")
	f.id = platform(t).enter(b, "bob").IDToken
	p := partnerPortal(t)
	f.portal = p.enter(b, "bob").Token.AccessToken
	f.portalKey = p.bound.Transport.(*asserting).next.(*dpop.Transport).Key
	for what, value := range map[string]string{
		"UCT": f.uct, "ID token": f.id, "cookie inside": f.cookie, "cookie outside": f.sealed, "token of the portal": f.portal,
	} {
		if value == "" {
			t.Fatal("no " + what)
		}
	}
	return f
}

// inside is what a sidecar finds in what its service was given.
func inside(t *testing.T, given Call) (Call, dpop.Key) {
	t.Helper()
	carried, err := carrier(t, "support", time.Now).Open(given.Token)
	if err != nil {
		t.Fatal(err)
	}
	key, err := dpop.ParseKey(carried.Key)
	if err != nil {
		t.Fatal(err)
	}
	given.Token = carried.Token
	return given, key
}

// carrier seals and opens as one service's sidecar does.
func carrier(t *testing.T, service string, now func() time.Time) session.Carrier {
	t.Helper()
	sealers, err := keys.OpenSealers(shared.Platform.secret(tokenKey(service)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return session.Carrier{Service: service, Keys: sealers, Now: now}
}

// with is a call with another token and a proof for it by a key.
func (c Call) with(t *testing.T, token string, key dpop.Key) Call {
	t.Helper()
	c.Token = token
	return c.proving(t, key, time.Now())
}

// proving makes a proof for a call as it stands. The call may be changed after that.
func (c Call) proving(t *testing.T, key dpop.Key, now time.Time) Call {
	t.Helper()
	path, _, _ := strings.Cut(c.Target, "?")
	proof, err := key.Make(dpop.Proof{
		Method: cmp.Or(c.Method, http.MethodGet), URL: "https://" + shared.cloud(c.Cloud).GatewayName(c.Product) + path, AccessToken: c.Token, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Proof = proof
	return c
}

// openTarget is exposed to everybody who has a certificate, so that what refuses them is not the list of an endpoint's callers.
const openTarget = "/open"

var openEndpoints = []string{
	endpoint("open.read", "GET", openTarget, "none", "support", "market", stranger),
	endpoint("open.write", "POST", openTarget, "opaque", "support", "market", stranger),
	endpoint("open.other", "GET", openTarget+"/{id}", "none", "support", "market", stranger),
}

// What a service was given is good at its own sidecar, for the person's own cloud, for five minutes, and nothing else is good in its place.
func TestWhatASidecarTakes(t *testing.T) {
	exposes(t, openEndpoints...)
	f := finds(t)
	sealed := func(service string, age time.Duration) Call {
		now := func() time.Time { return time.Now().Add(-age) }
		value, err := carrier(t, service, now).Seal(session.Outside{
			Cloud: shared.ID, Subject: "s", Grant: "g", Token: f.inside.Token, Key: f.key.Marshal(),
			Start: now().Add(-time.Minute), Checked: now(), Ends: now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		c := f.support
		c.Token = value
		return c
	}
	other := f.support
	other.Cloud = shared.Globex.ID
	unknown := f.support
	unknown.Cloud = "nowhere-0123456789"
	instead := func(token string) Call { c := f.support; c.Token = token; return c }
	for _, c := range []struct {
		name, at string
		call     Call
		status   int
		reason   string
	}{
		{"as it was given", "support", f.support, 200, ""},
		{"at another service's sidecar", "market", f.support, 401, "token"},
		{"another service's at this one", "support", f.market, 401, "token"},
		{"for another cloud", "support", other, 403, "cloud"},
		{"for no cloud of the directory", "support", unknown, 403, "cloud"},
		{"sealed four minutes ago", "support", sealed("support", 4*time.Minute), 200, ""},
		{"sealed five minutes ago", "support", sealed("support", 5*time.Minute+time.Second), 401, "token"},
		{"sealed for a time to come", "support", sealed("support", -2*time.Minute), 401, "token"},
		{"sealed for another service", "support", sealed("market", 0), 401, "token"},
		{"the access token as it is", "support", instead(f.inside.Token), 401, "token"},
		{"a user context token", "support", instead(f.uct), 401, "token"},
		{"an ID token", "support", instead(f.id), 401, "token"},
		{"the session's cookie inside", "support", instead(f.cookie), 401, "token"},
		{"the session's cookie outside", "support", instead(f.sealed), 401, "token"},
		{"nothing", "support", instead(""), 400, "bad-request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusedUnheard(t, c.status, c.reason, func() (Answer, error) { return shared.CallSidecar(c.at, c.call) })
		})
	}
}

// refusedUnheard wants an answer, and that products heard of the call only if it passed.
func refusedUnheard(t *testing.T, status int, reason string, call func() (Answer, error)) {
	t.Helper()
	before, want := reached(), int64(0)
	if status == 200 {
		want = 1
	}
	if wrong := answered(call).fault(status, reason); wrong != "" {
		t.Error(wrong)
	}
	if heard := reached() - before; heard != want {
		t.Errorf("products heard of it %d times", heard)
	}
}

// An access token is good at its own cloud's gateway, with the certificate of a caller that may bring it, and with a fresh proof for this very call. No
// other token of the project passes for one.
func TestWhatAGatewayTakes(t *testing.T) {
	exposes(t, openEndpoints...)
	f := finds(t)
	good := func() Call { return f.inside.proving(t, f.key, time.Now()) }
	used := good()
	changed := func(proved Call, change func(*Call)) Call {
		proved = proved.proving(t, f.key, time.Now())
		change(&proved)
		return proved
	}
	here := func(c *Call) { *c = c.To("issues", "GET", openTarget); c.Cloud = shared.ID }
	elsewhere := f.inside
	elsewhere.Cloud = shared.Globex.ID
	foreign := f.grace
	foreign.Cloud = shared.ID
	stolen, err := dpop.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, caller string
		call         Call
		status       int
		reason       string
	}{
		{"as the sidecar calls", "support", used, 200, ""},
		{"the same proof again", "support", used, 401, "proof"},
		{"another caller's certificate", "market", good(), 403, "caller"},
		{"a stranger's certificate", stranger, good(), 403, "caller"},
		{"of a client whose tokens nobody may bring", "support", f.inside.with(t, f.portal, f.portalKey), 403, "caller"},
		{"a proof for another path", "support", changed(f.inside.To("issues", "GET", openTarget+"/1"), here), 401, "proof"},
		{"a proof for another method", "support", changed(f.inside.To("issues", "POST", openTarget), here), 401, "proof"},
		{"a proof for another product", "support", changed(f.inside.To("wiki", "GET", openTarget), here), 401, "proof"},
		{"a proof for another cloud", "support", changed(elsewhere, here), 401, "proof"},
		{"a proof for another token", "support", changed(f.inside.with(t, f.portal, f.key), func(c *Call) { c.Token = f.inside.Token }), 401, "proof"},
		{"a proof by another key", "support", f.inside.proving(t, stolen, time.Now()), 401, "proof"},
		{"an old proof", "support", f.inside.proving(t, f.key, time.Now().Add(-2*time.Minute)), 401, "proof"},
		{"a proof of a time to come", "support", f.inside.proving(t, f.key, time.Now().Add(time.Minute)), 401, "proof"},
		{"no proof", "support", f.inside, 401, "proof"},
		{"no token", "support", Call{Product: "issues", Target: openTarget}, 401, "token"},
		{"at another cloud's gateway", "support", elsewhere.proving(t, f.key, time.Now()), 403, "not-exposed"},
		{"another cloud's token", "support", foreign.proving(t, f.graceKey, time.Now()), 401, "token"},
		{"a user context token", "support", f.inside.with(t, f.uct, f.key), 401, "token"},
		{"an ID token", "support", f.inside.with(t, f.id, f.key), 401, "token"},
		{"the session's cookie inside", "support", f.inside.with(t, f.cookie, f.key), 401, "token"},
		{"the session's cookie outside", "support", f.inside.with(t, f.sealed, f.key), 401, "token"},
		{"what the service was given", "support", f.inside.with(t, f.support.Token, f.key), 401, "token"},
		{"a stranger, at what is not exposed to it", stranger, good().To("issues", "GET", issueTarget), 403, "not-exposed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusedUnheard(t, c.status, c.reason, func() (Answer, error) { return shared.CallGateway(c.caller, c.call) })
		})
	}
	globexExposesIssues := f.grace.To("issues", "GET", issueTarget)
	globexExposesIssues.Token = f.inside.Token
	t.Run("the token at another cloud's open endpoint", func(t *testing.T) {
		refusedUnheard(t, 401, "token", func() (Answer, error) {
			return shared.CallGateway("support", globexExposesIssues.proving(t, f.key, time.Now()))
		})
	})
}

// A caller is who the one URI in its certificate says, if the authority for callers signed it: no DNS name, subject or second name counts
// (CVE-2026-47778). Who names nobody of the trust domain does not get through the handshake.
func TestWhoseCertificateCounts(t *testing.T) {
	exposes(t, openEndpoints...)
	f := finds(t)
	untrusted, err := newCA(filepath.Join(t.TempDir(), "ca"), &x509.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	me := SPIFFE("support")
	for _, c := range []struct {
		name      string
		ca        *CA
		uris, dns []string
		subject   string
		status    int // 0: no handshake
		reason    string
	}{
		{"renewed", shared.Callers, []string{me}, nil, "", 200, ""},
		{"renewed with a DNS name beside it", shared.Callers, []string{me}, []string{"support.commercial.example"}, "", 200, ""},
		{"two names", shared.Callers, []string{me, SPIFFE("market")}, nil, "", 403, "caller"},
		{"two names the other way round", shared.Callers, []string{SPIFFE("market"), me}, nil, "", 403, "caller"},
		{"two names, one elsewhere", shared.Callers, []string{me, "https://commercial.example/support"}, nil, "", 403, "caller"},
		{"another case", shared.Callers, []string{"spiffe://commercial.example/Support"}, nil, "", 403, "not-exposed"},
		{"a name below", shared.Callers, []string{me + "/x"}, nil, "", 403, "not-exposed"},
		{"the trust domain itself", shared.Callers, []string{"spiffe://commercial.example/"}, nil, "", 403, "caller"},
		{"a DNS name that reads like one", shared.Callers, nil, []string{me}, "", 0, ""},
		{"a subject that reads like one", shared.Callers, nil, nil, me, 0, ""},
		{"another trust domain", shared.Callers, []string{"spiffe://commercial.example.evil/support"}, nil, "", 0, ""},
		{"an authority that nobody trusts", untrusted, []string{me}, nil, "", 0, ""},
		{"the authority of servers", shared.CA, []string{me}, nil, "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := writesCaller(c.ca, "odd", c.subject, c.uris, c.dns); err != nil {
				t.Fatal(err)
			}
			call := f.inside.proving(t, f.key, time.Now())
			if c.status != 0 {
				refusedUnheard(t, c.status, c.reason, func() (Answer, error) { return shared.CallGateway("odd", call) })
				return
			}
			hits := reached()
			if a, err := shared.CallGateway("odd", call); err == nil || reached() != hits {
				t.Errorf("%d %q", a.Status, a.Reason())
			}
		})
	}
}

// writesCaller makes a certificate of an authority by which calls can be made under a name of the world.
func writesCaller(ca *CA, name, subject string, uris, dnsNames []string) error {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: subject}, DNSNames: dnsNames,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, uri := range uris {
		parsed, err := url.Parse(uri)
		if err != nil {
			return err
		}
		template.URIs = append(template.URIs, parsed)
	}
	return ca.issue(shared.Platform.caller(name), template)
}
