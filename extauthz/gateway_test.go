package main

import (
	"bytes"
	"context"
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

// The log says what the policies list in vain: entries by their ids, callers by their names, each once, last days as they stand in the policies.
func TestEntriesInVain(t *testing.T) {
	files := map[string]string{
		"ingress.rego": "package isogate.ingress\n" + opening("ok", "issues", "") + opening("old", "issues", "2020-02-29") + opening("none", "wiki", "") +
			"decision := {\"allow\": true, \"reason\": \"signed-in\"}\n",
		"gateway.rego": "package isogate.gateway\n" + exposing("issue.read", "issues", "/a") + strings.Replace(exposing("page.read", "wiki", "/b"), "support", "suport", 1) +
			strings.Replace(exposing("issue.old", "issues", "/c"), "}", `, "expires": "2020-01-01"}`, 1) +
			strings.Replace(exposing("issue.typo", "issues", "/d"), `/support"`, `/support", "spiffe://commercial.example/suport", "spiffe://other.example/support"`, 1) +
			strings.Replace(exposing("issue.typo.too", "issues", "/e"), "support", "suport", 1) +
			"decision := {\"allow\": true, \"reason\": \"exposed\"}\n",
	}
	const (
		anonymous = `msg="an anonymous entry opens nothing: the file has no such product" entry=none product=wiki
msg="an anonymous entry opens nothing: it has expired" entry=old expires=2020-02-29
`
		endpoints = `msg="an endpoint exposes nothing: it has expired" endpoint=issue.old expires=2020-01-01
msg="an endpoint names a caller that the file does not have" endpoint=issue.typo caller=spiffe://commercial.example/suport
msg="an endpoint names a caller that the file does not have" endpoint=issue.typo caller=spiffe://other.example/support
msg="an endpoint exposes nothing: the file has no such product" endpoint=page.read product=wiki
`
		admitting = `redirect_uris: ["https://id.commercial.example/cb"], callers: ["spiffe://commercial.example/support"]}`
	)
	for _, tt := range []struct{ name, file, want string }{
		{"without a gateway", whole, anonymous},
		{"with one", strings.Replace(crossing, `redirect_uris: ["https://id.commercial.example/cb"]}`, admitting, 1), anonymous + endpoints},
	} {
		in := openInside(t, tt.file)
		in.follow(files)
		if got := in.warned(); got != tt.want {
			t.Errorf("%s:\n%s", tt.name, got)
		}
		if !strings.Contains(tt.file, admitting) {
			continue
		}
		if err := in.edit(`, callers: ["spiffe://commercial.example/support"]`, ""); err != nil {
			t.Fatal(err)
		}
		if got := in.warned(); !strings.Contains(got, "endpoint=issue.read caller=spiffe://commercial.example/support\n") {
			t.Errorf("a caller that is taken out of the file:\n%s", got)
		}
	}
}

// follow puts policies into their folder and watches it until they are read.
func (in *inside) follow(files map[string]string) {
	in.t.Helper()
	for name, text := range files {
		write(in.t, filepath.Join(string(in.state.Load().config.ExtAuthz.Policies), name), text)
	}
	ctx, cancel := context.WithCancel(in.t.Context())
	done := make(chan error)
	go func() { done <- in.watchPolicies(ctx) }()
	for end := time.Now().Add(20 * time.Second); in.bundle.Load() == nil && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil || in.bundle.Load() == nil {
		in.t.Fatalf("%v\n%s", err, in.log)
	}
}

// warned are the warnings of the log, each from its message on.
func (in *inside) warned() (lines string) {
	for line := range strings.Lines(in.log.String()) {
		if _, message, is := strings.Cut(line, "level=WARN "); is {
			lines += message
		}
	}
	return lines
}

func opening(id, product, expires string) string {
	end := ""
	if expires != "" {
		end = `, "expires": "` + expires + `"`
	}
	return `anonymous["` + id + `"] := {"product": "` + product + `", "method": "GET", "path": "/` + id + `", "purpose": "p", "owner": "o"` + end + "}\n"
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
