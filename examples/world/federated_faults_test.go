package world

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"isogate/envoy/topology"
)

// away stops a part of the first cloud, or of the commercial side, for the time of a test.
func away(t *testing.T, part string) {
	t.Helper()
	if err := shared.Parts[part].Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Parts[part].Start(context.Background()); err != nil { // the test's own context has ended
			t.Error(err)
		}
		works(t, part)
	})
}

// works waits until both sides answer again.
func works(t *testing.T, part string) {
	t.Helper()
	eventually(t, part+" is back", func() bool {
		return status(t, shared.Browser(), shared.URL("issues", "/health")) == 200 && status(t, shared.Browser(), shared.URL("auth", "/oauth2/jwks")) == 200 &&
			status(t, shared.Browser(), at("support", "/whoami")) == 401
	})
}

// Whatever of the isolated cloud does not answer: who is signed in outside goes on, new sign-ins get a clear page, and it recovers by itself.
func TestCloudDoesNotAnswer(t *testing.T) {
	witness := member(t, "bob")
	t.Cleanup(func() { heard(t, witness) }) // once, for all that follow
	for part, stopped := range map[string]func(t *testing.T){
		"the ingress":      func(t *testing.T) { away(t, "envoy-ingress") },
		"extauthz":         func(t *testing.T) { away(t, "extauthz") },
		"the OAuth server": func(t *testing.T) { away(t, "oidcprovider") },
		"the way from the edge": func(t *testing.T) {
			edit(t, shared.Platform.File(), fmt.Sprintf("ingress: 127.0.0.1:%d\n    domains: [acme", shared.ports.ingress), "ingress: 127.0.0.1:1\n    domains: [acme")
			eventually(t, "the edge has read it", func() bool { return status(t, shared.Browser(), shared.URL("issues", "/health")) == 0 })
		},
	} {
		t.Run(part, func(t *testing.T) {
			b := member(t, "bob")
			before, _ := given(t, b, "support")
			t.Run("away", func(t *testing.T) {
				stopped(t)
				goesOn(t, b, before.User)
				page := lookup(t, watched(t), "bob@acme.example") // which asks no cloud
				if !strings.Contains(page.Body, shared.button()) {
					t.Fatalf("no button: %d", page.Status)
				}
				fresh := watched(t)
				page = must(t)(fresh.Press(lookup(t, fresh, "bob@acme.example"), shared.button(), nil))
				wantPage(t, page, 503, "Sign-in is not available right now")
				if page.URL.Host != shared.Platform.host("id") {
					t.Errorf("the page is at %s", page.URL)
				}
			})
			works(t, part)
			if e := serviceOf(t, federate(t, watched(t), shared.Cloud, "bob", at("support", "/whoami"))); e.User != before.User {
				t.Errorf("afterwards bob is %q", e.User)
			}
			if !known(t, b, "support") {
				t.Error("who was signed in is not any more")
			}
		})
	}
}

// heard waits until the commercial side hears from a cloud that did not answer, which it asks again no more often than every ten seconds.
func heard(t *testing.T, b *Browser) {
	t.Helper()
	before := outsideOf(b, "support")
	eventually(t, "the session is renewed", func() bool {
		time.Sleep(100 * time.Millisecond)
		return known(t, b, "support") && outsideOf(b, "support") != before
	})
}

// goesOn asks for longer than the check interval.
func goesOn(t *testing.T, b *Browser, user string) {
	t.Helper()
	for until := time.Now().Add(checkEvery + 1500*time.Millisecond); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		began := time.Now()
		e, status := given(t, b, "support")
		if status != 200 || e.User != user {
			t.Fatalf("a running session: %d, as %q", status, e.User)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a request took %s", took)
		}
	}
}

// A cloud that hangs holds nobody up for long, and nobody of another cloud at all.
func TestCloudHangs(t *testing.T) {
	b, grace := member(t, "bob"), watched(t)
	other := serviceOf(t, federate(t, grace, shared.Globex, "grace", at("support", "/whoami")))
	before, _ := given(t, b, "support")
	t.Cleanup(func() { heard(t, b) })
	away(t, "extauthz")
	hang(t)
	goesOn(t, b, before.User)
	if e, status := given(t, grace, "support"); status != 200 || e.User != other.User {
		t.Errorf("another cloud's person: %d", status)
	}
}

