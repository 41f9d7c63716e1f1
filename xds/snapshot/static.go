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

// Files are where Envoy itself finds what a control plane would give it as secrets.
type Files struct {
	Certificates []KeyFiles        // in the order in which the certificates were given to the role
	Authorities  map[string]string // by the secret's name: CallersSecret, AuthoritiesSecret
}

// Static makes the same resources fit for an Envoy that asks no control plane: routes stand inside their listeners, and secrets name files. No key
// material is in the result, and nothing that would be asked of a control plane.
func Static(r Resources, files Files) (*bootstrapv3.Bootstrap_StaticResources, error) {
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
	for _, secret := range r.Secrets {
		inFiles, ok := files.secrets()[secret.GetName()]
		if !ok {
			return nil, fmt.Errorf("snapshot: the secret %s has no files", secret.GetName())
		}
		out.Secrets = append(out.Secrets, inFiles)
	}
	return out, s.err
}

func (f Files) secrets() map[string]*tlsv3.Secret {
	file := func(path string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
	}
	all := map[string]*tlsv3.Secret{}
	for i, c := range f.Certificates {
		all[secretName(i)] = pair(i, file(c.Certificate), file(c.Key))
	}
	for name, path := range f.Authorities {
		all[name] = trust(name, file(path))
	}
	return all
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
