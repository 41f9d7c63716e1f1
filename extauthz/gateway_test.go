package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
	"isogate/extauthz/kv"
	"isogate/extauthz/session"
	"isogate/policies"
)

// crossing is a file with a gateway.
var crossing = strings.NewReplacer(
	`listeners: {ingress: "10.0.0.2:8443"}`, `listeners: {ingress: "10.0.0.2:8443", gateway: "10.0.0.2:8444"}`+"\n  gateway: {trust_domain: commercial.example, callers: callers.pem}",
).Replace(whole)

// inside is an isolated side that has read its file, before it serves anything.
type inside struct {
	*live
	t    *testing.T
	log  *bytes.Buffer
	bolt *kv.Bolt
}

func openInside(t *testing.T, text string) *inside {
	t.Helper()
	folder, err := os.MkdirTemp("", "x") // t.TempDir is too long for a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	for name, content := range map[string]string{"isolated.yaml": text, "secret": "s3cret", "user_id": strings.Repeat("k", 32)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return reopenInside(t, filepath.Join(folder, "isolated.yaml"))
}

func reopenInside(t *testing.T, file string) *inside {
	t.Helper()
	log := &bytes.Buffer{}
	in := &inside{live: &live{process: &daemon.Process{File: file, Log: slog.New(slog.NewTextHandler(log, nil)), Admin: daemon.NewAdmin()}}, t: t, log: log}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if in.bolt, err = kv.OpenBolt(string(c.ExtAuthz.Store), time.Now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.bolt.Close() })
	if err := in.open(c, in.bolt, session.NewStored(in.bolt, time.Now)); err != nil {
		t.Fatal(err)
	}
	return in
}

// edit changes the file and reads it again.
func (in *inside) edit(old, fresh string) error {
	in.t.Helper()
	text, err := os.ReadFile(in.process.File)
	if err != nil || !strings.Contains(string(text), old) {
		in.t.Fatalf("the file does not hold %q: %v", old, err)
	}
	if err := os.WriteFile(in.process.File, []byte(strings.Replace(string(text), old, fresh, 1)), 0o600); err != nil {
		in.t.Fatal(err)
	}
	return in.reloadFile()
}

func TestTheGatewayHasASocketOfItsOwn(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string
	}{
		{"without a gateway", whole, []string{"checks"}},
		{"with one", crossing, []string{"checks", "checks gateway"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := openInside(t, tt.file)
			units, err := in.checkUnits()
			if err != nil || len(units) != len(tt.want) {
				t.Fatalf("%d units, %v", len(units), err)
			}
			for i, u := range units {
				if u.Name != tt.want[i] {
					t.Errorf("%q, want %q", u.Name, tt.want[i])
				}
			}
			_, err = os.Stat(in.state.Load().config.Cloud.CheckSocket("gateway"))
			if there := err == nil; there != (len(tt.want) == 2) {
				t.Errorf("the socket: %v", err)
			}
		})
	}
}

// A gateway comes and goes with a restart alone, since Envoy's listener does too; all else of it is taken from a running process's file.
func TestWhichChangesOfAGatewayAreTaken(t *testing.T) {
	const gateway = "  gateway: {trust_domain: commercial.example, callers: callers.pem}\n"
	in := openInside(t, crossing)
	was := in.state.Load()
	if err := in.edit(`, gateway: "10.0.0.2:8444"}`+"\n"+gateway, "}\n"); err == nil || !strings.Contains(err.Error(), "cloud.gateway has changed: restart") {
		t.Errorf("removed: %v", err)
	}
	if in.state.Load() != was {
		t.Error("half of the change is taken")
	}
	in = openInside(t, whole)
	if err := in.edit(`listeners: {ingress: "10.0.0.2:8443"}`+"\n", `listeners: {ingress: "10.0.0.2:8443", gateway: "10.0.0.2:8444"}`+"\n"+gateway); err == nil || !strings.Contains(err.Error(), "cloud.gateway has changed: restart") {
		t.Errorf("added: %v", err)
	}
	in = openInside(t, crossing)
	was = in.state.Load()
	if err := in.edit("commercial.example, callers", "partner.example, callers"); err != nil || in.state.Load().gateway == was.gateway {
		t.Errorf("another trust domain: %v", err)
	}
}

// Each profile decides by its own rules: what the gateway would misdirect the ingress would too, but for a host of its own.
func TestEachSocketHasItsOwnRules(t *testing.T) {
	in := openInside(t, crossing)
	tests := []struct {
		host, sni            string
		ingress, gateway     check.Reason
		ingressAt, gatewayAt int
	}{
		{"issues.acme.example", "issues.acme.example", check.Skew, check.Misdirected, 503, 421},
		{"issues.gateway.acme.example", "gateway.acme.example", check.Misdirected, check.Caller, 421, 403},
	}
	for _, tt := range tests {
		r := check.Request{Method: "GET", Host: tt.host, SNI: tt.sni, Path: "/", Header: check.Header{}}
		if v := in.Decide(t.Context(), r); v.Reason != tt.ingress || v.Answer.Status != tt.ingressAt {
			t.Errorf("%s at the ingress: %s", tt.host, v.Reason)
		}
		if v := (crossings{in.live}).Decide(t.Context(), r); v.Reason != tt.gateway || v.Answer.Status != tt.gatewayAt {
			t.Errorf("%s at the gateway: %s", tt.host, v.Reason)
		}
	}
}

// The log says which endpoints expose nothing, by their ids alone.
func TestEndpointsThatExposeNothing(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"ingress.rego": "package isogate.ingress\nanonymous := {}\ndecision := {\"allow\": true, \"reason\": \"signed-in\"}\n",
		"gateway.rego": "package isogate.gateway\n" + exposing("issue.read", "issues", "/a") + exposing("page.read", "wiki", "/b") +
			strings.Replace(exposing("issue.old", "issues", "/c"), "}", `, "expires": "2020-01-01"}`, 1) + "decision := {\"allow\": true, \"reason\": \"exposed\"}\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle, err := policies.Load(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	in := openInside(t, crossing)
	in.warnOfEndpoints(bundle)
	got := in.log.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, "no such product\" endpoint=page.read") || !strings.Contains(got, "expired\" endpoint=issue.old") {
		t.Errorf("%s", got)
	}
	in = openInside(t, whole)
	in.warnOfEndpoints(bundle)
	if in.log.Len() > 0 {
		t.Errorf("without a gateway: %s", in.log)
	}
}

func exposing(id, product, path string) string {
	return `endpoints["` + id + `"] := {"product": "` + product + `", "method": "GET", "path": "` + path + `", "body": "none", "callers": ["spiffe://commercial.example/support"]}` + "\n"
}

// A process that follows a crash says why calls have to wait.
func TestTheLogTellsOfLostMarks(t *testing.T) {
	in := openInside(t, crossing)
	if err := in.marks.For("1").Replay.Add(t.Context(), "a", time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_ = in.bolt.Close()
	again := reopenInside(t, in.process.File)
	if got := again.log.String(); !strings.Contains(got, "calls have to wait") || !strings.Contains(got, "seconds=11") {
		t.Errorf("%s", got)
	}
	err := again.marks.For("2").Replay.Add(t.Context(), "a", time.Now().Add(time.Minute))
	if err == nil || err == dpop.ErrSeen {
		t.Errorf("%v", err)
	}
}
