package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
)

const (
	acmeID   = "acme-9f3b6c1de2a84f70"
	globexID = "globex-11aa22bb33cc44dd"
	support  = "support.commercial.example"
)

// withSidecars is a commercial file with two services that have sidecars and one that has none. Of the keys that it names none is there yet.
const withSidecars = `platform:
  identity_host: id.commercial.example
  services:
    - id: support
      host: support.commercial.example
      upstream: "10.0.1.1:80"
      federation: allowed
      egress:
        {spiffe: "spiffe://commercial.example/support", listen: "127.0.0.1:9801", certificate: c, key: k, token_key: token-support, admin: "SUPPORT"}
    - id: market
      host: market.commercial.example
      upstream: "10.0.1.1:81"
      federation: allowed
      egress:
        {spiffe: "spiffe://commercial.example/market", listen: "127.0.0.1:9802", certificate: c, key: k, token_key: token-market, admin: "127.0.0.1:9"}
    - {id: status, host: status.commercial.example, upstream: "10.0.1.1:82", federation: allowed}
  listeners: {edge: "10.0.1.2:443", commercial: "10.0.1.2:8445"}
  sockets: run
clouds:
  - id: acme-9f3b6c1de2a84f70
    domain: acme.example
    ingress: 10.0.0.2:8443
    gateway: 10.0.0.3:8444
    domains: [acme.example]
    issuer: https://auth.acme.example
    ca: acme.pem
    client: {id: commercial, key: client}
extauthz:
  admin: "ADMIN"
  keys: {sealing: sealing, federated: federated, service_users: service_users}
`

const globex = `  - id: globex-11aa22bb33cc44dd
    domain: globex.example
    ingress: 10.0.0.4:8443
    gateway: 10.0.0.5:8444
    domains: [globex.example]
    issuer: https://auth.globex.example
    ca: acme.pem
    client: {id: commercial, key: client}
extauthz:
`

// callingSide is a folder with that file.
type callingSide struct {
	t                          *testing.T
	dir, file                  string
	adminAddress, sidecarAdmin string
}

func newCallingSide(t *testing.T) *callingSide {
	s := &callingSide{t: t, dir: shortDir(t), adminAddress: freeAddress(t), sidecarAdmin: freeAddress(t)}
	s.file = filepath.Join(s.dir, "commercial.yaml")
	s.edit()
	return s
}

// edit writes the file with changes: old, new, old, new. Nothing of an earlier edit stays.
func (s *callingSide) edit(changes ...string) {
	s.t.Helper()
	text := strings.NewReplacer("SUPPORT", s.sidecarAdmin, "ADMIN", s.adminAddress).Replace(withSidecars)
	for i := 0; i+1 < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			s.t.Fatalf("the file does not hold %q", changes[i])
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	write(s.t, s.file, text)
}

// sealers are the keys of a folder, which get a first one if there is none.
func (s *callingSide) sealers(folder string) *keys.Sealers {
	s.t.Helper()
	opened, err := keys.OpenSealers(filepath.Join(s.dir, folder), time.Now)
	if err != nil {
		s.t.Fatal(err)
	}
	return opened
}

// addKey puts a key into a folder, whole and old enough to be used at once.
func (s *callingSide) addKey(folder, name string) {
	s.t.Helper()
	made, old := s.t.TempDir(), time.Now().Add(-time.Minute-keys.Settle)
	file := name + ".key"
	err := errors.Join(keys.GenerateSealer(made, name), os.Chtimes(filepath.Join(made, file), old, old),
		os.Rename(filepath.Join(made, file), filepath.Join(s.dir, folder, file)))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *callingSide) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// sidecarProcess is the running sidecar of the support.
type sidecarProcess struct {
	*process
	envoy auth.AuthorizationClient
}

func (s *callingSide) startSidecar() *sidecarProcess {
	s.t.Helper()
	p := startProcess(s.t, s.sidecarAdmin, "egress", "support", "-config", s.file)
	return &sidecarProcess{p, p.checks(filepath.Join(s.dir, "run", "check-egress-support.sock"))}
}

// call is what the support sends.
func (p *sidecarProcess) call(cloud, token string) decided {
	p.t.Helper()
	return p.sendCheck(p.envoy, "localhost", "", "/rest/api/issue/X-1",
		profile.HeaderCloud, cloud, profile.HeaderToken, token, profile.HeaderProduct, "issues")
}

