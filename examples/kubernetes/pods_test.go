package kubernetes

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The manifests run, as they are: each pod in a network namespace of its own, each container as its user, in a root that holds its mounts and
// nothing else, on real parts. No NetworkPolicy and no firewall helps: what follows holds by where things listen, and by who may speak there.
func TestPods(t *testing.T) {
	c := newCluster(t)
	var alice *person
	t.Run("a service shows a person data of their own cloud", func(t *testing.T) { alice = c.signedIn(t) })
	t.Run("two ports answer from outside the isolated cloud", c.portsAnswer)
	t.Run("the ports take nobody but who they are for", c.portsTake)
	t.Run("sockets and keys are for their owner", c.filesAreClosed)
	t.Run("no log says who signed in or what was read", c.logsAreSilent)
	if alice != nil {
		t.Run("an edit of the policies withdraws an endpoint", func(t *testing.T) { c.withdraw(t, alice) })
	}
}

const issue = "https://support.commercial.example/issue/OPS-1"

// signedIn is somebody who sees what the service fetched through its sidecar and the gateway. The commercial side may have asked for the cloud's keys
// when its ingress was not up yet, and asks again every second: until then it says that signing in is not possible.
func (c *cluster) signedIn(t *testing.T) *person {
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		alice := newPerson(c)
		page, err := c.signIn(alice)
		if err != nil {
			t.Fatal(err)
		}
		if page.status == http.StatusServiceUnavailable && time.Now().Before(until) {
			continue
		}
		const summary = "Backups of the wiki take longer than a night"
		if page.status != http.StatusOK || page.url.String() != issue || !strings.Contains(page.body, summary) {
			t.Fatalf("%d at %s\n%.1500s", page.status, page.url, page.body)
		}
		return alice
	}
}

// signIn goes the whole way, through both sides: the service's page, the e-mail address, the cloud's button, the provider, the confirmation.
func (c *cluster) signIn(alice *person) (shown, error) {
	page, err := alice.open(issue)
	for _, step := range []struct {
		button string
		values map[string]string
	}{
		{"Continue", map[string]string{"email": c.people[0].Email}},
		{"Continue with Acme", nil},
		{"", map[string]string{"username": c.people[0].Username, "password": c.people[0].Password}},
		{"Continue", nil},
	} {
		if err != nil || page.status == http.StatusServiceUnavailable {
			break
		}
		page, err = alice.press(page, step.button, step.values)
	}
	return page, err
}

// portsAnswer tries every port on which something listens in the isolated cloud, and a few more, from everywhere else.
func (c *cluster) portsAnswer(t *testing.T) {
	for _, test := range []struct {
		pod            string
		loopback, open []string
	}{
		{"acme/issues", []string{"8080", "9901", "9903"}, []string{"8443", "8444"}}, // the product, the daemons' admin listeners; the Envoys
		{"acme/xds", []string{"9902"}, []string{"18000"}},
	} {
		listening, loopback := map[string]bool{}, []string{}
		for _, address := range c.pods[test.pod].listening(t) {
			at := strings.LastIndexByte(address, ':')
			listening[address[at+1:]] = true
			if strings.HasPrefix(address, "127.0.0.1:") {
				loopback = append(loopback, address[at+1:])
			}
		}
		if slices.Sort(loopback); !slices.Equal(loopback, test.loopback) {
			t.Errorf("%s listens on loopback at %q, and not at %q", test.pod, loopback, test.loopback)
		}
		for name, from := range c.elsewhere() {
			var open []string
			for port := range listening {
				conn, err := from.dial(net.JoinHostPort(c.pods[test.pod].address, port))
				if err == nil {
					conn.Close()
					open = append(open, port)
				} else if !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%s from %s, port %s: %v", test.pod, name, port, err)
				}
			}
			if slices.Sort(open); !slices.Equal(open, test.open) {
				t.Errorf("%s answers %s at %q, and not at %q", test.pod, name, open, test.open)
			}
		}
	}
}

// elsewhere is whatever is no pod of the isolated cloud.
func (c *cluster) elsewhere() map[string]*namespace {
	out := map[string]*namespace{"outside": c.outside}
	for name, p := range c.pods {
		if p.of.Namespace != "acme" {
			out[name] = p.namespace
		}
	}
	return out
}

