package bootstrap

import (
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"isogate/envoy/topology"
)

func remote() *Remote {
	return &Remote{
		Address: "10.0.0.2:18000", Server: "spiffe://acme.example/xds", Secrets: "/etc/isogate",
		Certificate: "/etc/isogate/tls/envoy.pem", Key: "/etc/isogate/tls/envoy.key", Authorities: "/etc/isogate/ca/xds.pem",
	}
}

func remoteOptions() Options {
	o := options(topology.Edge)
	o.XDSSocket, o.XDSRemote = "", remote()
	return o
}

// upstream is the control plane's cluster for a server of this name at this address.
func upstream(t *testing.T, server, address string) (*clusterv3.Cluster, *tlsv3.UpstreamTlsContext) {
	t.Helper()
	o := remoteOptions()
	o.XDSRemote.Server, o.XDSRemote.Address = server, address
	raw, err := For(o)
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	cluster, tls := b.StaticResources.Clusters[0], new(tlsv3.UpstreamTlsContext)
	if err := cluster.TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
		t.Fatal(err)
	}
	return cluster, tls
}

func TestRemotePromises(t *testing.T) {
	named, byName := upstream(t, "xds.example", "xds.example:18000")
	numbered, bySPIFFE := upstream(t, "spiffe://acme.example/xds", "[2001:db8::1]:18000")
	san := func(tls *tlsv3.UpstreamTlsContext) *tlsv3.SubjectAltNameMatcher {
		names := tls.CommonTlsContext.GetCombinedValidationContext().GetDefaultValidationContext().GetMatchTypedSubjectAltNames()
		if len(names) != 1 {
			t.Fatalf("%d names", len(names))
		}
		return names[0]
	}
	for what, kept := range map[string]bool{
		"TLS 1.3 only": byName.CommonTlsContext.TlsParams.TlsMinimumProtocolVersion == tlsv3.TlsParameters_TLSv1_3,
		"a DNS name is demanded as one": san(byName).SanType == tlsv3.SubjectAltNameMatcher_DNS && byName.Sni == "xds.example" &&
			san(byName).Matcher.GetExact() == "xds.example",
		"a SPIFFE id is demanded as a URI": san(bySPIFFE).SanType == tlsv3.SubjectAltNameMatcher_URI && bySPIFFE.Sni == "" &&
			san(bySPIFFE).Matcher.GetExact() == "spiffe://acme.example/xds",
		"an address is not looked up": numbered.GetType() == clusterv3.Cluster_STATIC,
		"a name is looked up":         named.GetType() == clusterv3.Cluster_STRICT_DNS,
		"an authority is demanded":    byName.CommonTlsContext.GetCombinedValidationContext().GetValidationContextSdsSecretConfig() != nil,
	} {
		if !kept {
			t.Errorf("broken: %s", what)
		}
	}
}

func TestRemoteFaults(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Remote)
		want   string
	}{
		{"no address", func(r *Remote) { r.Address = "" }, `address "" must be host:port`},
		{"no host", func(r *Remote) { r.Address = ":1" }, "must be host:port"},
		{"no port", func(r *Remote) { r.Address = "a:0" }, "must be host:port"},
		{"no name", func(r *Remote) { r.Server = "" }, "name is required"},
		{"no id", func(r *Remote) { r.Server = "spiffe://" }, "name is required"},
		{"a relative certificate", func(r *Remote) { r.Certificate = "a" }, `the certificate "a" must be an absolute path`},
		{"no key", func(r *Remote) { r.Key = "" }, `the key "" must be`},
		{"no authorities", func(r *Remote) { r.Authorities = "" }, `the authorities "" must be`},
		{"no folder", func(r *Remote) { r.Secrets = "" }, `the folder of secrets "" must be`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := remoteOptions()
			tt.change(o.XDSRemote)
			_, err := For(o)
			_, alone := o.XDSRemote.SecretFiles()
			for _, err := range []error{err, alone} {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			}
		})
	}
}

func TestStaticFaults(t *testing.T) {
	resources := &bootstrapv3.Bootstrap_StaticResources{}
	if _, err := Static("", "", resources); err == nil {
		t.Error("no role")
	}
	if _, err := Static(topology.Edge, "a.sock", resources); err == nil {
		t.Error("a relative admin socket")
	}
	raw, err := Static(topology.Edge, "", resources)
	if err != nil || strings.Contains(string(raw), `"admin":`) || strings.Contains(string(raw), "dynamic_resources") {
		t.Errorf("without an admin socket: %v\n%s", err, raw)
	}
}