// expects sends a call and holds the reason of the answer against what is wanted.
func (p *sidecarProcess) expects(reason, cloud, token string) {
	p.t.Helper()
	if got := p.call(cloud, token); got.reason != reason || (got.status == 0) != (reason == "sent") {
		p.t.Errorf("%s with status %d, want %s", got.reason, got.status, reason)
	}
}

// person is somebody of a cloud, signed in just now.
func person(t *testing.T, cloud string) session.Outside {
	t.Helper()
	key, err := dpop.Generate()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return session.Outside{
		Cloud: cloud, Subject: "subject-inside", Grant: "grant-inside", Token: "the.access.token", Key: key.Marshal(), Start: now, Checked: now,
	}.Until(now.Add(24 * time.Hour))
}

// becomes waits until a call has an outcome: what was changed is picked up by a running process.
func (p *sidecarProcess) becomes(reason, cloud, token string) {
	p.t.Helper()
	p.eventually("a call is answered with "+reason, func() bool { return p.call(cloud, token).reason == reason })
}

func (s *callingSide) carried(keys *keys.Sealers, o session.Outside) string {
	s.t.Helper()
	value, err := session.Carrier{Service: "support", Keys: keys, Now: time.Now}.Seal(o)
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}

// The sidecar runs where no other key of the commercial side is, answers checks, and makes none of those keys.
func TestASidecarHasOneKey(t *testing.T) {
	s := newCallingSide(t)
	p := s.startSidecar()
	o := person(t, acmeID)
	got := p.call(acmeID, s.carried(s.sealers("token-support"), o))
	if got.reason != "sent" || got.set["authorization"] != "DPoP "+o.Token || strings.Count(got.set["dpop"], ".") != 2 {
		t.Errorf("%s, set %d headers", got.reason, len(got.set))
	}
	p.expects("token", acmeID, s.carried(s.sealers("token-market"), o))
	p.expects("cloud", globexID, s.carried(s.sealers("token-support"), o))
	if err := os.RemoveAll(filepath.Join(s.dir, "token-market")); err != nil { // the test made it
		t.Fatal(err)
	}
	there, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range there {
		if name := entry.Name(); name != "commercial.yaml" && name != "run" && name != "token-support" {
			t.Errorf("there is %s", name)
		}
	}
}

func TestASidecarReloads(t *testing.T) {
	s := newCallingSide(t)
	p := s.startSidecar()
	shared := s.sealers("token-support")
	acme, other := s.carried(shared, person(t, acmeID)), s.carried(shared, person(t, globexID))
	p.expects("sent", acmeID, acme)
	p.expects("cloud", globexID, other)

	s.edit("extauthz:\n", globex)
	p.becomes("sent", globexID, other)
	s.edit("    gateway: 10.0.0.3:8444\n", "")
	p.becomes("cloud", acmeID, acme)
	p.becomes("cloud", globexID, other)
	s.edit()
	p.becomes("sent", acmeID, acme)

	for _, tt := range []struct{ name, old, fresh, fault string }{
		{"another admin address", s.sidecarAdmin, freeAddress(t), "egress.admin of support has changed"},
		{"another folder of sockets", "sockets: run", "sockets: walk", "platform.sockets has changed"},
		{"no such service", "id: support", "id: helpdesk", `there is no service \"support\"`},
		{"something else that is wrong", "domain: acme.example", "domain: 1", "clouds[0].domain"},
	} {
		p.refuses(tt.name, tt.fault, func() { s.edit(tt.old, tt.fresh) })
		p.expects("sent", acmeID, acme)
	}

	s.edit("token-support", "token-other")
	p.becomes("token", acmeID, acme)
	p.expects("sent", acmeID, s.carried(s.sealers("token-other"), person(t, acmeID)))
}

