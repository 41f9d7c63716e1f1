package world

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/keys"
)

// shared is the world in which the end-to-end tests run, one after the other: a test that breaks something mends it before it ends.
var shared *World

// checkEvery is how soon the commercial side notices what happened inside.
const checkEvery = 2 * time.Second

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "world")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	clients, err := portalEntry()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared, err = Start(context.Background(), Options{Dir: dir, Progress: os.Stderr, Clients: clients, Second: true, CheckEvery: checkEvery.String()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	shared.Close()
	_ = os.RemoveAll(filepath.Dir(clients))
	if code == 0 {
		_ = os.RemoveAll(dir) // after a failure the logs stay, to be read
	} else {
		fmt.Fprintln(os.Stderr, "the logs are in", dir)
	}
	os.Exit(code)
}

// A second client of another sector, as a person would add one with a file of their own.
const (
	portal         = "portal"
	portalCallback = "https://portal.example/back?from=isogate"
)

// portalKeys is the folder with the second client's key.
func portalKeys() string { return filepath.Join(filepath.Dir(shared.Clients), portal) }

// portalEntry makes the file and the keys that it names.
func portalEntry() (file string, err error) {
	dir, err := os.MkdirTemp("", "clients")
	if err != nil {
		return "", err
	}
	signers, err := keys.OpenSigners(filepath.Join(dir, portal), time.Now)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "portal.jwks"), signers.JWKS(), 0o600); err != nil {
		return "", err
	}
	entry := fmt.Sprintf("- id: %s\n  name: Partner Portal\n  jwks: portal.jwks\n  redirect_uris: [%q]\n", portal, portalCallback)
	return filepath.Join(dir, "clients.yaml"), os.WriteFile(filepath.Join(dir, "clients.yaml"), []byte(entry), 0o600)
}

// must unwraps an answer that a test cannot do without.
func must(t *testing.T) func(a Answer, err error) Answer {
	return func(a Answer, err error) Answer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// signedIn is a browser in which somebody is signed in at the issue tracker.
func signedIn(t *testing.T, name string) *Browser {
	t.Helper()
	warnings(t)
	b := shared.Browser()
	a := must(t)(b.SignIn(shared.User(name), shared.URL("issues", "/whoami")))
	if a.Status != 200 {
		t.Fatalf("signing in %s: %d at %s\n%.600s", name, a.Status, a.URL, a.Body)
	}
	return b
}

// eventually waits for a condition that a live change brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// status is the status of a request that a script makes, 0 where the connection fails.
func status(t *testing.T, b *Browser, address string) int {
	t.Helper()
	a, err := b.Do("GET", address, Fetch, nil, "")
	if err != nil {
		t.Log(err)
		return 0
	}
	return a.Status
}

// roles are the Envoys of the first cloud and of the commercial side.
var roles = []topology.Role{
	topology.Ingress, topology.Gateway, topology.Edge, topology.Commercial, topology.EgressRole("support"), topology.EgressRole("market"),
}

// envoyAdmin asks an Envoy of the world.
func (w *World) envoyAdmin(role, path string) ([]byte, error) {
	return w.EnvoyAdmin(context.Background(), "envoy-"+role, path)
}

// browserFor is a browser that also finds a host which the world does not have from its start.
func (w *World) browserFor(name string) *Browser {
	b := w.Browser()
	connect := daemon.Connect(maps.Clone(w.Connect()))
	connect[net.JoinHostPort(name+"."+Domain, strconv.Itoa(w.ports.edge))] = w.Edge()
	client := connect.Client(w.CA.Pool())
	client.Jar = b.jar
	b.client, b.knows = client, connect
	return b
}
