package signin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"isogate/envoy/topology"
	"isogate/extauthz/keys"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// newFlows are flows under a clock that a test moves.
func newFlows(t *testing.T) (f Flows, now *time.Time) {
	t.Helper()
	dir := t.TempDir()
	if err := keys.GenerateSealer(dir, "1"); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	clock := func() time.Time { return at }
	seal, err := keys.OpenSealers(dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	cloud := topology.Cloud{ID: "acme-0123456789abcdef", Domain: "acme.test", Products: []topology.Product{{ID: "issues"}, {ID: "wiki"}}}
	return Flows{Site: OfCloud(cloud), Seal: seal, Now: clock}, &at
}

func begun(t *testing.T, f Flows, host, path, query string) (sealed string, cookie session.FlowCookie) {
	t.Helper()
	location, cookie, err := f.Begin(host, path, query)
	if err != nil {
		t.Fatal(err)
	}
	sealed, ok := strings.CutPrefix(location, "https://auth.acme.test/.isogate/signin?flow=")
	if !ok {
		t.Fatalf("begins at %q", location)
	}
	return sealed, cookie
}

func TestFlowEndsAfterItsTime(t *testing.T) {
	f, now := newFlows(t)
	start := *now
	sealed, cookie := begun(t, f, "issues.acme.test", "/x", "a=b")
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {session.FlowLifetime - time.Second, nil}, {session.FlowLifetime, errSealed}, {24 * time.Hour, errSealed}} {
		*now = start.Add(c.after)
		opened, err := f.open(sealed)
		if !errors.Is(err, c.want) {
			t.Errorf("after %s: %v, want %v", c.after, err, c.want)
		}
		if err == nil && (opened.Target != "/x?a=b" || opened.Host != "issues.acme.test" || opened.Proof != proof(cookie.Secret)) {
			t.Errorf("after %s: %+v", c.after, opened)
		}
	}
}

