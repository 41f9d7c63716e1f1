package snapshot

import (
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

var keyFiles = []KeyFiles{{"/a.pem", "/a.key"}, {"/b.pem", "/b.key"}}

func TestStatic(t *testing.T) {
	r := roles(t)["ingress"]
	before := r.Version()
	out, err := Static(r, Files{Certificates: keyFiles})
	if err != nil {
		t.Fatal(err)
	}
	if r.Version() != before {
		t.Error("it changed what it was given")
	}
	manager := new(hcmv3.HttpConnectionManager)
	if err := out.Listeners[0].FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(manager.GetRouteConfig(), r.Routes[0]) {
		t.Error("the routes do not stand in the listener")
	}
	tls := new(tlsv3.DownstreamTlsContext)
	if err := out.Listeners[0].FilterChains[0].TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
		t.Fatal(err)
	}
	for i, secret := range tls.CommonTlsContext.TlsCertificateSdsSecretConfigs {
		pair := out.Secrets[i].GetTlsCertificate()
		if secret.SdsConfig != nil || secret.Name != out.Secrets[i].Name || pair.CertificateChain.GetFilename() != keyFiles[i].Certificate ||
			pair.PrivateKey.GetFilename() != keyFiles[i].Key {
			t.Errorf("certificate %d: %v is %v", i, secret, out.Secrets[i])
		}
	}
	if len(out.Secrets) != 2 || len(out.Clusters) != len(r.Clusters) {
		t.Errorf("%d secrets, %d clusters", len(out.Secrets), len(out.Clusters))
	}
}

func TestStaticFaults(t *testing.T) {
	ingress := roles(t)["ingress"]
	fromADS := proto.CloneOf(ingress.Listeners[0])
	var b builder
	fromADS.FilterChains[0].Filters[0] = &listenerv3.Filter{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.any(&hcmv3.HttpConnectionManager{
		RouteSpecifier: &hcmv3.HttpConnectionManager_ScopedRoutes{ScopedRoutes: &hcmv3.ScopedRoutes{RdsConfigSource: ads()}},
	})}}
	cases := []struct {
		name  string
		r     Resources
		files []KeyFiles
		want  string
	}{
		{"a certificate without files", ingress, keyFiles[:1], "the secret certificate-1 has no files"},
		{"routes that do not exist", Resources{Listeners: ingress.Listeners}, keyFiles, `no routes "ingress"`},
		{"another thing of a control plane", Resources{Listeners: []*listenerv3.Listener{fromADS}}, keyFiles, "would be asked of a control plane"},
	}
	for _, c := range cases {
		if _, err := Static(c.r, Files{Certificates: c.files}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
