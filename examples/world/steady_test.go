package world

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isogate/envoy/topology"
	"isogate/extauthz/keys"
)

// steady is a load at a fixed rate, whatever the answers take: a person's requests over one connection and over new ones, and a stranger's.
// Each answer is held against what it must be.
type steady struct {
	quit   chan struct{}
	done   sync.WaitGroup
	sent   atomic.Int64
	mu     sync.Mutex
	faults []string
}

// caller sends one request and says what is wrong with the answer, "" if nothing.
type caller func() string

func startSteady(perSecond int, callers ...caller) *steady {
	s := &steady{quit: make(chan struct{})}
	s.done.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-s.quit:
				return
			case <-tick.C:
			}
			s.done.Go(func() { s.note(callers[i%len(callers)]()) })
		}
	})
	return s
}

func (s *steady) note(fault string) {
	s.sent.Add(1)
	if fault == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, time.Now().Format("15:04:05.000 ")+fault)
}

// wrong takes the wrong answers that were noted so far.
func (s *steady) wrong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.faults
	s.faults = nil
	return taken
}

// end stops the load. What is still under way has its answer noted.
func (s *steady) end() {
	close(s.quit)
	s.done.Wait()
}

// asPerson wants the product's answer for this person and session; asStranger wants a refusal.
func asPerson(t *testing.T, b *Browser) caller {
	address := shared.URL("issues", "/whoami")
	sid := echoOf(t, must(t)(b.Do("GET", address, Fetch, nil, ""))).Claims["sid"].(string)
	return func() string {
		a, err := b.Do("GET", address, Fetch, nil, "")
		if err != nil || a.Status != 200 || !strings.Contains(a.Body, sid) {
			return fmt.Sprintf("signed in: %d %v %.120s", a.Status, err, a.Body)
		}
		return ""
	}
}

func asStranger(b *Browser) caller {
	return func() string {
		a, err := b.Do("GET", shared.URL("wiki", "/whoami"), Fetch, nil, "")
		if err != nil || a.Status != 401 || !strings.Contains(a.Body, "unauthenticated") {
			return fmt.Sprintf("stranger: %d %v %.120s", a.Status, err, a.Body)
		}
		return ""
	}
}

// onNewConnections is the same browser, each of whose requests opens a connection.
func (b *Browser) onNewConnections() *Browser {
	client := *b.client
	transport := client.Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	client.Transport = transport
	return &Browser{client: &client, jar: b.jar}
}

// half is half of what this machine answers when it does nothing else, in requests a second.
func half(callers ...caller) int {
	began, sent := time.Now(), atomic.Int64{}
	var workers sync.WaitGroup
	for i := range 2 * len(callers) {
		workers.Go(func() {
			for time.Since(began) < time.Second {
				_ = callers[i%len(callers)]()
				sent.Add(1)
			}
		})
	}
	workers.Wait()
	return max(int(sent.Load()/2), 2)
}

// Whatever an operator changes in a running world: no request fails, and none passes, because of it.
func TestLiveChangesUnderLoad(t *testing.T) {
	b, stranger := signedIn(t, "bob"), shared.Browser()
	callers := []caller{asPerson(t, b), asPerson(t, b.onNewConnections()), asStranger(stranger)}
	rate := half(callers...)
	t.Logf("at %d requests a second", rate)
	load := startSteady(rate, callers...)
	defer load.end()
	for _, change := range liveChanges {
		// A machine that is busy with something else can starve a check for its one second. What a change causes comes every time.
		for attempt := 1; ; attempt++ {
			wrong := load.during(t, change.name, change.do)
			if len(wrong) == 0 {
				break
			}
			t.Logf("%s, attempt %d: %d wrong answers, such as %s", change.name, attempt, len(wrong), wrong[0])
			if attempt == 3 {
				t.Errorf("%s: wrong answers each time", change.name)
				break
			}
		}
	}
	t.Logf("%d requests", load.sent.Load())
	fresh := signedIn(t, "alice")
	if got := status(t, fresh, shared.URL("issues", "/.isogate/logout")); got != 200 {
		t.Errorf("after all of it: %d", got)
	}
}

