// Package world starts everything that the demo and the end-to-end tests need, on one machine and on real parts: the three binaries of the
// project as processes of their own, a real Envoy for each role, an identity provider and two products. It makes the certificates, the
// keys and the two files, waits until all is ready, starts again what dies, and describes itself in world.json.
package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"isogate/envoy/topology"
	"isogate/examples/idp"
	"isogate/examples/product"
)

// Options say where and how a world runs. The zero value of each field is a sensible choice.
type Options struct {
	Root     string            // the project's folder; found from the working directory if ""
	Dir      string            // where the world keeps its files; Root/.world if ""
	Port     int               // of the edge, which browsers reach; a free one if 0
	IDPPort  int               // of the identity provider; a free one if 0
	Progress io.Writer         // what is being waited for; nothing if nil
	Session  map[string]string // session limits of the isolated file, such as {"idle": "5s"}
	Clients  string            // YAML file with more OAuth clients: a list of entries as in cloud.clients; none if ""
}

// World is a running world.
type World struct {
	Options
	CA       *CA
	Users    []idp.User
	IDP      *Site // the identity provider, which can be stopped and started
	Provider *idp.Provider
	Products map[string]*product.Product
	Parts    map[string]*Part // processes by name: xds, xds-commercial, extauthz, oidcprovider, envoy-edge, envoy-ingress

	ports   ports
	sockets string
	sites   []*Site
	order   []*Part // as started
	mu      sync.Mutex
	starts  map[topology.Role]int // how often an Envoy of a role was started
	writing sync.Mutex            // world.json, by one at a time
	ready   atomic.Bool
}

// Domain is the demo organisation's: its guarded hosts stand directly below it.
const Domain = "acme.localhost"

// Start starts a world and returns when a request would be answered. What was started is ended again if anything fails.
func Start(ctx context.Context, o Options) (_ *World, err error) {
	w := &World{Options: o, Products: map[string]*product.Product{}, Parts: map[string]*Part{}, starts: map[topology.Role]int{}, Users: demoUsers()}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"preparing the folder", w.prepare},
		{"building the binaries", w.build},
		{"choosing ports", w.choosePorts},
		{"writing certificates, keys and files", w.writeFiles},
		{"starting the identity provider and the products", w.startSites},
		{"starting the control planes", func(ctx context.Context) error { return w.startDaemons(ctx, "xds", "xds-commercial") }},
		{"starting the external authorization", func(ctx context.Context) error { return w.startDaemons(ctx, "extauthz") }},
		{"starting the OAuth server", func(ctx context.Context) error { return w.startDaemons(ctx, "oidcprovider") }},
		{"starting the Envoys", w.startEnvoys},
		{"waiting for the first answer", w.waitAnswer},
	} {
		w.say("%s", step.what)
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("world: %s: %w", step.what, err)
		}
	}
	w.ready.Store(true)
	return w, w.writeManifest()
}

// Close ends everything, in the opposite order. Its description goes first: it would speak of what is gone.
func (w *World) Close() {
	w.ready.Store(false)
	_ = os.Remove(w.Manifest())
	for i := len(w.order) - 1; i >= 0; i-- {
		_ = w.order[i].Stop()
	}
	for _, s := range w.sites {
		_ = s.Stop()
	}
	if w.sockets != "" {
		_ = os.RemoveAll(w.sockets)
	}
}

func (w *World) say(format string, args ...any) {
	if w.Progress != nil {
		fmt.Fprintf(w.Progress, "… "+format+"\n", args...)
	}
}

// URL is the external address of a path on a guarded host, given by its first label.
func (w *World) URL(name, path string) string {
	return "https://" + net.JoinHostPort(name+"."+Domain, strconv.Itoa(w.ports.edge)) + path
}

// Edge is the one address that browsers reach.
func (w *World) Edge() string { return local(w.ports.edge) }

// File is the isolated file.
func (w *World) File() string { return filepath.Join(w.Dir, "isolated.yaml") }

// Policies is the folder of the running world's Rego files: a copy, so that trying an edit changes nothing of the project.
func (w *World) Policies() string { return filepath.Join(w.Dir, "policies") }

// Connect says where to dial for each name.
func (w *World) Connect() map[string]string {
	out := map[string]string{w.idpHost(): local(w.ports.idp)}
	for _, name := range []string{"auth", "issues", "wiki"} {
		out[net.JoinHostPort(name+"."+Domain, strconv.Itoa(w.ports.edge))] = w.Edge()
	}
	return out
}

func (w *World) idpHost() string { return net.JoinHostPort(idpName, strconv.Itoa(w.ports.idp)) }

// waitAnswer waits for the first answers of a product, of the OAuth server, and of the session resource, which needs the OAuth server's keys
// to refuse a made-up token.
func (w *World) waitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	madeUp := map[string]string{"Authorization": "DPoP eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Im5vbmUifQ.e30." + strings.Repeat("A", 86)}
	for _, first := range []struct {
		address string
		headers map[string]string
		status  int
	}{
		{w.URL("issues", "/health"), nil, 200},
		{w.URL("auth", "/.well-known/openid-configuration"), nil, 200},
		{w.URL("auth", "/oauth2/session"), madeUp, 401},
	} {
		if err := w.waitFor(ctx, first.address, first.headers, first.status); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) waitFor(ctx context.Context, address string, headers map[string]string, status int) error {
	for {
		answer, err := w.Browser().Do("GET", address, nil, headers, "")
		if err == nil && answer.Status == status {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no good answer from %s (%d); the logs are in %s", address, answer.Status, filepath.Join(w.Dir, "log")), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// prepare makes an empty folder. The CA stays, so that whoever trusts it needs not do so again.
func (w *World) prepare(context.Context) error {
	if w.Root == "" {
		root, err := projectRoot()
		if err != nil {
			return err
		}
		w.Root = root
	}
	if w.Dir == "" {
		w.Dir = filepath.Join(w.Root, ".world")
	}
	entries, err := os.ReadDir(w.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != "ca" {
			if err := os.RemoveAll(filepath.Join(w.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, dir := range []string{"", "ca", "log", "secrets", "policies"} {
		if err := os.MkdirAll(filepath.Join(w.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	w.sockets, err = os.MkdirTemp("", "isogate") // short: a unix socket's path has at most 107 bytes
	return err
}

func projectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("not inside the project: no go.mod here or above")
}

// roles are the Envoys of the world, in the order in which they start.
var roles = []topology.Role{topology.Ingress, topology.Edge}
