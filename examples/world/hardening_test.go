package world

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"isogate/examples/idp"
	"isogate/xds/doctor"
)

// The tests of the files hardening_*_test.go hold the running world against what went wrong elsewhere, by what went wrong; the id of an advisory
// or of an issue stands beside it where there is one. Paths and single requests that a proxy and its check read in two ways are the matter of
// examples/differential, and sign-ins that are not what they seem of the files beside this one.
//
// Some of it does not apply to what this world has so far. There is no gateway and no egress: names in the certificates of callers, rules about
// bodies and tokens in another's place get their tests with them (who may ask the control plane is proven in xds/push). There is no commercial
// sign-in: no stateless session, no directory, so every cookie is the isolated side's. The sign-in speaks OpenID Connect alone, and takes no
// back-channel logout.

// sendRaw sends a GET with exactly these header lines over HTTP/1.1.
func sendRaw(t *testing.T, name, target string, lines ...string) Answer {
	t.Helper()
	conn, err := tls.Dial("tcp", shared.Edge(), &tls.Config{RootCAs: shared.CA.Pool(), ServerName: name + "." + Domain, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	head := append([]string{"GET " + target + " HTTP/1.1", "Host: " + shared.hosts()[name], "Connection: close"}, lines...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

// CVE-2021-32777: of a header that stands twice, nobody takes one line for the whole. Cookies are joined, identity headers are gone, an
// authorization, which means nothing here, reaches the product with both its values, and a request that cannot be understood is refused.
func TestRepeatedHeadersAreNeverTheLastLine(t *testing.T) {
	session := "Cookie: " + handleCookie + "=" + handle(person(t, "bob"), "issues")
	all := func(e echo, name string) string { return strings.Join(e.Headers[name], ",") }

	e := echoOf(t, sendRaw(t, "issues", "/whoami", session, "Authorization: Bearer first", "Authorization: Bearer second"))
	if got := all(e, "authorization"); !strings.Contains(got, "first") || !strings.Contains(got, "second") {
		t.Errorf("of two lines of authorization the product got %q", got)
	}
	e = echoOf(t, sendRaw(t, "issues", "/whoami", "Cookie: a=1", session, "Cookie: b=2; a=3"))
	if got := all(e, "cookie"); got != "a=1; b=2; a=3" {
		t.Errorf("of three lines of cookies the product got %q", got)
	}
	e = echoOf(t, sendRaw(t, "issues", "/whoami", session, "X-User-Context-Token: forged", "X-USER-context-token: forged", "X-Isolated-Cloud-User: forged", "x-isolated-cloud-user: forged"))
	if got := fmt.Sprint(e.Headers); strings.Contains(got, "forged") || len(e.Headers["x-user-context-token"]) != 1 || e.Claims["name"] != "Bob Birch" {
		t.Errorf("the product got %s", got)
	}
	other := "Cookie: " + handleCookie + "=" + handle(person(t, "alice"), "issues")
	for name, lines := range map[string][]string{"another's session last": {session, other}, "the same twice": {session, session}, "a dead one first": {"Cookie: " + handleCookie + "=" + strings.Repeat("A", 43), session}} {
		if a := sendRaw(t, "issues", "/whoami", lines...); a.Status != 400 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	for _, lines := range [][]string{{"Authorization: Bearer a", "Authorization: Bearer b"}, {"X-User-Context-Token: a", "X-User-Context-Token: b"}} {
		if a := sendRaw(t, "issues", "/whoami", lines...); a.Status != 401 {
			t.Errorf("a stranger with %q: %d", lines, a.Status)
		}
	}
}

// failure_mode_allow and its kin stand in no file of ours and cannot be put there; and the running ingress has nothing that the doctor would
// object to.
func TestFailingOpenCannotBeConfigured(t *testing.T) {
	file, err := os.ReadFile(shared.File())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ daemon, section, key string }{
		{"extauthz", "extauthz:\n", "failure_mode_allow: true"}, {"xds", "xds:\n", "failure_mode_allow: true"}, {"xds", "xds:\n", "ext_authz: {failure_mode_allow: true}"},
		{"xds", "cloud:\n", "failure_mode_allow: true"}, {"extauthz", "cloud:\n", "fail_open: true"}, {"xds", "xds:\n", "status_on_error: 200"}, {"xds", "xds:\n", "clear_route_cache: true"},
	} {
		changed := filepath.Join(t.TempDir(), "isolated.yaml")
		text := strings.Replace(string(file), "\n"+c.section, "\n"+c.section+"  "+c.key+"\n", 1)
		if strings.HasPrefix(string(file), c.section) {
			text = strings.Replace(string(file), c.section, c.section+"  "+c.key+"\n", 1)
		}
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(filepath.Join(shared.binaries(), c.daemon), "-config", changed, "-check").CombinedOutput()
		key, _, _ := strings.Cut(c.key, ":")
		if err == nil || !strings.Contains(string(out), "unknown key") || !strings.Contains(string(out), key) {
			t.Errorf("%s takes %q under %s%v %s", c.daemon, c.key, c.section, err, out)
		}
	}
	dump, err := shared.envoyAdmin("ingress", "/config_dump")
	if err != nil {
		t.Fatal(err)
	}
	if report, err := doctor.Examine(dump); err != nil || len(report.Findings) > 0 {
		t.Errorf("the running ingress: %v %+v", err, report.Findings)
	}
	if !bytes.Contains(dump, []byte("ext_authz")) || bytes.Contains(bytes.ReplaceAll(dump, []byte(" "), nil), []byte(`"failure_mode_allow":true`)) {
		t.Error("the dump holds no check, or one that fails open")
	}
}

// GHSA-qqxw, GHSA-4mf2: where a sign-in or a sign-out leads is no parameter that a person can write, by whatever name it is known elsewhere.
func TestNoParameterSaysWhereToGo(t *testing.T) {
	stranger, known := watched(t), person(t, "bob")
	must(t)(known.Open(shared.URL("auth", "/.isogate/session")))
	for _, parameter := range []string{
		"rd", "redirect", "redirect_uri", "redirect_url", "redirectUri", "return", "return_to", "returnUrl", "return_url", "next", "url", "u", "to", "target", "dest", "destination", "continue",
		"goto", "service", "RelayState", "wreply", "post_logout_redirect_uri", "logout_uri", "origin", "host", "x", "callback", "success", "back",
	} {
		for _, at := range []string{"auth /.isogate/signin", "auth /.isogate/logout", "auth /.isogate/session", "auth /.isogate/callback", "issues /.isogate/enter", "issues /.isogate/logout"} {
			name, path, _ := strings.Cut(at, " ")
			for who, b := range map[string]*Browser{"a stranger": stranger, "a person": known} {
				for _, value := range []string{"https://evil.example/", "//evil.example", `/\evil.example`} {
					a := must(t)(b.Step(shared.URL(name, path) + "?" + parameter + "=" + value))
					if strings.Contains(a.Body, "evil.example") || strings.Contains(fmt.Sprint(a.Header), "evil.example") {
						t.Errorf("%s at %s?%s=%s: %d to %q", who, at, parameter, value, a.Status, a.Header.Get("Location"))
					}
				}
			}
		}
	}
	posted := must(t)(known.Do("POST", shared.URL("issues", "/.isogate/logout?rd=https://evil.example/&post_logout_redirect_uri=https://evil.example/"), Navigation,
		map[string]string{"Origin": shared.URL("issues", ""), "Content-Type": "application/x-www-form-urlencoded"}, "rd=https%3A%2F%2Fevil.example%2F&post_logout_redirect_uri=https%3A%2F%2Fevil.example"))
	if strings.Contains(posted.Body, "evil.example") || strings.Contains(fmt.Sprint(posted.Header), "evil.example") {
		t.Errorf("sign-out leads to %q", posted.Header.Get("Location"))
	}
}

// liar says in every request to a guarded host that the world's outside is another one, and finds where anybody believed it.
type liar struct {
	t    *testing.T
	next http.RoundTripper
}

func (l liar) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Hostname(), "."+Domain) {
		return l.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host", "X-HTTP-Host-Override", "X-Rewrite-Host"} {
		r.Header.Set(name, "evil.example")
	}
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Auth-Request-Redirect", "X-Forwarded-Path", "Referer"} {
		r.Header.Set(name, "https://evil.example/evil")
	}
	r.Header.Set("Forwarded", "for=1.2.3.4;host=evil.example;proto=http")
	r.Header.Set("X-Forwarded-Proto", "http")
	r.Header.Set("X-Forwarded-Port", "1")
	response, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	said := fmt.Sprint(response.Header)
	if strings.HasPrefix(r.URL.Path, "/.") {
		said += string(body) // a product may say what it received
	}
	if strings.Contains(said, "evil") || strings.Contains(said, "http://") || strings.Contains(said, Domain+":1/") {
		l.t.Errorf("%s %s%s believed a header: %.300q", r.Method, r.URL.Host, r.URL.Path, said)
	}
	return response, err
}

// oauth2-proxy#2989: the way through a whole sign-in, at each of its hosts, is built from the file. The browser's witness demands besides that
// no answer leads elsewhere.
func TestExternalAddressesComeFromTheFile(t *testing.T) {
	b := watched(t)
	b.client.Transport = liar{t, b.client.Transport}
	landed := must(t)(b.SignIn(shared.User("bob"), shared.URL("issues", "/deep?x=y")))
	if e := echoOf(t, landed); e.Target != "/deep?x=y" || landed.URL.String() != shared.URL("issues", "/deep?x=y") {
		t.Errorf("landed on %s as %s", landed.URL, e.Target)
	}
	callback := false
	for _, hop := range landed.Via {
		callback = callback || strings.Contains(hop, "redirect_uri=") || strings.HasPrefix(hop, shared.URL("auth", "/.isogate/callback?"))
	}
	if !callback || must(t)(b.Open(shared.URL("wiki", "/x"))).Status != 200 {
		t.Errorf("the way: %q", landed.Via)
	}
	e := echoOf(t, must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, nil, "")))
	if e.Claims["iss"] != shared.URL("auth", "") {
		t.Errorf("the token's issuer is %v", e.Claims["iss"])
	}
	page := must(t)(b.Open(shared.URL("issues", "/.isogate/logout")))
	if out := must(t)(b.Submit(page, nil)); out.URL.String() != shared.URL("auth", "/.isogate/logout") {
		t.Errorf("sign-out ended at %s", out.URL)
	}
}

