package world

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// metric is the value of one line of a daemon's metrics, as text; "" if absent.
func metric(t *testing.T, admin int, name string) string {
	t.Helper()
	response, err := http.Get("http://" + local(admin) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return value
		}
	}
	return ""
}

// edit changes a file for the time of a test.
func edit(t *testing.T, file, old, fresh string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	if err := replaceFile(file, []byte(strings.Replace(string(raw), old, fresh, 1))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		readers := []int{shared.ports.extauth}
		switch {
		case file == shared.File():
			readers = append(readers, shared.ports.xds, shared.ports.oauth)
		case file == shared.Platform.File():
			readers = []int{shared.Platform.ports.xds, shared.Platform.ports.extauth}
		case strings.HasSuffix(file, ".jwks"):
			readers = []int{shared.ports.oauth}
		}
		before := map[int]string{}
		for _, admin := range readers {
			before[admin], _ = reloads(context.Background(), admin) // one that is down has nothing to see
		}
		if err := replaceFile(file, raw); err != nil {
			t.Error(err)
		}
		// The next test begins when all have seen this; one that never saw the edit has nothing to see.
		for _, admin := range readers {
			for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if seen, _ := reloads(context.Background(), admin); seen != before[admin] {
					break
				}
			}
		}
	})
}

func TestOneRegoEditOpensAndClosesAnEndpoint(t *testing.T) {
	file := filepath.Join(shared.Policies(), "ingress.rego")
	probe := func() int { return status(t, shared.Browser(), shared.URL("issues", "/whoami")) }
	if probe() != 401 {
		t.Fatal("open before the edit")
	}
	t.Run("opened", func(t *testing.T) {
		edit(t, file, "package isogate.ingress\n", "package isogate.ingress\n\nanonymous[\"issues.ready\"] := {\"product\": \"issues\", \"method\": \"GET\", \"path\": \"/ready\"}\n")
		began := time.Now()
		// The product refuses whoever has no token, with its own 401; that the request reached it is what counts.
		hits := shared.Products["issues"].Hits()
		eventually(t, "the endpoint opens", func() bool {
			status(t, shared.Browser(), shared.URL("issues", "/ready"))
			return shared.Products["issues"].Hits() > hits
		})
		t.Logf("opened after %d ms", time.Since(began).Milliseconds())
	})
	eventually(t, "the endpoint closes", func() bool {
		a := must(t)(shared.Browser().Do("GET", shared.URL("issues", "/ready"), Fetch, nil, ""))
		return a.Status == 401 && strings.Contains(a.Body, `"unauthenticated"`)
	})
}

func TestNarrowingRule(t *testing.T) {
	alice, bob := signedIn(t, "alice"), signedIn(t, "bob")
	t.Run("narrowed", func(t *testing.T) {
		edit(t, filepath.Join(shared.Policies(), "ingress.rego"), "forbidden contains \"nothing\" if false\n",
			"forbidden contains \"engineers-only\" if {\n\tinput.product == \"issues\"\n\tnot \"engineering\" in input.user.groups\n}\n")
		eventually(t, "bob is refused", func() bool { return status(t, bob, shared.URL("issues", "/whoami")) == 403 })
		if got := status(t, alice, shared.URL("issues", "/whoami")); got != 200 {
			t.Errorf("alice got %d", got)
		}
	})
	eventually(t, "bob is back", func() bool { return status(t, bob, shared.URL("issues", "/whoami")) == 200 })
}

func TestBrokenPolicyChangesNothing(t *testing.T) {
	b := signedIn(t, "bob")
	const counter = `isogate_reloads_total{result="failed",what="policies"}`
	before := metric(t, shared.ports.extauth, counter)
	edit(t, filepath.Join(shared.Policies(), "ingress.rego"), "package isogate.ingress\n", "package isogate.ingress\n\nthis is no rule {{{\n")
	eventually(t, "the fault is counted", func() bool { return metric(t, shared.ports.extauth, counter) != before })
	if got := status(t, b, shared.URL("issues", "/whoami")); got != 200 {
		t.Errorf("a living session got %d", got)
	}
	if got := status(t, shared.Browser(), shared.URL("issues", "/health")); got != 200 {
		t.Errorf("the allowlisted endpoint got %d", got)
	}
	if got := status(t, shared.Browser(), shared.URL("issues", "/whoami")); got != 401 {
		t.Errorf("a stranger got %d", got)
	}
}

