package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"isogate/envoy/run"
	"isogate/examples/idp"
)

// cluster runs the manifests, a pod of each Deployment, without any NetworkPolicy: what nobody reaches, nobody reaches by where it listens.
type cluster struct {
	m       *manifests
	outside *namespace // people, load balancers and the identity provider
	pods    map[string]*pod
	web     *authority
	people  []idp.User
}

// Addresses outside; those of pods follow.
const (
	balancer = "10.77.0.2"
	provider = "10.77.0.3"
	firstPod = 11
)

// publicNames are what the organisations' own DNS would say.
var publicNames = map[string]string{
	"auth.acme.example": balancer, "issues.acme.example": balancer, "id.commercial.example": balancer, "support.commercial.example": balancer,
	"idp.corp.example": provider,
}

// able says why this machine cannot run pods, if it cannot.
func able() error {
	if os.Getuid() != 0 {
		return errors.New("making network namespaces needs root")
	}
	for _, program := range []string{"ip", "ss", "mount", "chroot", "setpriv"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.file.Close()
	if out, err := exec.Command("unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt").CombinedOutput(); err != nil {
		return fmt.Errorf("no mount namespace can be made: %w: %s", err, out)
	}
	return n.bridge("10.77.0.1")
}

// newCluster starts everything and returns when all probes say that it is ready.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	if err := able(); err != nil {
		t.Skip("pods cannot be run here: ", err)
	}
	m, faults := read(files(t))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	outside, err := newNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outside.file.Close() })
	c := &cluster{m: m, outside: outside, pods: map[string]*pod{}, web: newAuthority(t, "web"), people: []idp.User{{
		Username: "alice", Password: "correct-horse", Email: "alice@acme.example", EmailVerified: true, Name: "Alice Arden",
	}}}
	if err := outside.bridge("10.77.0.1", balancer, provider); err != nil {
		t.Fatal(err)
	}
	secrets := makeSecrets(t, c.web)
	for name, s := range m.secrets {
		if !slices.Equal(slices.Sorted(maps.Keys(secrets[name])), slices.Sorted(slices.Values(s.files))) {
			t.Fatalf("the Secret %s holds other files than the README says", name)
		}
	}
	c.place(t)
	c.serveProvider(t, string(secrets["acme/provider"]["client_secret"]))
	for _, s := range m.services {
		c.balance(t, s)
	}
	c.start(t, secrets)
	return c
}

// place gives each pod its namespace, its address and its folder.
func (c *cluster) place(t *testing.T) {
	t.Helper()
	base, err := os.MkdirTemp("", "pods") // not below the test's own folder, which strangers cannot enter: the containers' users are strangers
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the logs are in ", base)
		} else {
			_ = os.RemoveAll(base)
		}
	})
	for i, name := range slices.Sorted(maps.Keys(c.m.deployments)) {
		n, err := newNamespace()
		if err != nil {
			t.Fatal(err)
		}
		p := &pod{namespace: n, of: c.m.deployments[name], dir: filepath.Join(base, strings.ReplaceAll(name, "/", "-")), etc: base}
		if err := errors.Join(os.MkdirAll(p.dir, 0o755), c.outside.join(n, "10.77.0."+strconv.Itoa(firstPod+i))); err != nil {
			t.Fatal(err)
		}
		c.pods[name] = p
		t.Cleanup(p.stop)
	}
	for name, text := range map[string]string{
		"hosts": c.hosts(), "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", "ca-certificates.crt": string(c.web.pem),
	} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// hosts stands for DNS: the names of the Services, and the public ones.
func (c *cluster) hosts() string {
	text := "127.0.0.1 localhost\n"
	for name, s := range c.m.services {
		text += c.addressOf(s) + " " + path.Base(name) + "." + s.Namespace + ".svc.cluster.local\n"
	}
	for name, address := range publicNames {
		text += address + " " + name + "\n"
	}
	return text
}

// addressOf is the pod's own, but where the Service has another port.
func (c *cluster) addressOf(s *corev1.Service) string {
	if s.Spec.Ports[0].Port != portOfPod(c.behind(s).of, s.Spec.Ports[0].TargetPort) {
		return balancer
	}
	return c.behind(s).address
}

func (c *cluster) behind(s *corev1.Service) *pod {
	for _, p := range c.pods {
		if p.of.Namespace == s.Namespace && selects(s.Spec.Selector, p.of) {
			return p
		}
	}
	return nil
}