// CVE-2021-41230: what the provider says anew of a person holds from the next request on, at every product and for every handle, also those
// from before. (That an account is closed while nobody signs in is told by a back-channel logout, which the sign-in does not take yet; until
// then the session's own limits bound it. A person who can no longer sign in gets no new session: see the refusals among TestAnswersThatAreNotTheProviders.)
func TestGroupThatIsGoneIsGoneFromTheNextDecision(t *testing.T) {
	engineer := shared.User("alice")
	b := person(t, "alice")
	must(t)(b.Open(shared.URL("wiki", "/whoami")))
	old := handle(b, "issues")
	edit(t, filepath.Join(shared.Policies(), "ingress.rego"), "forbidden contains \"nothing\" if false\n",
		"forbidden contains \"engineers-only\" if {\n\tinput.path == \"/engine\"\n\tnot \"engineering\" in input.user.groups\n}\n")
	stranger := signedIn(t, "bob")
	eventually(t, "the rule holds", func() bool { return status(t, stranger, shared.URL("issues", "/engine")) == 403 })
	if got := status(t, b, shared.URL("issues", "/engine")); got != 200 {
		t.Fatalf("an engineer got %d", got)
	}
	moved := engineer
	moved.Groups = []string{"staff"}
	setUser(t, moved, engineer)
	page := must(t)(b.Open(shared.URL("auth", "/.isogate/signin?prompt=login")))
	if a := must(t)(b.Authenticate(moved, page)); a.Status != 200 {
		t.Fatalf("signing in again: %d at %s", a.Status, a.URL)
	}
	for _, name := range []string{"issues", "wiki"} {
		if got := status(t, b, shared.URL(name, "/engine")); got != 403 {
			t.Errorf("%s: no engineer any more, and got %d", name, got)
		}
	}
	if handle(b, "issues") != old {
		t.Error("the old handle was not what was asked with")
	}
	groups, _ := echoOf(t, must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, nil, ""))).Claims["groups"].([]any)
	if !slices.Equal(groups, []any{"staff"}) {
		t.Errorf("the token still says %v", groups)
	}
}

// setUser changes a person at the provider for the time of a test.
func setUser(t *testing.T, to, back idp.User) {
	t.Helper()
	t.Cleanup(func() {
		if err := shared.Provider.SetUser(back); err != nil {
			t.Error(err)
		}
	})
	if err := shared.Provider.SetUser(to); err != nil {
		t.Fatal(err)
	}
}