func TestNoGoodPolicyYet(t *testing.T) {
	b := signedIn(t, "bob")
	if err := shared.Parts["extauthz"].Stop(); err != nil {
		t.Fatal(err)
	}
	away := shared.Policies() + ".away"
	if err := os.Rename(shared.Policies(), away); err != nil {
		t.Fatal(err)
	}
	// It never gets ready without a policy, so it is started beside the wait for readiness.
	started := make(chan error, 1)
	go func() { started <- shared.Parts["extauthz"].Start(t.Context()) }()
	eventually(t, "closed for everybody", func() bool {
		return status(t, b, shared.URL("issues", "/whoami")) == 503 && status(t, b, shared.URL("issues", "/health")) == 503 &&
			status(t, b, shared.URL("issues", "/.isogate/logout")) == 200
	})
	if err := os.Rename(away, shared.Policies()); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	eventually(t, "open again by itself", func() bool { return status(t, b, shared.URL("issues", "/whoami")) == 200 })
}

func TestFileReachesTheRunningWorld(t *testing.T) {
	b := signedIn(t, "bob")
	email := func() any {
		a := must(t)(b.Open(shared.URL("wiki", "/whoami")))
		return echoOf(t, a).Claims["email"]
	}
	if email() != nil {
		t.Fatal("the wiki gets the address before the edit")
	}
	t.Run("a claim", func(t *testing.T) {
		edit(t, shared.File(), "claims: [name]", "claims: [name, email]")
		eventually(t, "the wiki gets the address", func() bool { return email() == shared.User("bob").Email })
	})
	eventually(t, "and gets it no more", func() bool { return email() == nil })

	t.Run("a product", func(t *testing.T) {
		edit(t, shared.File(), "  managed_domains:", fmt.Sprintf("    - id: issues2\n      host: auth2.%s\n      upstream: 127.0.0.1:%d\n  managed_domains:", Domain, shared.ports.products["issues"]))
		address := strings.Replace(shared.URL("issues", "/whoami"), "issues.", "auth2.", 1)
		eventually(t, "the new host asks to sign in", func() bool {
			a, err := shared.browserFor("auth2").Do("GET", address, Fetch, nil, "")
			return err == nil && a.Status == 401
		})
	})
}

func TestFaultyFileWhileRunning(t *testing.T) {
	b := signedIn(t, "bob")
	const counter = `isogate_reloads_total{result="failed",what="config"}`
	before := []string{metric(t, shared.ports.extauth, counter), metric(t, shared.ports.xds, counter)}
	edit(t, shared.File(), "domain: "+Domain, "domain: Not A Domain")
	eventually(t, "both daemons count the fault", func() bool {
		return metric(t, shared.ports.extauth, counter) != before[0] && metric(t, shared.ports.xds, counter) != before[1]
	})
	if got := status(t, b, shared.URL("issues", "/whoami")); got != 200 {
		t.Errorf("the last good file does not serve: %d", got)
	}
	if log := string(shared.tail("extauthz")); !strings.Contains(log, "reload failed, the last good state stays") || !strings.Contains(log, "cloud.domain") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

func TestLimitsOfTheMoment(t *testing.T) {
	b := signedIn(t, "bob")
	edit(t, shared.File(), "idle: 30m", "idle: 1s")
	began := time.Now()
	eventually(t, "the session ends when it is idle too long", func() bool {
		time.Sleep(1500 * time.Millisecond)
		return status(t, b, shared.URL("issues", "/whoami")) == 401
	})
	t.Logf("ended %s after the edit", time.Since(began).Round(100*time.Millisecond))

	fresh := signedIn(t, "bob")
	for range 8 {
		time.Sleep(300 * time.Millisecond)
		if got := status(t, fresh, shared.URL("issues", "/whoami")); got != 200 {
			t.Fatalf("an active session ended: %d", got)
		}
	}
}

func TestAbsoluteLimit(t *testing.T) {
	edit(t, shared.File(), "idle: 30m\n", "idle: 2s\n")
	edit(t, shared.File(), "absolute: 12h", "absolute: 2s")
	time.Sleep(400 * time.Millisecond)
	b := signedIn(t, "bob")
	began := time.Now()
	eventually(t, "the session ends however active it is", func() bool { return status(t, b, shared.URL("issues", "/whoami")) == 401 })
	if lived := time.Since(began); lived > 4*time.Second {
		t.Errorf("it lived for %s", lived)
	}
}

func TestCertificateRotates(t *testing.T) {
	serial := func() string {
		conn, err := tls.Dial("tcp", shared.Edge(), &tls.Config{RootCAs: shared.CA.Pool(), ServerName: "issues." + Domain})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	if err := shared.RotateCertificate(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new handshakes see the new certificate", func() bool { return serial() != before })
}

// Health and metrics are on a listener of their own.
func TestAdminIsNotPublic(t *testing.T) {
	for _, path := range []string{"/metrics", "/readyz", "/status", "/healthz", "/config_dump"} {
		for _, host := range []string{"auth", "issues"} {
			if got := status(t, shared.Browser(), shared.URL(host, path)); got != 401 && got != 404 {
				t.Errorf("%s%s: %d", host, path, got)
			}
		}
	}
}