// What is killed outside signs nobody out: nothing of them is there.
func TestCommercialPartsKilled(t *testing.T) {
	b := member(t, "alice")
	before, _ := given(t, b, "support")
	for _, part := range []string{"xds-commercial", "extauthz-commercial", "envoy-commercial", "envoy-edge"} {
		if err := shared.Parts[part].Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		eventually(t, part+" is back, and the person is known", func() bool {
			e, status := given(t, b, "support")
			if status != 200 && status != 503 && status != 0 {
				t.Fatalf("%s: %d", part, status)
			}
			return status == 200 && e.User == before.User
		})
		works(t, part)
	}
}

// An Envoy that is replaced, and a control plane that is restarted, cost no request.
func TestCommercialEnvoyReplaced(t *testing.T) {
	b := member(t, "alice")
	for name, change := range map[string]func() error{
		"envoy-commercial": func() error { return shared.ReplaceEnvoy(t.Context(), topology.Commercial) },
		"xds-commercial": func() error {
			part := shared.Parts["xds-commercial"]
			if err := part.Stop(); err != nil {
				return err
			}
			return part.Start(t.Context())
		},
	} {
		stop := load(t, b, at("support", "/whoami"))
		if err := change(); err != nil {
			t.Fatal(err)
		}
		counts := stop()
		t.Logf("%s: %v", name, counts)
		for status, n := range counts {
			if status != 200 {
				t.Errorf("%s: %d, %d times", name, status, n)
			}
		}
	}
}

// Where the check does not answer, nobody passes, and a person gets a page.
func TestCommercialCheckDown(t *testing.T) {
	b := member(t, "alice")
	hits := shared.Platform.Services["support"].Hits()
	t.Run("down", func(t *testing.T) {
		away(t, "extauthz-commercial")
		for _, name := range []string{"support", "tenant", "id"} {
			wantPage(t, must(t)(b.Step(at(name, "/"))), 503, "Not available right now")
		}
		a := must(t)(b.Do("GET", at("support", "/whoami"), Fetch, nil, ""))
		if a.Status != 503 || problemOf(a) != "unavailable" {
			t.Errorf("a fetch: %d %.200s", a.Status, a.Body)
		}
		if got := status(t, b, shared.URL("issues", "/health")); got != 200 {
			t.Errorf("inside: %d", got)
		}
	})
	if reached := shared.Platform.Services["support"].Hits() - hits; reached != 0 {
		t.Errorf("%d requests reached the service", reached)
	}
	if !known(t, b, "support") {
		t.Error("afterwards the person is not known")
	}
}

// A service that does not answer is the same clear page.
func TestServiceDown(t *testing.T) {
	b := member(t, "alice")
	for _, s := range shared.sites {
		if s.handler != shared.Platform.Services["support"] {
			continue
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		wantPage(t, must(t)(b.Step(at("support", "/"))), 503, "Not available right now")
		a := must(t)(b.Do("GET", at("support", "/whoami"), Fetch, nil, ""))
		if a.Status != 503 || problemOf(a) != "upstream" {
			t.Errorf("a fetch: %d %.200s", a.Status, a.Body)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the service is back", func() bool { return known(t, b, "support") })
}

// A faulty commercial file changes nothing while everything runs.
func TestFaultyCommercialFile(t *testing.T) {
	b := member(t, "alice")
	const counter = `isogate_reloads_total{result="failed",what="config"}`
	admins := []int{shared.Platform.ports.xds, shared.Platform.ports.extauth}
	before := []string{metric(t, admins[0], counter), metric(t, admins[1], counter)}
	edit(t, shared.Platform.File(), "federation: allowed", "federation: maybe")
	eventually(t, "both daemons count the fault", func() bool {
		return metric(t, admins[0], counter) != before[0] && metric(t, admins[1], counter) != before[1]
	})
	if !known(t, b, "support") {
		t.Error("the last good file does not serve")
	}
}

// A service may be closed to people of isolated clouds while they use it.
func TestServiceClosesToFederation(t *testing.T) {
	b := member(t, "alice")
	t.Run("closed", func(t *testing.T) {
		edit(t, shared.Platform.File(), "federation: allowed", "federation: none")
		eventually(t, "the service refuses", func() bool { _, status := given(t, b, "support"); return status == 403 })
		a := must(t)(b.Do("GET", at("support", "/whoami"), Fetch, nil, ""))
		if problemOf(a) != "federation" {
			t.Errorf("the problem: %s", a.Body)
		}
		wantPage(t, must(t)(b.Step(at("support", "/"))), 403, "Not open to this account")
	})
	eventually(t, "and open again", func() bool { return known(t, b, "support") })
}
