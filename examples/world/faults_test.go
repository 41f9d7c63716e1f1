package world

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// load sends requests from several workers until it is stopped, and counts their statuses; 0 is a connection that failed.
func load(t *testing.T, b *Browser, address string) (stop func() map[int]int) {
	t.Helper()
	quit := make(chan struct{})
	var mu sync.Mutex
	var workers sync.WaitGroup
	counts := map[int]int{}
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				a, _ := b.Do("GET", address, Fetch, nil, "") // a failed connection is status 0
				mu.Lock()
				counts[a.Status]++
				mu.Unlock()
			}
		})
	}
	return func() map[int]int { close(quit); workers.Wait(); return counts }
}

func TestKilledUnderLoad(t *testing.T) {
	b, stranger := signedIn(t, "bob"), shared.Browser()
	sid := echoOf(t, must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, nil, ""))).Claims["sid"]
	person, nobody := load(t, b, shared.URL("issues", "/whoami")), load(t, stranger, shared.URL("issues", "/whoami"))
	time.Sleep(300 * time.Millisecond)
	for range 2 {
		if err := shared.Parts["extauthz"].Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
	}
	eventually(t, "answers again", func() bool { return status(t, b, shared.URL("issues", "/whoami")) == 200 })
	signedInCounts, strangerCounts := person(), nobody()
	t.Logf("signed in: %v, strangers: %v", signedInCounts, strangerCounts)
	for got, n := range signedInCounts {
		if got != 200 && got != 503 {
			t.Errorf("a person who is signed in got %d, %d times", got, n)
		}
	}
	for got, n := range strangerCounts {
		if got != 401 && got != 503 {
			t.Errorf("a stranger got %d, %d times", got, n)
		}
	}
	if strangerCounts[503] == 0 || signedInCounts[503] == 0 {
		t.Error("no request met the gap: the test shows nothing")
	}
	if now := echoOf(t, must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, nil, ""))).Claims["sid"]; now != sid {
		t.Errorf("the session %v became %v", sid, now)
	}
}

func TestDaemonThatIsDownIsTheSameProblem(t *testing.T) {
	b := signedIn(t, "bob")
	if err := shared.Parts["extauthz"].Stop(); err != nil {
		t.Fatal(err)
	}
	defer restart(t, "extauthz")
	a := must(t)(b.Do("GET", shared.URL("issues", "/health"), Fetch, nil, ""))
	if a.Status != 503 || a.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.Body, `"unavailable"`) {
		t.Errorf("got %d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
	}
}

func restart(t *testing.T, part string) {
	t.Helper()
	if err := shared.Parts[part].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, part+" is back", func() bool { return status(t, shared.Browser(), shared.URL("issues", "/health")) == 200 })
}