// CVE-2026-47775: while its keys change, a sidecar opens what either sealed; what a removed one sealed, it does not.
func TestASidecarsKeysChange(t *testing.T) {
	s := newCallingSide(t)
	p := s.startSidecar()
	before := s.carried(s.sealers("token-support"), person(t, acmeID))
	p.expects("sent", acmeID, before)
	s.addKey("token-support", "1-second")
	after := s.carried(s.sealers("token-support"), person(t, acmeID))
	p.becomes("sent", acmeID, after)
	p.expects("sent", acmeID, before)
	s.remove("token-support/0-first.key")
	p.becomes("token", acmeID, before)
	p.expects("sent", acmeID, after)
	p.refuses("a key that others may read", "open to others", func() {
		if err := os.Chmod(filepath.Join(s.dir, "token-support", "1-second.key"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	p.expects("sent", acmeID, after)
}

// Neither token nor proof nor key stands in a log line, a metric, a status or an answer, whatever the outcome.
func TestNothingOfACallIsWrittenDown(t *testing.T) {
	s := newCallingSide(t)
	p := s.startSidecar()
	shared := s.sealers("token-support")
	o := person(t, acmeID)
	spoilt := o
	spoilt.Key = []byte("no-scalar-of-P-256")
	good, broken := s.carried(shared, o), s.carried(shared, spoilt)
	p.expects("sent", acmeID, good)
	written := ""
	for reason, call := range map[string][2]string{"token": {acmeID, good[:60]}, "cloud": {globexID, good}, "unavailable": {acmeID, broken}} {
		got := p.call(call[0], call[1])
		if got.reason != reason {
			t.Errorf("%s, want %s", got.reason, reason)
		}
		written += got.body
	}
	metrics, _ := p.ask("/metrics")
	status, _ := p.ask("/status")
	counted := strings.Contains(metrics, `isogate_checks_seconds_count{profile="egress",reason="sent"} 1`)
	if !counted || !strings.Contains(status, `"service": "support"`) {
		t.Errorf("the test looks at the wrong thing: %s", status)
	}
	p.eventually("the cause is in the log", func() bool { return strings.Contains(p.log.String(), "not a private key on P-256") })
	written += metrics + status + p.log.String()
	for _, secret := range []string{good[:60], broken[:60], o.Token, o.Subject, o.Grant, "scalar-of", "eyJ", acmeID, globexID, "X-1"} {
		if strings.Contains(written, secret) {
			t.Errorf("%q is written down", secret)
		}
	}
}

func TestSidecarsThatDoNotStart(t *testing.T) {
	s := newCallingSide(t)
	inside := filepath.Join(s.dir, "isolated.yaml")
	write(t, inside, whole)
	for _, tt := range []struct {
		name string
		args []string
		exit int
		want string
	}{
		{"fine", []string{"egress", "support", "-config", s.file, "-check"}, 0, ": ok"},
		{"no service named", []string{"egress"}, 2, "usage: extauthz egress SERVICE"},
		{"a flag in its place", []string{"egress", "-config", s.file}, 2, "usage: extauthz egress SERVICE"},
		{"no file", []string{"egress", "support"}, 2, "-config FILE is required"},
		{"two services", []string{"egress", "support", "market", "-config", s.file}, 2, "nothing else is read"},
		{"an unknown service", []string{"egress", "helpdesk", "-config", s.file}, 2, `there is no service "helpdesk"`},
		{"an unknown service, looked at", []string{"egress", "helpdesk", "-config", s.file, "-check"}, 2, `there is no service "helpdesk"`},
		{"a service without a sidecar", []string{"egress", "status", "-config", s.file, "-check"}, 2, "status has no egress"},
		{"the file of an isolated cloud", []string{"egress", "support", "-config", inside, "-check"}, 2, "file of an isolated cloud"},
		{"no such file", []string{"egress", "support", "-config", s.file + "x", "-check"}, 2, "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, output := command(tt.args...)
			exit := 0
			if err := c.Run(); err != nil {
				failed, ok := errors.AsType[*exec.ExitError](err)
				if !ok {
					t.Fatal(err)
				}
				exit = failed.ExitCode()
			}
			if exit != tt.exit || !strings.Contains(output.String(), tt.want) {
				t.Errorf("exit %d: %s", exit, output)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(s.dir, "token-support")); err == nil {
		t.Error("looking at a file makes keys")
	}
	write(t, filepath.Join(s.dir, "token-support", "0-first.key"), "a word")
	c, output := command("egress", "support", "-config", s.file)
	if err := c.Run(); err == nil || !strings.Contains(output.String(), "egress.token_key of support") || strings.Contains(output.String(), "a word") {
		t.Errorf("a file that holds no key: %v: %s", err, output)
	}
}
