package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/xds/doctor"
)

// The printed configuration is what Envoy takes, is the same each time, holds no key, and is clean.
func TestPrint(t *testing.T) {
	isolated, federated, commercial, whole := newSite(t), newSite(t), newSite(t), newSite(t)
	whole.write(t, whole.commercial(t))
	federated.write(t, strings.Replace(federated.isolated(), "  sockets:", `  clients: [{id: platform, name: Platform, jwks: p.jwks, redirect_uris: ["https://a.example/"]}]
  sockets:`, 1))
	commercial.write(t, `platform: {listeners: {edge: "127.0.0.1:1"}, sockets: run}
clouds: [{id: 0123456789abcdef, domain: acme.example, ingress: "127.0.0.1:2"}]
xds: {admin: "127.0.0.1:3"}
`)
	crossing, sidecar := newSite(t), newSite(t)
	crossing.write(t, crossing.crossing(t, "127.0.0.1:4", crossing.ca))
	crossing.policy(t, gatewayPolicy([]string{"GET", "GET", "POST"}, []string{"/a", "/a/{x}", "/{x}/b"}))
	sidecar.write(t, sidecar.calling(t))
	for _, c := range []struct {
		role  string
		site  *site
		oauth bool
	}{
		{"ingress", isolated, false}, {"ingress", federated, true}, {"edge", commercial, false}, {"edge", whole, false}, {"commercial", whole, false},
		{"ingress", crossing, false}, {"gateway", crossing, false}, {"commercial", sidecar, false}, {"egress-support", sidecar, false},
	} {
		role, s := c.role, c.site
		var out, again, fault bytes.Buffer
		args := []string{"-config", s.file, "-role", role, "-admin", "a.sock"}
		if status := printStatic(args, &out, &fault); status != 0 {
			t.Fatalf("%s: status %d: %s", role, status, fault.String())
		}
		if printStatic(args, &again, &fault); !bytes.Equal(out.Bytes(), again.Bytes()) {
			t.Errorf("%s: differs the second time", role)
		}
		if text := out.String(); strings.Contains(text, "PRIVATE") || strings.Contains(text, "inline_bytes") || strings.Contains(text, "ads:") {
			t.Errorf("%s: holds a key, or asks a control plane", role)
		}
		if strings.Contains(out.String(), "/oauth2/") != c.oauth {
			t.Errorf("%s: leads to an OAuth server, or does not: %t expected", role, c.oauth)
		}
		file := filepath.Join(s.dir, role+".out.yaml")
		write(t, file, out.Bytes())
		if said, err := exec.Command(envoyBinary(t), "--mode", "validate", "-c", file).CombinedOutput(); err != nil {
			t.Errorf("%s: Envoy refuses it: %s", role, said)
		}
		report, err := doctor.Examine(out.Bytes())
		if err != nil || len(report.Findings)+len(report.Notes) > 0 {
			t.Errorf("%s: %v %+v", role, err, report)
		}
	}
}

func TestPrintFaults(t *testing.T) {
	s, whole, edge := newSite(t), newSite(t), newSite(t)
	whole.write(t, whole.commercial(t))
	edge.write(t, fmt.Sprintf(edgeAlone, edge.admin))
	bad := filepath.Join(s.dir, "bad.yaml")
	write(t, bad, []byte("cloud: {}\n"))
	cases := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"help", []string{"-h"}, 0, "Usage: xds print"},
		{"nothing", nil, 2, "required"},
		{"no role", []string{"-config", s.file}, 2, "required"},
		{"another side's role", []string{"-config", s.file, "-role", "edge"}, 2, `whose role is ingress, not "edge"`},
		{"the other side's role", []string{"-config", whole.file, "-role", "ingress"}, 2, `whose role is edge or commercial, not "ingress"`},
		{"a role that the file does not serve", []string{"-config", edge.file, "-role", "commercial"}, 2, `whose role is edge, not "commercial"`},
		{"an unknown flag", []string{"-x"}, 2, "not defined"},
		{"more", []string{"-config", s.file, "-role", "ingress", "x"}, 2, "nothing else"},
		{"faults", []string{"-config", bad, "-role", "ingress"}, 2, "bad.yaml:1"},
		{"no key", []string{"-config", s.file, "-role", "ingress"}, 1, "tls.key"},
	}
	for _, c := range cases {
		if c.status == 1 {
			os.Remove(filepath.Join(s.dir, "tls.key"))
		}
		var out, fault bytes.Buffer
		if got := printStatic(c.args, &out, &fault); got != c.status || !strings.Contains(fault.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s: status %d, want %d with %q: %s%s", c.name, got, c.status, c.want, fault.String(), out.String())
		}
	}
}

