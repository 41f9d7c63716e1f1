package snapshot

import (
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// KeyFiles are the PEM files of one Certificate, where Envoy itself can read them.
type KeyFiles struct{ Certificate, Key string }

// Static makes the same resources fit for an Envoy that asks no control plane: routes stand inside their listeners, and secrets name the files
// of the certificates, given in the order in which they were given to Ingress. No key material is in the result, and nothing that would be
// asked of a control plane.
func Static(r Resources, certificates []KeyFiles) (*bootstrapv3.Bootstrap_StaticResources, error) {
	s := inliner{routes: map[string]*routev3.RouteConfiguration{}}
	for _, routes := range r.Routes {
		s.routes[routes.GetName()] = routes
	}
	out := &bootstrapv3.Bootstrap_StaticResources{}
	for _, l := range r.Listeners {
		l := proto.CloneOf(l)
		s.inline(l.ProtoReflect())
		out.Listeners = append(out.Listeners, l)
	}
	for _, c := range r.Clusters {
		c := proto.CloneOf(c)
		s.inline(c.ProtoReflect())
		out.Clusters = append(out.Clusters, c)
	}
	files := map[string]*tlsv3.Secret{}
	for i, c := range certificates {
		files[secretName(i)] = fileSecret(i, c)
	}
	for _, secret := range r.Secrets {
		inFiles, ok := files[secret.GetName()]
		if !ok {
			return nil, fmt.Errorf("snapshot: the secret %s has no files", secret.GetName())
		}
		out.Secrets = append(out.Secrets, inFiles)
	}
	return out, s.err
}

func fileSecret(i int, c KeyFiles) *tlsv3.Secret {
	file := func(path string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
	}
	return &tlsv3.Secret{Name: secretName(i), Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: file(c.Certificate), PrivateKey: file(c.Key),
	}}}
}

// inliner changes messages in place; the first failure stays.
type inliner struct {
	builder
	routes map[string]*routev3.RouteConfiguration
}

func (s *inliner) inline(m protoreflect.Message) {
	switch m := m.Interface().(type) {
	case *anypb.Any:
		inner, err := m.UnmarshalNew()
		if err != nil {
			s.fail(err)
			return
		}
		s.inline(inner.ProtoReflect())
		proto.Reset(m)
		proto.Merge(m, s.any(inner))
		return
	case *hcmv3.HttpConnectionManager:
		s.inlineRoutes(m)
	case *tlsv3.SdsSecretConfig:
		m.SdsConfig = nil // a secret without a source is a static one of that name
	case *corev3.ConfigSource:
		s.fail(fmt.Errorf("would be asked of a control plane: %v", m))
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		eachMessage(field, value, s.inline)
		return s.err == nil
	})
}

func (s *inliner) inlineRoutes(m *hcmv3.HttpConnectionManager) {
	rds := m.GetRds()
	if rds == nil {
		return
	}
	routes, ok := s.routes[rds.GetRouteConfigName()]
	if !ok {
		s.fail(fmt.Errorf("no routes %q", rds.GetRouteConfigName()))
	}
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: proto.CloneOf(routes)}
}

func (s *inliner) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("snapshot: %w", err)
	}
}
