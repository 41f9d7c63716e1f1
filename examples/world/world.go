// Package world starts everything that the demo and the end-to-end tests need, on one machine and on real parts: the three binaries of the
// project as processes of their own, a real Envoy for each role, an isolated cloud with an identity provider and two products, the commercial
// side with its services, and a second isolated cloud if it is asked for. It makes the certificates, the keys and the files, waits until all is
// ready, starts again what dies, and describes itself in world.json.
package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where and how a world runs. The zero value of each field is a sensible choice.
type Options struct {
	Root       string            // the project's folder; found from the working directory if ""
	Dir        string            // where the world keeps its files; Root/.world if ""
	Port       int               // of the edge, which browsers reach; a free one if 0
	IDPPort    int               // of the identity provider; a free one if 0
	Progress   io.Writer         // what is being waited for; nothing if nil
	Session    map[string]string // session limits of the isolated file, such as {"idle": "5s"}
	Clients    string            // YAML file with more OAuth clients: a list of entries as in cloud.clients; none if ""
	Second     bool              // whether a second isolated cloud runs
	CheckEvery string            // how often the commercial side asks whether a session lives, such as "2s"; 60s if ""
}

// World is a running world. What it has of a cloud is the first one's.
type World struct {
	Options
	*Cloud
	Globex   *Cloud // the second cloud; nil without one
	Platform *Platform
	CA       *CA
	Callers  *CA              // of the services' certificates
	Parts    map[string]*Part // processes by name: extauthz, envoy-ingress and so on, see programs

	base    string // folder of all unix sockets
	sites   []*Site
	stages  [][]*Part // as started: those of a stage need nothing of each other
	mu      sync.Mutex
	starts  map[string]int // how often an Envoy was started
	writing sync.Mutex     // world.json, by one at a time
	ready   atomic.Bool
	lock    *os.File // of the folder
}

// Start starts a world and returns when a request would be answered. What was started is ended again if anything fails.
func Start(ctx context.Context, o Options) (_ *World, err error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	w := &World{Options: o, Parts: map[string]*Part{}, starts: map[string]int{}}
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
		{"starting the identity providers, the products and the services", w.startSites},
		{"finding Envoy", w.declare},
		{"starting the control planes and the external authorization", func(ctx context.Context) error { return w.startStage(ctx, 0) }},
		{"starting the OAuth servers and the Envoys", func(ctx context.Context) error { return w.startStage(ctx, 1) }},
		{"waiting for the first answers", w.waitAnswers},
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
	if w.lock == nil { // nothing was begun
		return
	}
	defer w.lock.Close()
	w.ready.Store(false)
	if w.Cloud != nil {
		_ = os.Remove(w.Manifest())
	}
	for _, stage := range slices.Backward(w.stages) {
		_ = atOnce(stage, (*Part).Stop)
	}
	for _, s := range w.sites {
		_ = s.Stop()
	}
	if w.base != "" {
		_ = os.RemoveAll(w.base)
	}
}

// atOnce does the same to several parts at once.
func atOnce(parts []*Part, do func(*Part) error) error {
	faults := make([]error, len(parts))
	var all sync.WaitGroup
	for i, p := range parts {
		all.Go(func() { faults[i] = do(p) })
	}
	all.Wait()
	return errors.Join(faults...)
}

func (w *World) say(format string, args ...any) {
	fmt.Fprintf(w.Progress, "… "+format+"\n", args...)
}

// clouds are the isolated clouds, the first one first.
func (w *World) clouds() []*Cloud {
	if w.Globex == nil {
		return []*Cloud{w.Cloud}
	}
	return []*Cloud{w.Cloud, w.Globex}
}

// Edge is the one address that browsers reach.
func (w *World) Edge() string { return local(w.ports.edge) }

// Connect says where to dial for each name of the world.
func (w *World) Connect() map[string]string {
	out := w.Platform.connect()
	for _, c := range w.clouds() {
		maps.Copy(out, c.connect())
	}
	return out
}

// hosts are the names of the first cloud and of the commercial side, by their first label.
func (w *World) hosts() map[string]string {
	out := w.Platform.hosts()
	maps.Copy(out, w.Cloud.hosts())
	return out
}

// waitAnswers waits for the first answers of a product, of the OAuth server, and of the session resource, which needs the OAuth server's keys
// to refuse a made-up token; outside for those of a service and of the identity host; and between the two for those of gateways and sidecars.
func (w *World) waitAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	madeUp := map[string]string{"Authorization": "DPoP eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Im5vbmUifQ.e30." + strings.Repeat("A", 86)}
	type first struct {
		address string
		headers map[string]string
		status  int
	}
	awaited := []first{{w.Platform.URL("support", "/whoami"), Fetch, 401}, {w.Platform.URL(identityHost, "/.isogate/signin"), Navigation, 200}}
	for _, c := range w.clouds() {
		awaited = append(awaited, first{c.URL("issues", "/health"), nil, 200},
			first{c.URL("auth", "/.well-known/openid-configuration"), nil, 200}, first{c.URL("auth", "/oauth2/session"), madeUp, 401})
	}
	for _, first := range awaited {
		ask := func() (Answer, error) { return w.Browser().Do("GET", first.address, nil, first.headers, "") }
		if err := w.waitFor(ctx, first.address, first.status, ask); err != nil {
			return err
		}
	}
	return w.waitCrossing(ctx)
}

// waitFor asks until the answer has a status.
func (w *World) waitFor(ctx context.Context, whom string, status int, ask func() (Answer, error)) error {
	for {
		answer, err := ask()
		if err == nil && answer.Status == status {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no good answer from %s (%d); the logs are in %s", whom, answer.Status, filepath.Join(w.Dir, "log")), err)
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
	if err := w.claim(); err != nil {
		return err
	}
	entries, err := os.ReadDir(w.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "ca" && e.Name() != lockName {
			if err := os.RemoveAll(filepath.Join(w.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if w.base, err = os.MkdirTemp("", "isogate"); err != nil { // short: a unix socket's path has at most 107 bytes
		return err
	}
	w.Cloud = newCloud(acme, w.Dir, filepath.Join(w.base, acme.name), "")
	w.Platform = newPlatform(w.Dir, filepath.Join(w.base, "commercial"))
	folders := []string{w.Dir, filepath.Join(w.Dir, "ca"), filepath.Join(w.Dir, "log"), w.Platform.caller(""), w.Platform.sockets}
	if w.Second {
		w.Globex = newCloud(globex, filepath.Join(w.Dir, globex.name), filepath.Join(w.base, globex.name), "-"+globex.name)
	}
	for _, c := range w.clouds() {
		folders = append(folders, c.sockets, c.secret("clients"), c.Policies())
	}
	for _, dir := range folders {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
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
