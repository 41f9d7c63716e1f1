package snapshot

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

var update = flag.Bool("update", false, "write the golden files anew and delete those of no test")

func cloud() topology.Cloud {
	return topology.Cloud{
		ID: "0123456789abcdef", Domain: "acme.example", Port: 8443, Sockets: "/run/isogate",
		Listeners: topology.CloudListeners{Ingress: "127.0.0.1:8444"},
		Products: []topology.Product{
			{ID: "issues", Upstream: "127.0.0.1:9001", WebSockets: true, IdleTimeout: daemon.Duration(2 * time.Minute), StreamLimit: daemon.Duration(time.Hour)},
			{ID: "wiki", Host: "docs.acme.example", Upstream: "wiki.internal:80"},
		},
		Clients: []topology.Client{{ID: "platform"}},
	}
}

func platform() (topology.Platform, []topology.Directory) {
	return topology.Platform{Listeners: topology.PlatformListeners{Edge: ":443"}, Sockets: "/run/isogate"}, []topology.Directory{
		{ID: "0123456789abcdef", Domain: "acme.example", Ingress: "127.0.0.1:8444"},
		{ID: "fedcba9876543210", Domain: "umbrella.example", Ingress: "ingress.umbrella.example:443"},
	}
}

func must(t *testing.T, r Resources, err error) Resources {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func roles(t *testing.T) map[string]Resources {
	t.Helper()
	c, endpoints := crossingCloud()
	edge, err := Edge(platform())
	must(t, edge, err)
	ingress, err := Ingress(cloud(), []Certificate{{Name: "a", Chain: []byte("chain")}, {Name: "b", Chain: []byte("chain")}})
	must(t, ingress, err)
	whole, clouds := commercialSide()
	both, err := Edge(whole, clouds)
	must(t, both, err)
	commercial, err := Commercial(whole, []Certificate{{Name: "a", Chain: []byte("chain")}, {Name: "b", Chain: []byte("chain")}})
	must(t, commercial, err)
	return map[string]Resources{
		"edge": both, "edge-alone": edge, "ingress": ingress, "commercial": commercial,
		"gateway": gatewayOf(t, c, endpoints), "egress-support": egressOf(t, nil),
	}
}

// The golden files are the whole configuration of each role: a change of it is read in review as a change of these files.
func TestGolden(t *testing.T) {
	for role, r := range roles(t) {
		file, got := filepath.Join("testdata", role+".json"), render(t, r)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs: run the test with -update and read the difference", file)
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := roles(t)[strings.TrimSuffix(filepath.Base(file), ".json")]; ok {
			continue
		}
		if !*update {
			t.Errorf("%s belongs to no role", file)
		} else if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// render gives a stable form: protojson varies its white space on purpose. Secrets are left out.
func render(t *testing.T, r Resources) []byte {
	t.Helper()
	var all []json.RawMessage
	for _, m := range r.All() {
		if secret, ok := m.(*tlsv3.Secret); ok {
			m = &tlsv3.Secret{Name: secret.GetName() + " [redacted]"}
		}
		raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw)
	}
	compact, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// The version follows the content and nothing else.
func TestVersion(t *testing.T) {
	for role, r := range roles(t) {
		if again := roles(t)[role]; again.Version() != r.Version() || len(r.Version()) != 32 {
			t.Errorf("%s: %s and then %s", role, r.Version(), again.Version())
		}
	}
	base := roles(t)["ingress"].Version()
	changes := map[string]func(*topology.Cloud, *[]Certificate){
		"host":        func(c *topology.Cloud, _ *[]Certificate) { c.Products[1].Host = "w.acme.example" },
		"upstream":    func(c *topology.Cloud, _ *[]Certificate) { c.Products[0].Upstream = "127.0.0.1:9009" },
		"no client":   func(c *topology.Cloud, _ *[]Certificate) { c.Clients = nil },
		"limit":       func(c *topology.Cloud, _ *[]Certificate) { c.Products[0].StreamLimit = 1 },
		"listener":    func(c *topology.Cloud, _ *[]Certificate) { c.Listeners.Ingress = ":1" },
		"certificate": func(_ *topology.Cloud, cs *[]Certificate) { (*cs)[0].Chain = []byte("renewed") },
	}
	for name, change := range changes {
		c, certificates := cloud(), []Certificate{{Chain: []byte("chain")}, {Chain: []byte("chain")}}
		change(&c, &certificates)
		r, err := Ingress(c, certificates)
		if must(t, r, err); r.Version() == base {
			t.Errorf("%s: the version stays", name)
		}
	}
}

// Names and certificates change without touching the listener: a changed one cuts every open stream.
func TestListenerIsStable(t *testing.T) {
	before := roles(t)["ingress"].Listeners[0]
	c := cloud()
	c.Products = append(c.Products, topology.Product{ID: "new", Upstream: "127.0.0.1:1"})
	r, err := Ingress(c, []Certificate{{Chain: []byte("renewed")}, {Chain: []byte("renewed")}})
	if must(t, r, err); !proto.Equal(before, r.Listeners[0]) {
		t.Error("the listener changed")
	}
}

func TestKeeping(t *testing.T) {
	list := func(names ...string) Resources {
		var r Resources
		for _, n := range names {
			r.Clusters = append(r.Clusters, &clusterv3.Cluster{Name: n})
		}
		return r
	}
	cases := []struct {
		name          string
		next, earlier Resources
		want          string
		gone          int
	}{
		{"nothing before", list("a"), list(), "a", 0},
		{"same", list("a"), list("a"), "a", 0},
		{"one vanishes", list("b"), list("a", "b"), "a b", 1},
		{"all vanish", list("c"), list("a", "b"), "a b c", 2},
	}
	for _, c := range cases {
		kept, gone := c.next.Keeping(c.earlier)
		var names []string
		for _, cluster := range kept.Clusters {
			names = append(names, cluster.GetName())
		}
		if got := strings.Join(names, " "); got != c.want || gone != c.gone {
			t.Errorf("%s: got %q, %d gone", c.name, got, gone)
		}
	}
}

func TestRefusals(t *testing.T) {
	p, _ := platform()
	c := cloud()
	badText, badPort := cloud(), cloud()
	badText.Products[0].ID = "bad\xff"
	authProduct := cloud()
	authProduct.Products[0].ID = "auth"
	badPort.Products[0].Upstream = ":99999"
	cases := []struct {
		name string
		err  error
	}{
		{"edge without clouds", second(Edge(p, nil))},
		{"ingress without a certificate", second(Ingress(c, nil))},
		{"text that is no UTF-8", second(Ingress(badText, []Certificate{{}}))},
		{"product named like the auth host", second(Ingress(authProduct, []Certificate{{}}))},
		{"port out of range", second(Ingress(badPort, []Certificate{{}}))},
		{"empty set", Validate(Resources{})},
		{"no listener", Validate(Resources{Clusters: []*clusterv3.Cluster{{Name: "a"}}})},
	}
	for _, c := range cases {
		if c.err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

func second(_ Resources, err error) error { return err }

// A fault inside an Any, where the generated check does not look.
func TestValidateLooksInside(t *testing.T) {
	r := roles(t)["edge"]
	var b builder
	listener := proto.CloneOf(r.Listeners[0])
	listener.FilterChains[0].Filters[0].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: b.any(&tcpproxyv3.TcpProxy{})}
	if listener.ValidateAll() != nil {
		t.Fatal("the generated check sees it: this test proves nothing")
	}
	r.Listeners = []*listenerv3.Listener{listener}
	if err := Validate(r); err == nil || !strings.Contains(err.Error(), "StatPrefix") {
		t.Errorf("got %v", err)
	}
}
