package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// TestMain lets the test binary be xds itself, for tests that look at exit statuses and signals.
func TestMain(m *testing.M) {
	if os.Getenv("BE_XDS") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// site is a folder with the isolated file and its certificate.
type site struct {
	dir, file string
	admin     daemon.Address
	ca        *authority
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: shortDir(t), admin: freeAddress(t), ca: newAuthority(t)}
	s.file = filepath.Join(s.dir, "isolated.yaml")
	s.ca.issue(t, s.dir, "tls", 1, "*."+domain)
	s.write(t, s.isolated())
	return s
}

func (s *site) isolated() string {
	return fmt.Sprintf(`cloud:
  id: 0123456789abcdef
  domain: %s
  products:
  - {id: issues, upstream: "127.0.0.1:1"}
  listeners: {ingress: "127.0.0.1:2"}
  sockets: run
xds:
  admin: %s
  certificates: [{certificate: tls.crt, key: tls.key}]
extauthz: {whatever: [1]}
oidcprovider: {}
`, domain, s.admin)
}

func (s *site) write(t *testing.T, text string) {
	t.Helper()
	write(t, s.file, []byte(text))
}

func (s *site) command(ctx context.Context, args ...string) (*exec.Cmd, *lines) {
	command := exec.CommandContext(ctx, os.Args[0], append([]string{"-config", s.file}, args...)...)
	command.Env = append(os.Environ(), "BE_XDS=1")
	output := new(lines)
	command.Stdout, command.Stderr = output, output
	return command, output
}

func (s *site) ask(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Get("http://" + string(s.admin) + path)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// version is what the running xds serves, of all its roles.
func (s *site) version(t *testing.T) string {
	t.Helper()
	var status struct {
		Notes struct {
			Envoys map[topology.Role]struct{ Version string }
		}
	}
	_ = json.Unmarshal([]byte(s.ask(t, "/status")), &status)
	versions := ""
	for _, role := range slices.Sorted(maps.Keys(status.Notes.Envoys)) {
		versions += status.Notes.Envoys[role].Version
	}
	return versions
}

// start runs xds until the test ends, and demands that SIGTERM ends it well and soon, open streams or not.
func (s *site) start(t *testing.T) (log *lines, stop func()) {
	t.Helper()
	command, output := s.command(context.Background())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		start := time.Now()
		if err := errors.Join(command.Process.Signal(syscall.SIGTERM), command.Wait()); err != nil || time.Since(start) > 5*time.Second {
			t.Errorf("ending took %s: %v\n%s", time.Since(start), err, output)
		}
	})
	t.Cleanup(stop)
	eventually(t, "ready", func() bool { return strings.Contains(s.ask(t, "/readyz"), `"resources": "ok"`) })
	return output, stop
}

func TestReload(t *testing.T) {
	s := newSite(t)
	log, _ := s.start(t)
	served := s.version(t)
	good := s.isolated()
	stays := func(what, file, content, wantLog string) {
		t.Helper()
		before, failures := log.String(), strings.Count(log.String(), "reload failed")
		write(t, file, []byte(content))
		eventually(t, what+" is a fault", func() bool { return strings.Count(log.String(), "reload failed") > failures })
		if got := s.version(t); got != served {
			t.Errorf("%s: serves %s", what, got)
		}
		if added := strings.TrimPrefix(log.String(), before); !strings.Contains(added, wantLog) {
			t.Errorf("%s: the log lacks %q: %s", what, wantLog, added)
		}
		if !strings.Contains(s.ask(t, "/status"), "failed, the last good state stays") {
			t.Errorf("%s: the status does not say so", what)
		}
	}
	changes := func(what, file, content string) {
		t.Helper()
		write(t, file, []byte(content))
		eventually(t, what+" is served", func() bool { return s.version(t) != served })
		served = s.version(t)
	}
	stays("broken YAML", s.file, "cloud: [", "isolated.yaml:1")
	stays("a fault", s.file, strings.Replace(good, "issues", "ISSUES", 1), "products[0].id")
	stays("another folder of sockets", s.file, strings.Replace(good, "sockets: run", "sockets: other", 1), "restart extauthz, xds and the Envoys")
	stays("another admin address", s.file, strings.Replace(good, string(s.admin), "127.0.0.1:1", 1), "restart xds")
	stays("the other side", s.file, "platform: {listeners: {edge: ':1'}, sockets: run}\nclouds: [{id: 0123456789abcdef, domain: a.example, ingress: 'b:1'}]\nxds: {admin: '"+string(s.admin)+"'}\n", "restart xds")
	stays("another domain", s.file, strings.Replace(good, "domain: "+domain, "domain: other.example", 1), "restart extauthz, xds and the Envoys")
	changes("another upstream", s.file, strings.Replace(good, "127.0.0.1:1", "127.0.0.1:3", 1))

	certificate, key := filepath.Join(s.dir, "tls.crt"), filepath.Join(s.dir, "tls.key")
	stays("a key that is none", key, "no key", "tls.crt")
	next := s.ca.issue(t, t.TempDir(), "next", 2, "*."+domain)
	stays("a certificate without its key", certificate, contentOf(t, next.Certificate), "tls.crt")
	changes("both", key, contentOf(t, next.Key))
	if metrics := s.ask(t, "/metrics"); !strings.Contains(metrics, "isogate_certificate_expiry_timestamp_seconds{certificate=") {
		t.Error("no metric tells when the certificate ends")
	}
	if strings.Contains(log.String(), "PRIVATE KEY") || strings.Contains(s.ask(t, "/status"), "PRIVATE KEY") {
		t.Error("a key is shown")
	}
}

