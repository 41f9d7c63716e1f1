package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/profile"
	"isogate/extauthz/session"
)

// startFederated runs the extauthz of the identity host, beside the sidecars.
func (s *callingSide) startFederated() (p *process, visit func(host string) decided) {
	s.t.Helper()
	write(s.t, filepath.Join(s.dir, "acme.pem"), authority(s.t))
	write(s.t, filepath.Join(s.dir, "service_users"), strings.Repeat("u", 32))
	p = startProcess(s.t, s.adminAddress, "-config", s.file)
	envoy := p.checks(filepath.Join(s.dir, "run", "check-federated.sock"))
	sealed := session.Sealed{Keys: s.sealers("federated"), Now: time.Now}
	return p, func(host string) decided {
		s.t.Helper()
		cookie, err := sealed.Seal(host, person(s.t, acmeID))
		if err != nil {
			s.t.Fatal(err)
		}
		service, _, _ := strings.Cut(host, ".")
		return p.sendCheck(envoy, host, service, "/x", "cookie", session.OutsideCookie+"="+cookie)
	}
}

// What the identity host's extauthz gives a service, that service's sidecar takes, and no other does; through changes of the keys and of the file.
func TestTheTwoEndsOfAToken(t *testing.T) {
	s := newCallingSide(t)
	p, visit := s.startFederated()
	side := s.startSidecar()
	token := func(host string) string { return visit(host).set[profile.HeaderToken] }
	before := token(support)
	side.expects("sent", acmeID, before)
	side.expects("token", acmeID, token("market.commercial.example"))

	// agree waits until both ends use the keys that there are now.
	agree := func(what, before string) {
		t.Helper()
		p.eventually(what, func() bool {
			fresh := token(support)
			return fresh[:8] != before[:8] && side.call(acmeID, fresh).reason == "sent" // a sealed value begins with the id of its key
		})
	}
	s.addKey("token-support", "1-second")
	agree("a second key", before)
	s.remove("token-support/0-first.key")
	side.becomes("token", acmeID, before)
	before = token(support)
	side.expects("sent", acmeID, before)
	s.edit("token-support", "token-other")
	agree("another folder", before)
	before = token(support)
	s.addKey("token-other", "1-second")
	agree("a second key in that folder", before)

	p.refuses("keys that cannot be read", "platform.services[0].egress.token_key", func() {
		write(t, filepath.Join(s.dir, "token-bad", "0-first.key"), "a word")
		s.edit("token-support", "token-bad")
	})
	side.expects("sent", acmeID, token(support))
}

func TestAServiceGetsAndLosesASidecar(t *testing.T) {
	s := newCallingSide(t)
	p, visit := s.startFederated()
	given := func() bool {
		got := visit("status.commercial.example")
		if got.reason != "session" || got.set[profile.HeaderCloud] != acmeID {
			t.Fatalf("%s, and the cloud %q", got.reason, got.set[profile.HeaderCloud])
		}
		return got.set[profile.HeaderToken] != ""
	}
	if given() {
		t.Error("a service without a sidecar is given a token")
	}
	s.edit("82\", federation: allowed}", `82", federation: allowed, egress: {spiffe: "spiffe://commercial.example/status",
      listen: "127.0.0.1:9803", certificate: c, key: k, token_key: token-status, admin: "127.0.0.1:9903"}}`)
	p.eventually("a service that got a sidecar is given a token", given)
	s.edit()
	p.eventually("one that lost it is given none", func() bool { return !given() })
}