func TestStateEndsAfterItsTime(t *testing.T) {
	f, now := newFlows(t)
	start := *now
	d := &Door{Flows: f, Providers: []*Provider{{ProviderConfig: ProviderConfig{ID: "corp"}}}}
	for _, c := range []struct {
		name, provider string
		after          time.Duration
		want           error
	}{
		{"at once", "corp", 0, nil}, {"in time", "corp", session.FlowLifetime - time.Second, nil}, {"late", "corp", session.FlowLifetime, errSealed},
		{"of a provider that is gone", "former", 0, errSealed},
	} {
		*now = start
		sealed, err := f.seal(purposeState, state{Provider: c.provider, Expires: start.Add(session.FlowLifetime).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		*now = start.Add(c.after)
		if _, _, err := d.openState(sealed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// A flow that was sealed for a host which the file no longer has, or for a target that names another host, leads nowhere.
func TestFlowLeadsOnlyToAPathOfAProduct(t *testing.T) {
	f, now := newFlows(t)
	f.Site.Authorize = true
	for _, c := range []struct {
		host, target string
		want         bool
	}{
		{"issues.acme.test", "/", true}, {"wiki.acme.test", "/a//b?c=//d", true}, {"issues.acme.test", "/oauth2/authorize?a=b", true},
		{"issues.acme.test", "//evil.example", false}, {"issues.acme.test", "", false}, {"issues.acme.test", "https://evil.example", false},
		{"issues.acme.test", "@evil.example", false}, {"auth.acme.test", "/", false}, {"former.acme.test", "/", false}, {"", "/", false},
		{"evil.example", "/", false}, {"issues.acme.test.evil.example", "/", false},
		// Known inside a state, and yet no flow: only the OAuth server leads there.
		{"auth.acme.test", "/oauth2/authorize?client_id=commercial", false}, {"auth.acme.test", "/oauth2/authorize", false},
	} {
		sealed, err := f.seal(purposeFlow, flow{Host: c.host, Target: c.target, Expires: now.Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.open(sealed); (err == nil) != c.want {
			t.Errorf("%s %s: %v", c.host, c.target, err)
		}
	}
}

// On the auth host there is one place to come back to, where there is an OAuth server.
func TestOneTargetOnTheAuthHostIsKnown(t *testing.T) {
	f, _ := newFlows(t)
	clients := []topology.Client{{ID: "commercial"}}
	for _, c := range []struct {
		host, target string
		clients      []topology.Client
		want         bool
	}{
		{"auth.acme.test", "/oauth2/authorize?client_id=commercial", clients, true}, {"auth.acme.test", "/oauth2/authorize", clients, true},
		{"auth.acme.test", "/oauth2/authorize?x=/../../", clients, true}, {"auth.acme.test", "/oauth2/authorize?client_id=commercial", nil, false},
		{"auth.acme.test", "/", clients, false}, {"auth.acme.test", "", clients, false}, {"auth.acme.test", "/oauth2/authorize/", clients, false},
		{"auth.acme.test", "/oauth2/authorize/../decision", clients, false}, {"auth.acme.test", "/oauth2/authorize#x", clients, false},
		{"auth.acme.test", "/oauth2/authorize;x?a=b", clients, false}, {"auth.acme.test", "/oauth2/authorizex", clients, false},
		{"auth.acme.test", "/OAuth2/authorize", clients, false}, {"auth.acme.test", "//oauth2/authorize", clients, false},
		{"auth.acme.test", "/oauth2/decision", clients, false}, {"auth.acme.test", "/.isogate/session", clients, false},
		{"auth.acme.test", "@evil.example/oauth2/authorize", clients, false}, {"auth.acme.test.", "/oauth2/authorize", clients, false},
		{"Auth.acme.test", "/oauth2/authorize", clients, false}, {"evil.example", "/oauth2/authorize", clients, false},
	} {
		f.Site.Authorize = len(c.clients) > 0
		if got := f.known(flow{Host: c.host, Target: c.target}); got != c.want {
			t.Errorf("%s %s, %d clients: known %t", c.host, c.target, len(c.clients), got)
		}
	}
}

func TestTargetIsBounded(t *testing.T) {
	f, _ := newFlows(t)
	long := strings.Repeat("x", maxTarget)
	for _, c := range []struct{ path, query, want string }{
		{"/a", "", "/a"}, {"/a", "b=c", "/a?b=c"}, {"/a", long, "/a"}, {"/" + long, "", "/"}, {"/" + long, "a=b", "/"},
		{"/a", long[:maxTarget-3], "/a?" + long[:maxTarget-3]}, {"/a", long[:maxTarget-2], "/a"},
	} {
		sealed, _ := begun(t, f, "issues.acme.test", c.path, c.query)
		if opened, err := f.open(sealed); err != nil || opened.Target != c.want {
			t.Errorf("%.20s?%.20s: %.40s %v", c.path, c.query, opened.Target, err)
		}
	}
	for _, query := range []string{strings.Repeat("&", 2000), strings.Repeat("<", 2000), strings.Repeat(`"`, 2000)} {
		if sealed, _ := begun(t, f, "issues.acme.test", "/a", query); len(sealed) > 6000 {
			t.Errorf("%.3s…: sealed into %d bytes", query, len(sealed))
		}
	}
}

func TestSecretIsSentInOneWay(t *testing.T) {
	for _, c := range []struct {
		methods []string
		want    oauth2.AuthStyle
	}{
		{nil, oauth2.AuthStyleInHeader}, {[]string{"client_secret_basic"}, oauth2.AuthStyleInHeader},
		{[]string{"client_secret_post", "client_secret_basic"}, oauth2.AuthStyleInHeader}, {[]string{"client_secret_post"}, oauth2.AuthStyleInParams},
		{[]string{"private_key_jwt"}, oauth2.AuthStyleInHeader},
	} {
		if got := styleOf(c.methods); got != c.want {
			t.Errorf("%v: %v, want %v", c.methods, got, c.want)
		}
	}
}

// Whatever the target holds, the page that asks to start again links to it.
func TestStartAgainLinksToTheTarget(t *testing.T) {
	r := newRig(t, "honest")
	back := flow{Host: "issues.iso.example", Target: "/x?a={b}|c^d`e\"f<g>h\\i&j=1"}
	if !r.known(back) {
		back.Host = r.Site.Hosts[0]
	}
	body := string(page.StartAgain(r.again(visit{}, state{Back: &back})).Body)
	if want := `href="` + r.Site.URL(back.Host) + `/x?a=%7Bb%7D%7Cc%5Ed%60e%22f%3Cg%3Eh%5Ci&amp;j=1"`; !strings.Contains(body, want) {
		t.Errorf("no link %s in:\n%.1500s", want, body[strings.Index(body, "<main"):])
	}
}