// An Envoy of the printed file serves what one with a control plane does, and fails closed as it does.
func TestPrintedEnvoy(t *testing.T) {
	w := newIngressWorld(t)
	config, err := w.envoy.Admin(t.Context(), "GET", "/config_dump")
	if err != nil {
		t.Fatal(err)
	}
	if report, err := doctor.Examine(config); err != nil || len(report.Findings)+len(report.Notes) > 0 {
		t.Errorf("the dump of a real ingress: %v %+v", err, report)
	}
	if err := w.envoy.Stop(); err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	admin := filepath.Join(dir, "a.sock")
	text, err := static(w.config, topology.Ingress, admin, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	live(t, startEnvoy(t, run.Options{Bootstrap: text, AdminSocket: admin, Dir: dir, Name: "static"}))
	host := "issues." + domain
	if response := w.get(t, host, "/a"); response.StatusCode != 503 || read(t, response) != unavailable || w.hits.Load() != 0 {
		t.Errorf("without a check: %d, %d requests reached a product", response.StatusCode, w.hits.Load())
	}
	w.startCheck(t)
	if response := w.get(t, host, "/a/../b"); response.StatusCode != 200 || !strings.Contains(read(t, response), `"Path":"/b"`) {
		t.Errorf("a product: %d", response.StatusCode)
	}
	if response := w.get(t, host, "/.isogate/x"); read(t, response) != "door /.isogate/x" {
		t.Errorf("the door: %d", response.StatusCode)
	}
	if response := w.get(t, "auth."+domain, "/oauth2/jwks"); read(t, response) != "oauth GET /oauth2/jwks 0 []" {
		t.Errorf("the OAuth server: %d", response.StatusCode)
	}
	if response := w.raw(t, host, "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"); response.StatusCode != 421 {
		t.Errorf("another host: %d", response.StatusCode)
	}
	w.check.tell(deny(401, "no"))
	if response := w.get(t, host, "/a"); response.StatusCode != 401 || read(t, response) != "no" {
		t.Errorf("a refusal: %d", response.StatusCode)
	}
}

func TestDoctorCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	write(t, file, []byte("static_resources: {listeners: [{name: \"a\\e[31m\"}]}\n"))
	var clean, fault bytes.Buffer
	s := newSite(t)
	if printStatic([]string{"-config", s.file, "-role", "ingress"}, &clean, &fault) != 0 {
		t.Fatal(fault.String())
	}
	cases := []struct {
		name   string
		args   []string
		stdin  string
		status int
		want   string
	}{
		{"help", []string{"-h"}, "", 0, "Usage: xds doctor"},
		{"nothing", nil, "", 2, "required"},
		{"two files", []string{file, file}, "", 2, "required"},
		{"no such file", []string{filepath.Join(dir, "b")}, "", 2, "no such file"},
		{"not a configuration", []string{"-"}, "kind: Pod\n", 2, "-: doctor: has neither"},
		{"clean", []string{"-"}, clean.String(), 0, "0 findings, 0 notes"},
		{"findings", []string{file}, "", 1, "warning limits\n  at   listener a\ufffd[31m\n  why  nothing bounds"},
	}
	for _, c := range cases {
		var out bytes.Buffer
		if got := examine(c.args, strings.NewReader(c.stdin), &out, &out); got != c.status || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: status %d, want %d with %q:\n%s", c.name, got, c.status, c.want, out.String())
		}
	}
}

func TestDispatch(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-h"}, 0, "xds doctor FILE"},
		{[]string{"help"}, 0, "xds print"},
		{[]string{"print", "-h"}, 0, "Usage: xds print"},
		{[]string{"doctor"}, 2, "FILE is required"},
		{[]string{"other"}, 2, "-config FILE is required"},
		{nil, 2, "-config FILE is required"},
	} {
		command := exec.Command(os.Args[0], c.args...)
		command.Env = append(os.Environ(), "BE_XDS=1")
		output, _ := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != c.status || !strings.Contains(string(output), c.want) {
			t.Errorf("%v: status %d, want %d with %q:\n%s", c.args, got, c.status, c.want, output)
		}
	}
}