// balance forwards the connections of a Service that has another port than its pod.
func (c *cluster) balance(t *testing.T, s *corev1.Service) {
	t.Helper()
	if c.addressOf(s) != balancer {
		return
	}
	listener, err := c.outside.listen(net.JoinHostPort(balancer, strconv.Itoa(int(s.Spec.Ports[0].Port))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	target := c.behind(s).at(portOfPod(c.behind(s).of, s.Spec.Ports[0].TargetPort))
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := c.outside.dial(target)
			if err != nil {
				near.Close()
				continue
			}
			go pipe(near, far)
			go pipe(far, near)
		}
	}()
}

func pipe(from, to net.Conn) {
	_, _ = io.Copy(to, from) // either side may end it
	from.Close()
	to.Close()
}

func (p *pod) at(port int32) string { return net.JoinHostPort(p.address, strconv.Itoa(int(port))) }

// serveProvider is the organisation's identity provider, which stands somewhere else.
func (c *cluster) serveProvider(t *testing.T, secret string) {
	t.Helper()
	handler, err := idp.New(idp.Config{Issuer: "https://idp.corp.example", Users: c.people, Clients: []idp.Client{{
		ID: "isogate", Secret: secret, RedirectURIs: []string{"https://auth.acme.example/.isogate/callback"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	pair := c.web.issue(t, "idp.corp.example")
	certificate, err := tls.X509KeyPair(pair["tls.crt"], pair["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	listener, err := c.outside.listen(net.JoinHostPort(provider, "443"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	t.Cleanup(func() { server.Close() })
	go func() {
		_ = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	}()
}

// start runs all pods at once.
func (c *cluster) start(t *testing.T, secrets map[string]map[string][]byte) {
	t.Helper()
	envoy, err := envoyBinary()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	have := programs{"/usr/local/bin/envoy": envoy, "/usr/local/bin/issues": self, "/usr/local/bin/support": self}
	for _, daemon := range []string{"extauthz", "oidcprovider", "xds"} {
		have["/usr/local/bin/"+daemon] = filepath.Join(binaries, daemon)
	}
	ready := make(chan error)
	for _, p := range c.pods {
		go func() { ready <- c.startPod(p, have, secrets) }()
	}
	for range c.pods {
		err = errors.Join(err, <-ready)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func envoyBinary() (string, error) {
	cache, err := run.CacheDir()
	if err != nil {
		return "", err
	}
	return run.Find(context.Background(), cache, os.Stderr)
}

func (c *cluster) startPod(p *pod, have programs, secrets map[string]map[string][]byte) error {
	if err := p.makeVolumes(c.m, secrets); err != nil {
		return err
	}
	for _, first := range p.of.Spec.Template.Spec.InitContainers {
		one, err := p.run(first, have)
		if err == nil {
			err = one.wait()
		}
		if err != nil {
			return p.failed(first, err)
		}
	}
	for _, container := range p.of.Spec.Template.Spec.Containers {
		if _, err := p.run(container, have); err != nil {
			return p.failed(container, err)
		}
	}
	for _, container := range p.of.Spec.Template.Spec.Containers {
		if err := c.probe(p, container); err != nil {
			return p.failed(container, err)
		}
	}
	return nil
}

func (p *pod) failed(c corev1.Container, err error) error {
	log, _ := os.ReadFile(p.log(c.Name))
	return fmt.Errorf("%s/%s: %w; its log:\n%s", p.of.Name, c.Name, err, log[max(0, len(log)-3000):])
}

// probe asks what the kubelet asks: a port on the pod's address, or, inside, the address that a command would ask.
func (c *cluster) probe(p *pod, container corev1.Container) error {
	until := time.Now().Add(time.Minute)
	for {
		err := c.probeOnce(p, container)
		if err == nil || time.Now().After(until) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *cluster) probeOnce(p *pod, container corev1.Container) error {
	probe := container.ReadinessProbe
	switch {
	case probe == nil:
		return nil
	case probe.TCPSocket != nil:
		conn, err := c.outside.dial(p.at(portOf(container, probe.TCPSocket.Port)))
		if err == nil {
			conn.Close()
		}
		return err
	}
	inside := func(_ context.Context, _, address string) (net.Conn, error) { return p.dial(address) }
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: inside}, Timeout: 5 * time.Second}
	answer, err := client.Get(probe.Exec.Command[len(probe.Exec.Command)-1])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s: %s", answer.Status, said)
	}
	return nil
}
