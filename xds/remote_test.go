package main

import (
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isogate/envoy/bootstrap"
	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/xds/doctor"
)

const (
	edgeID = "spiffe://acme.example/envoy/edge"
	xdsID  = "spiffe://acme.example/xds"
)

// spiffe makes a certificate of this id for both ends of a connection.
func (a *authority) spiffe(t *testing.T, dir, file string, serial int64, id string) KeyPair {
	t.Helper()
	u, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	return a.issueAs(t, dir, file, serial, func(c *x509.Certificate) {
		c.URIs = []*url.URL{u}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	})
}

// farSite is a running xds whose edge stands on another machine, and what that Envoy needs.
type farSite struct {
	*site
	config *Config
	far    string // the Envoy's folder
	boot   bootstrap.Remote
}

func newFarSite(t *testing.T) *farSite {
	t.Helper()
	f := &farSite{site: newSite(t), far: shortDir(t)}
	f.ca.spiffe(t, f.dir, "xds", 2, xdsID)
	f.ca.writeRoots(t, filepath.Join(f.dir, "ca.pem"))
	f.ca.writeRoots(t, filepath.Join(f.far, "ca.pem"))
	f.site.write(t, `platform: {listeners: {edge: "`+string(freeAddress(t))+`"}, sockets: run}
clouds: [{id: 0123456789abcdef, domain: acme.example, ingress: "127.0.0.1:2"}]
xds:
  admin: `+string(f.admin)+`
  remote:
    listen: `+string(freeAddress(t))+`
    certificate: xds.crt
    key: xds.key
    clients: ca.pem
    roles: {"`+edgeID+`": edge}
`)
	var err error
	if f.config, err = load(f.file); err != nil {
		t.Fatal(err)
	}
	f.boot = bootstrap.Remote{
		Address: string(f.config.XDS.Remote.Listen), Server: xdsID, Secrets: f.far, Authorities: filepath.Join(f.far, "ca.pem"),
		Certificate: filepath.Join(f.far, "envoy.crt"), Key: filepath.Join(f.far, "envoy.key"),
	}
	return f
}

// envoy starts an Envoy that knows nothing but its own certificate and where the control plane is.
func (f *farSite) envoy(t *testing.T, id string, remote bootstrap.Remote) *run.Envoy {
	t.Helper()
	files, err := remote.SecretFiles()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		write(t, filepath.Join(remote.Secrets, name), content)
	}
	admin := filepath.Join(f.far, id+".sock")
	boot, err := bootstrap.For(bootstrap.Options{Role: topology.Edge, NodeID: id, XDSRemote: &remote, AdminSocket: admin})
	if err != nil {
		t.Fatal(err)
	}
	return startEnvoy(t, run.Options{Bootstrap: boot, AdminSocket: admin, Dir: f.far, Name: id})
}

func TestRemoteEnvoy(t *testing.T) {
	f := newFarSite(t)
	f.start(t)
	f.ca.spiffe(t, f.far, "envoy", 3, edgeID)
	e := f.envoy(t, "far", f.boot)
	live(t, e)
	conn, err := net.Dial("tcp", string(f.config.Platform.Listeners.Edge))
	if err != nil {
		t.Fatalf("the Envoy has no listener: %v", err)
	}
	conn.Close()
	has := func(upstream string) func() bool {
		return func() bool {
			clusters, err := e.Admin(t.Context(), "GET", "/clusters")
			return err == nil && strings.Contains(string(clusters), upstream)
		}
	}
	eventually(t, "resources came", has("127.0.0.1:2::"))
	dump, err := e.Admin(t.Context(), "GET", "/config_dump")
	if err != nil {
		t.Fatal(err)
	}
	if report, err := doctor.Examine(dump); err != nil || len(report.Findings)+len(report.Notes) > 0 {
		t.Errorf("the dump of a real edge: %v %+v", err, report)
	}

	// Both ends' certificates change to those of another authority, while everything runs.
	next := newAuthority(t)
	next.writeRoots(t, filepath.Join(f.far, "ca.pem"))
	next.spiffe(t, f.far, "envoy", 4, edgeID)
	next.spiffe(t, f.dir, "xds", 5, xdsID)
	next.writeRoots(t, filepath.Join(f.dir, "ca.pem"))
	f.site.write(t, strings.Replace(contentOf(t, daemon.Path(f.file)), "127.0.0.1:2", "127.0.0.1:3", 1))
	eventually(t, "resources come over the new certificates", has("127.0.0.1:3::"))
}