func TestControlPlaneDown(t *testing.T) {
	b := signedIn(t, "bob")
	for _, name := range []string{"xds", "xds-commercial"} {
		if err := shared.Parts[name].Stop(); err != nil {
			t.Fatal(err)
		}
	}
	defer restart(t, "xds-commercial")
	defer func() {
		if err := shared.Parts["xds"].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}()
	for range 20 {
		if got := status(t, b, shared.URL("issues", "/whoami")); got != 200 {
			t.Fatalf("traffic did not go on without a control plane: %d", got)
		}
	}
	ingress := shared.Parts["envoy-ingress"]
	if err := ingress.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := ingress.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if a, err := b.Do("GET", shared.URL("issues", "/health"), Fetch, nil, ""); err == nil {
			t.Fatalf("an Envoy that was started without a control plane answered %d", a.Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// gateway#9235, oauth2-proxy#3487: running sessions go on without the provider, a new sign-in gets a clear page, and it recovers by itself.
func TestProviderDown(t *testing.T) {
	b := signedIn(t, "bob")
	if err := shared.IDP.Stop(); err != nil {
		t.Fatal(err)
	}
	defer startIDP(t)
	for _, when := range []string{"later", "at the start"} {
		if when == "at the start" {
			if err := shared.Parts["extauthz"].Stop(); err != nil {
				t.Fatal(err)
			}
			restart(t, "extauthz")
		}
		if got := status(t, b, shared.URL("issues", "/whoami")); got != 200 {
			t.Errorf("%s: a living session got %d", when, got)
		}
		// What the provider said a moment ago is believed for ten seconds, so the first attempts may still be sent there.
		eventually(t, when+": a clear page for a new sign-in", func() bool {
			a, err := shared.Browser().Open(shared.URL("issues", "/"))
			return err == nil && a.Status == 503 && strings.Contains(a.Body, "Sign-in is not available right now") && a.Header.Get("Retry-After") != ""
		})
	}
}

// startIDP starts the provider again and waits until somebody can sign in, which needs nobody's hand.
func startIDP(t *testing.T) {
	t.Helper()
	if err := shared.IDP.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sign-in works again by itself", func() bool {
		a, err := shared.Browser().SignIn(shared.User("bob"), shared.URL("issues", "/whoami"))
		return err == nil && a.Status == 200
	})
}

func TestEnvoyKilled(t *testing.T) {
	b := signedIn(t, "bob")
	for _, role := range []string{"envoy-edge", "envoy-ingress"} {
		if err := shared.Parts[role].Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		eventually(t, role+" is back, and so is the session", func() bool {
			a, err := b.Do("GET", shared.URL("issues", "/whoami"), Fetch, nil, "")
			return err == nil && a.Status == 200
		})
	}
}

func TestFaultyFileAtStart(t *testing.T) {
	raw, err := os.ReadFile(shared.File())
	if err != nil {
		t.Fatal(err)
	}
	faulty := strings.NewReplacer("  id: acme-", "  idd: acme-", "idle: 30m", "idle: 30", "claims: [name]", "claims: [salary]").Replace(string(raw))
	file := filepath.Join(t.TempDir(), "isolated.yaml")
	if err := os.WriteFile(file, []byte(faulty), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, daemon := range []string{"extauthz", "xds"} {
		for _, check := range [][]string{nil, {"-check"}} {
			out, err := exec.Command(filepath.Join(shared.binaries(), daemon), append([]string{"-config", file}, check...)...).CombinedOutput()
			if exit := new(exec.ExitError); !asExit(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("%s %v: %v", daemon, check, err)
			}
			for _, want := range []string{":2: cloud.idd: unknown key", "cloud.products[1].claims[0]: must be one of", "isolated.yaml:"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("%s does not name %q:\n%s", daemon, want, out)
				}
			}
			if daemon == "extauthz" && !strings.Contains(string(out), "extauthz.session.idle: must be a time span with its unit") {
				t.Errorf("the bare number passed:\n%s", out)
			}
		}
	}
}

func asExit(err error, into **exec.ExitError) bool {
	exit, ok := err.(*exec.ExitError)
	*into = exit
	return ok
}

// The edge decrypts nothing, so it must hold no key.
func TestEdgeHoldsNoKey(t *testing.T) {
	dump := func(role string) string {
		out, err := shared.envoyAdmin(role, "/config_dump")
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if strings.Contains(dump("edge"), "private_key") || strings.Contains(dump("edge"), "certificate_chain") {
		t.Error("the edge holds a key or a certificate")
	}
	if !strings.Contains(dump("ingress"), "certificate_chain") {
		t.Error("the ingress holds no certificate: the test looks at the wrong thing")
	}
}

// An Envoy that does not come from the edge cannot say who the client is.
func TestIngressTakesOnlyTheEdgesConnections(t *testing.T) {
	b := shared.Browser()
	address := strings.Replace(shared.URL("issues", "/health"), fmt.Sprint(shared.ports.edge), fmt.Sprint(shared.ports.ingress), 1)
	direct := *b
	client := *b.client
	direct.client = &client
	if _, err := direct.Get(strings.Replace(address, "issues."+Domain, "127.0.0.1", 1)); err == nil {
		t.Error("the ingress took a connection without a PROXY header")
	}
}