// during makes one change under the load, and gives the answers that were wrong meanwhile.
func (s *steady) during(t *testing.T, name string, change func(*testing.T)) []string {
	before := s.sent.Load()
	t.Run(name, func(t *testing.T) {
		change(t)
		time.Sleep(700 * time.Millisecond)
	})
	if s.sent.Load() == before {
		t.Errorf("%s: no request was sent meanwhile: the change shows nothing", name)
	}
	return s.wrong()
}

var liveChanges = []struct {
	name string
	do   func(t *testing.T)
}{
	{"a product's claims", func(t *testing.T) { edit(t, shared.File(), "claims: [email, name, groups]", "claims: [name]"); pause() }},
	{"a new product", func(t *testing.T) {
		edit(t, shared.File(), "  managed_domains:", fmt.Sprintf("    - id: extra\n      upstream: 127.0.0.1:%d\n  managed_domains:", shared.ports.products["wiki"]))
		pause()
	}},
	{"limits", func(t *testing.T) { edit(t, shared.File(), "absolute: 12h", "absolute: 8h"); pause() }},
	{"a provider", func(t *testing.T) { edit(t, shared.File(), "      name: Corp\n", "      name: Corporation\n"); pause() }},
	{"a fault in the file", func(t *testing.T) { edit(t, shared.File(), "domain: ", "domane: "); pause() }},
	{"the certificate", func(t *testing.T) {
		if err := shared.RotateCertificate(); err != nil {
			t.Fatal(err)
		}
	}},
	{"policies", func(t *testing.T) {
		edit(t, filepath.Join(shared.Policies(), "ingress.rego"), "forbidden contains \"nothing\" if false\n", "forbidden contains \"no-payroll\" if input.product == \"payroll\"\n")
		pause()
	}},
	{"broken policies", func(t *testing.T) {
		edit(t, filepath.Join(shared.Policies(), "ingress.rego"), "package isogate.ingress\n", "package isogate.ingress\n}\n")
		pause()
	}},
	{"the key of the tokens", func(t *testing.T) { rotate(t, shared.secret("uct"), ".pem", keys.GenerateSigner, 11*time.Second) }},
	{"the key of sealed values", func(t *testing.T) { rotate(t, shared.secret("sealing"), ".key", keys.GenerateSealer, time.Second) }},
	{"restart of the control planes", func(t *testing.T) {
		for _, name := range []string{"xds", "xds-commercial"} {
			if err := shared.Parts[name].Stop(); err != nil {
				t.Fatal(err)
			}
			pause()
			if err := shared.Parts[name].Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"replacement of the ingress Envoy", func(t *testing.T) {
		if err := shared.ReplaceEnvoy(t.Context(), topology.Ingress); err != nil {
			t.Fatal(err)
		}
	}},
}

// pause is longer than a change needs to be seen.
func pause() { time.Sleep(500 * time.Millisecond) }

// rotate does what an operator does, in a moment instead of minutes: a new key that counts as settled, then, once whoever opens or verifies
// has had the time to learn of it (verifiers ask for an unknown key at most every ten seconds), the old one away.
func rotate(t *testing.T, dir, ending string, generate func(dir, name string) error, learn time.Duration) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(dir, "*"+ending))
	if err != nil || len(old) == 0 {
		t.Fatalf("no key in %s: %v", dir, err)
	}
	name := fmt.Sprintf("next-%d", time.Now().UnixNano())
	if err := generate(dir, name); err != nil {
		t.Fatal(err)
	}
	pause() // published
	settled := time.Now().Add(-2 * keys.Settle)
	if err := os.Chtimes(filepath.Join(dir, name+ending), settled, settled); err != nil {
		t.Fatal(err)
	}
	for _, file := range old { // older than the new one, so not used any more
		ancient := settled.Add(-keys.Settle)
		if err := os.Chtimes(file, ancient, ancient); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(learn)
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	pause()
}