// Neither end talks to one that it does not know.
func TestRemoteStrangers(t *testing.T) {
	f := newFarSite(t)
	log, _ := f.start(t)
	get := func(e *run.Envoy, path string) string {
		body, _ := e.Admin(t.Context(), "GET", path)
		return string(body)
	}
	empty := func(e *run.Envoy) bool {
		return !strings.Contains(get(e, "/clusters"), "cloud.") && strings.TrimSpace(get(e, "/listeners")) == ""
	}
	f.ca.spiffe(t, f.far, "envoy", 3, "spiffe://acme.example/envoy/other")
	e := f.envoy(t, "other", f.boot)
	eventually(t, "an Envoy without a role is denied", func() bool { return strings.Contains(log.String(), "remote client denied") })
	if !empty(e) {
		t.Error("an Envoy without a role got resources")
	}
	f.ca.spiffe(t, f.far, "envoy", 4, edgeID)
	wrong := f.boot
	wrong.Server = "spiffe://acme.example/envoy/edge"
	e = f.envoy(t, "wrong", wrong)
	eventually(t, "an Envoy refuses a server of another name", func() bool {
		return strings.Contains(get(e, "/stats?filter=cluster.xds.ssl.fail_verify_san"), "fail_verify_san: ") && !strings.Contains(get(e, "/stats?filter=cluster.xds.ssl.fail_verify_san"), ": 0")
	})
	if !empty(e) {
		t.Error("an Envoy took resources of a server of another name")
	}
}

func TestRemoteFaults(t *testing.T) {
	f := newFarSite(t)
	good := contentOf(t, daemon.Path(f.file))
	change := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	cases := []struct{ name, text, want string }{
		{"no certificate", change("certificate: xds.crt", ""), "xds.remote.certificate: is required"},
		{"no key", change("key: xds.key", ""), "xds.remote.key: is required"},
		{"no authorities", change("clients: ca.pem", ""), "xds.remote.clients: is required"},
		{"no address", change("listen: ", "#"), "xds.remote.listen: is required"},
		{"no roles", change(`{"`+edgeID+`": edge}`, "{}"), "xds.remote.roles: needs at least one"},
		{"another side's role", change(": edge}", ": ingress}"), `has the role "ingress"`},
		{"no role", change(": edge}", ": }"), `has the role ""`},
		{"no id", change(edgeID, "edge"), "is no SPIFFE id"},
	}
	for _, c := range cases {
		f.site.write(t, c.text)
		if _, err := load(f.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAuthorities(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	file := filepath.Join(dir, "ca.pem")
	ca.writeRoots(t, file)
	pem, leaf := contentOf(t, daemon.Path(file)), contentOf(t, ca.issue(t, dir, "leaf", 2, "a.example").Certificate)
	for name, c := range map[string]struct{ text, want string }{
		"one": {pem, ""}, "two": {pem + "\n" + pem, ""}, "none": {"\n", "no certificate"}, "a leaf": {pem + leaf, "no authority's"},
		"something after": {pem + "x", "no certificate in PEM"}, "a key": {contentOf(t, daemon.Path(filepath.Join(dir, "leaf.key"))), "no certificate in PEM"},
		"a broken one": {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x509"},
	} {
		if _, err := authorities([]byte(c.text)); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// What cannot work ends the start, or keeps the last good state.
func TestRemoteReload(t *testing.T) {
	f := newFarSite(t)
	log, _ := f.start(t)
	fails := func(what, file, content, want string) {
		t.Helper()
		failures := strings.Count(log.String(), "reload failed")
		write(t, file, []byte(content))
		eventually(t, what, func() bool {
			return strings.Count(log.String(), "reload failed") > failures && strings.Contains(log.String(), want)
		})
	}
	good := contentOf(t, daemon.Path(f.file))
	fails("broken authorities", filepath.Join(f.dir, "ca.pem"), "x", "ca.pem: holds something that is no certificate")
	f.ca.writeRoots(t, filepath.Join(f.dir, "ca.pem"))
	fails("a broken key", filepath.Join(f.dir, "xds.key"), "x", "xds.crt")
	f.ca.spiffe(t, f.dir, "xds", 8, xdsID)
	fails("another address", f.file, strings.Replace(good, "listen: ", "listen: 127.0.0.2:1 # ", 1), "xds.remote.listen has changed")
	fails("no remote", f.file, good[:strings.Index(good, "  remote:")], "xds.remote.listen has changed")
	if !strings.Contains(f.ask(t, "/metrics"), `certificate="`+filepath.Join(f.dir, "xds.crt")) {
		t.Error("no metric tells when the server's certificate ends")
	}
	f.site.write(t, good)
	os.Remove(filepath.Join(f.dir, "ca.pem"))
	command, output := f.command(t.Context())
	if err := command.Run(); err == nil || !strings.Contains(output.String(), "ca.pem") {
		t.Errorf("starts without authorities: %s", output)
	}
}