func contentOf(t *testing.T, file daemon.Path) string {
	t.Helper()
	raw, err := os.ReadFile(string(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestExitStatus(t *testing.T) {
	cases := []struct {
		name   string
		change func(*testing.T, *site)
		args   []string
		status int
		want   string
	}{
		{"checked", func(*testing.T, *site) {}, []string{"-check"}, 0, "ok"},
		{"broken YAML", func(t *testing.T, s *site) { s.write(t, "cloud: [") }, nil, 2, "isolated.yaml:1"},
		{"faults", func(t *testing.T, s *site) { s.write(t, "cloud: {}\nxds: {nothing: 1}\n") }, nil, 2, `unknown key "nothing"`},
		{"broken certificate", func(t *testing.T, s *site) { write(t, filepath.Join(s.dir, "tls.crt"), []byte("x")) }, nil, 1, "tls.crt"},
		{"no key", func(t *testing.T, s *site) { os.Remove(filepath.Join(s.dir, "tls.key")) }, nil, 1, "tls.key"},
		{"other host", func(t *testing.T, s *site) { s.ca.issue(t, s.dir, "tls", 3, "other.example") }, nil, 1, "no certificate covers the host auth." + domain},
	}
	for _, c := range cases {
		s := newSite(t)
		c.change(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		command, output := s.command(ctx, c.args...)
		_ = command.Run()
		cancel()
		if got := command.ProcessState.ExitCode(); got != c.status || !strings.Contains(output.String(), c.want) {
			t.Errorf("%s: status %d, want %d with %q:\n%s", c.name, got, c.status, c.want, output)
		}
	}
}

func TestConfigFaults(t *testing.T) {
	s := newSite(t)
	commercial := `platform: {listeners: {edge: "127.0.0.1:1"}, sockets: run}
clouds: [{id: 0123456789abcdef, domain: acme.example, ingress: "127.0.0.1:2"}]
xds: {admin: "127.0.0.1:3"}
`
	gateway := s.crossing(t, "127.0.0.1:4", s.ca)
	cases := []struct{ name, text, want string }{ // "" is none
		{"isolated", s.isolated(), ""},
		{"commercial", commercial, ""},
		{"every address", strings.Replace(commercial, "127.0.0.1:1", ":1", 1), ""},
		{"no admin", strings.Replace(commercial, `admin: "127.0.0.1:3"`, "", 1), "xds.admin: is required"},
		{"no section", strings.Replace(commercial, `xds: {admin: "127.0.0.1:3"}`, "", 1), "xds.admin: is required"},
		{"key at the edge", strings.Replace(commercial, "xds: {", "xds: {certificates: [{certificate: a, key: b}], ", 1), "must hold no key"},
		{"name at the edge", strings.Replace(commercial, "127.0.0.1:1", "localhost:1", 1), "platform.listeners.edge: must have an IP address"},
		{"name at the ingress", strings.Replace(s.isolated(), "127.0.0.1:2", "localhost:2", 1), "cloud.listeners.ingress: must have an IP address"},
		{"no certificates", strings.Replace(s.isolated(), "[{certificate: tls.crt, key: tls.key}]", "[]", 1), "xds.certificates: needs at least one"},
		{"no key", strings.Replace(s.isolated(), ", key: tls.key", "", 1), "xds.certificates[0].key: is required"},
		{"no certificate", strings.Replace(s.isolated(), "certificate: tls.crt, ", "", 1), "xds.certificates[0].certificate: is required"},
		{"unknown section", s.isolated() + "other: {}\n", `unknown key "other"`},
		{"a gateway", gateway, ""},
		{"a gateway without policies", strings.Replace(gateway, "  policies: policies\n", "", 1), "xds.policies: is required"},
		{"policies without a gateway", strings.Replace(s.isolated(), "xds:\n", "xds:\n  policies: policies\n", 1), "xds.policies: is of no use"},
		{"policies outside", strings.Replace(commercial, "xds: {", "xds: {policies: a, ", 1), "xds.policies: is of no use"},
		{"name at the gateway", strings.Replace(gateway, `gateway: "127.0.0.1:4"`, `gateway: "localhost:4"`, 1), "cloud.listeners.gateway: must have an IP address"},
	}
	for _, c := range cases {
		s.write(t, c.text)
		_, err := load(s.file)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// The whole program before a real Envoy, which goes on when the program ends, and is served again when it is back.
func TestProgram(t *testing.T) {
	s := newSite(t)
	listen := freeAddress(t)
	s.write(t, strings.Replace(s.isolated(), "127.0.0.1:2", string(listen), 1))
	log, stop := s.start(t)
	config, err := load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	e := envoy(t, topology.Ingress, "program", config.socket(topology.Ingress))
	connected := func() bool { return strings.Count(s.ask(t, "/status"), `"state": "accepted"`) == 4 }
	eventually(t, "the status shows the Envoy", connected)
	if strings.Contains(log.String(), "refused") {
		t.Errorf("log: %s", log)
	}
	stop()
	if err := e.WaitListener(t.Context(), "ingress"); err != nil {
		t.Errorf("without a control plane: %v", err)
	}
	text := strings.Replace(s.isolated(), "127.0.0.1:2", string(listen), 1)
	s.write(t, strings.Replace(text, "127.0.0.1:1", "127.0.0.1:3", 1))
	s.start(t)
	eventually(t, "the Envoy is back and has the new cluster", func() bool {
		clusters, err := e.Admin(t.Context(), "GET", "/clusters")
		return err == nil && bytes.Contains(clusters, []byte("127.0.0.1:3"))
	})
}