// portsTake offers each port a certificate that it wants, and others that it does not.
func (c *cluster) portsTake(t *testing.T) {
	support := c.pods["commercial/support"]
	caller, foreign := c.certificate(t, "commercial/xds", "caller-support"), c.certificate(t, "commercial/support", "envoy-tls")
	envoy := c.certificate(t, "acme/issues", "envoy-gateway-tls")
	gateway, xds := c.pods["acme/issues"].at(8444), c.pods["acme/xds"].at(18000)
	for _, test := range []struct {
		name, address, server string
		certificate           *tls.Certificate
		taken                 bool
	}{
		{"the gateway, a caller", gateway, "gateway.acme.example", caller, true},
		{"the gateway, no certificate", gateway, "gateway.acme.example", nil, false},
		{"the gateway, an Envoy of the other side", gateway, "gateway.acme.example", foreign, false},
		{"the gateway, an Envoy of its own side", gateway, "gateway.acme.example", envoy, false},
		{"the gateway, another name", gateway, "issues.acme.example", caller, false},
		{"the control plane, its Envoy", xds, "xds.acme.svc.cluster.local", envoy, true},
		{"the control plane, no certificate", xds, "xds.acme.svc.cluster.local", nil, false},
		{"the control plane, an Envoy of the other side", xds, "xds.acme.svc.cluster.local", foreign, false},
		{"the control plane, a caller", xds, "xds.acme.svc.cluster.local", caller, false},
		{"the ingress, a browser past the edge", c.pods["acme/issues"].at(8443), "issues.acme.example", nil, false}, // it wants PROXY protocol first
	} {
		err := support.speaks(test.address, test.server, test.certificate)
		if (err == nil) != test.taken {
			t.Errorf("%s: taken %v (%v)", test.name, err == nil, err)
		}
	}
}

// certificate reads one from a Secret's volume.
func (c *cluster) certificate(t *testing.T, pod, volume string) *tls.Certificate {
	t.Helper()
	dir := c.pods[pod].volume(volume)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// speaks returns nil if a server answers over HTTP/2 in TLS: only then was the certificate good enough, since in TLS 1.3 a client's handshake ends
// before its certificate was looked at.
func (n *namespace) speaks(address, server string, certificate *tls.Certificate) error {
	conn, err := n.dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	config := &tls.Config{ServerName: server, InsecureSkipVerify: true, NextProtos: []string{"h2"}} // who answers is not the question here
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	secure := tls.Client(conn, config)
	if _, err := secure.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil { // RFC 9113 section 3.4
		return err
	}
	_, err = secure.Read(make([]byte, 9))
	return err
}

// filesAreClosed: the daemons made the folder of their sockets, and copied keys, for one user.
func (c *cluster) filesAreClosed(t *testing.T) {
	for _, test := range []struct {
		dir   string
		files int // at least
	}{
		{c.pods["acme/issues"].volume("sockets"), 5},
		{c.pods["acme/issues"].volume("extauthz"), 3},
		{c.pods["acme/issues"].volume("oidcprovider"), 3},
		{c.pods["commercial/commercial"].volume("keys"), 4},
		{c.pods["commercial/support"].volume("keys"), 1},
		{c.pods["commercial/support"].volume("sockets"), 1},
	} {
		files := 0
		err := filepath.WalkDir(test.dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || path == test.dir { // which is the kubelet's own
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if !e.IsDir() {
				files++
			}
			if info.Mode().Perm()&0o077 != 0 || info.Sys().(*syscall.Stat_t).Uid != 65532 {
				t.Errorf("%s is %s, of %d", path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
			}
			return nil
		})
		if err != nil || files < test.files {
			t.Errorf("%s holds %d files, not %d: %v", test.dir, files, test.files, err)
		}
	}
}

// withdraw swaps the ConfigMap of the policies, as a kubelet does after kubectl apply, and back.
func (c *cluster) withdraw(t *testing.T, alice *person) {
	shipped := c.m.configs["acme/policies"].Data
	for _, test := range []struct {
		version, path string // of the folder, and of the endpoint
		want          int
	}{
		{"..withdrawn", "/rest/api/other/{key}", http.StatusForbidden},
		{"..again", "/rest/api/issue/{key}", http.StatusOK},
	} {
		data := map[string][]byte{}
		for file, text := range shipped {
			data[file] = []byte(strings.ReplaceAll(text, `"/rest/api/issue/{key}"`, `"`+test.path+`"`))
		}
		for _, name := range []string{"acme/issues", "acme/xds"} {
			if err := project(c.pods[name].volume("policies"), test.version, data, 0o644, 65532); err != nil {
				t.Fatal(err)
			}
		}
		until := time.Now().Add(20 * time.Second)
		for page, err := alice.open(issue); err != nil || page.status != test.want; page, err = alice.open(issue) {
			if err != nil || time.Now().After(until) {
				t.Fatalf("%s: %v: %d\n%.800s", test.version, err, page.status, page.body)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// logsAreSilent: nothing that a container writes says who signed in, on either side.
func (c *cluster) logsAreSilent(t *testing.T) {
	lines := 0
	for name, p := range c.pods {
		for _, container := range containers(p.of) {
			raw, err := os.ReadFile(p.log(container.Name))
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(raw, []byte("\n"))
			for _, word := range []string{c.people[0].Username, c.people[0].Name, "OPS-1"} {
				if bytes.Contains(bytes.ToLower(raw), []byte(strings.ToLower(word))) {
					t.Errorf("%s/%s says %q", name, container.Name, word)
				}
			}
		}
	}
	if lines < 100 {
		t.Errorf("the logs have %d lines", lines)
	}
}
