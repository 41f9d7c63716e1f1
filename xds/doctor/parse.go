package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// configuration is what the rules look at.
type configuration struct {
	bootstrap *bootstrapv3.Bootstrap // nil where a dump has none
	listeners []*listenerv3.Listener
	clusters  map[string]*clusterv3.Cluster
	routes    map[string]*routev3.RouteConfiguration // that came on their own
	notes     []string
}

func (c *configuration) clusterNames() []string { return slices.Sorted(maps.Keys(c.clusters)) }

func (c *configuration) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.notes, text) {
		c.notes = append(c.notes, text)
	}
}

// lenient: a newer Envoy's dump has fields that are unknown here.
var lenient = protojson.UnmarshalOptions{DiscardUnknown: true}

func parse(raw []byte) (*configuration, error) {
	tree, err := decode(raw)
	if err != nil {
		return nil, err
	}
	c := &configuration{clusters: map[string]*clusterv3.Cluster{}, routes: map[string]*routev3.RouteConfiguration{}}
	dump, isDump := tree["configs"]
	known, err := json.Marshal(c.known(tree))
	if err != nil {
		return nil, err
	}
	if !isDump {
		err = c.readBootstrap(known)
	} else if _, ok := dump.([]any); !ok {
		err = errors.New("configs: is no list")
	} else {
		err = c.readDump(known)
	}
	if err == nil && len(c.listeners) == 0 {
		c.note("there is no listener in it, so no request can be judged: give the config dump of the running Envoy")
	}
	return c, err
}

// decode reads JSON, which is YAML too but is read much faster as what it is, or one YAML document.
func decode(raw []byte) (tree map[string]any, err error) {
	if json.Valid(raw) {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		err = decoder.Decode(&tree)
	} else {
		decoder := yaml.NewDecoder(bytes.NewReader(raw))
		err = decoder.Decode(&tree)
		if second := decoder.Decode(new(yaml.Node)); err == nil && !errors.Is(second, io.EOF) {
			err = errors.New("holds more than one document")
		}
	}
	if err != nil {
		return nil, err
	}
	if len(tree) == 0 {
		return nil, errors.New("is empty, or neither a config dump nor a bootstrap")
	}
	return tree, nil
}

// looksLikeBootstrap is false for what happens to be YAML or JSON: it has nothing that a rule could look at.
func looksLikeBootstrap(b *bootstrapv3.Bootstrap) bool {
	return b.StaticResources != nil || b.DynamicResources != nil
}

func (c *configuration) readBootstrap(raw []byte) error {
	b := new(bootstrapv3.Bootstrap)
	if err := lenient.Unmarshal(raw, b); err != nil {
		return err
	}
	if !looksLikeBootstrap(b) {
		return errors.New("has neither configs (a config dump) nor static_resources or dynamic_resources (a bootstrap)")
	}
	c.bootstrap, c.listeners = b, b.GetStaticResources().GetListeners()
	c.addClusters(b)
	return nil
}

func (c *configuration) addClusters(b *bootstrapv3.Bootstrap) {
	for _, cluster := range b.GetStaticResources().GetClusters() {
		c.clusters[cluster.GetName()] = cluster
	}
}

func (c *configuration) readDump(raw []byte) error {
	dump := new(adminv3.ConfigDump)
	if err := lenient.Unmarshal(raw, dump); err != nil {
		return err
	}
	listed := false
	for _, part := range dump.GetConfigs() {
		m, err := part.UnmarshalNew()
		if err != nil {
			return err
		}
		_, isListeners := m.(*adminv3.ListenersConfigDump)
		listed = listed || isListeners
		if err := c.readPart(m); err != nil {
			return err
		}
	}
	if !listed { // a dump that was asked for in part
		c.listeners = c.bootstrap.GetStaticResources().GetListeners()
	}
	if c.bootstrap == nil {
		c.note("the dump has no bootstrap: the admin interface, the control plane and the version were not looked at")
	}
	return nil
}

func (c *configuration) readPart(m proto.Message) error {
	switch part := m.(type) {
	case *adminv3.BootstrapConfigDump:
		c.bootstrap = part.GetBootstrap()
		c.addClusters(c.bootstrap)
	case *adminv3.ListenersConfigDump:
		return c.readListeners(part)
	case *adminv3.ClustersConfigDump:
		return c.readClusters(part)
	case *adminv3.RoutesConfigDump:
		return c.readRoutes(part)
	case *adminv3.ScopedRoutesConfigDump:
		if len(part.GetInlineScopedRouteConfigs())+len(part.GetDynamicScopedRouteConfigs()) > 0 {
			c.note("scoped routes were not looked at")
		}
	case *adminv3.EcdsConfigDump:
		if len(part.GetEcdsFilters()) > 0 {
			c.note("filters that come on their own (ECDS) were not looked at")
		}
	}
	return nil
}

func (c *configuration) readListeners(part *adminv3.ListenersConfigDump) error {
	var packed []*anypb.Any
	for _, s := range part.GetStaticListeners() {
		packed = append(packed, s.GetListener())
	}
	for _, d := range part.GetDynamicListeners() {
		if d.GetActiveState() != nil {
			packed = append(packed, d.GetActiveState().GetListener())
		} else {
			c.note("the listener %q is not active", d.GetName())
		}
	}
	return each(packed, func(l *listenerv3.Listener) { c.listeners = append(c.listeners, l) })
}

func (c *configuration) readClusters(part *adminv3.ClustersConfigDump) error {
	var packed []*anypb.Any
	for _, s := range part.GetStaticClusters() {
		packed = append(packed, s.GetCluster())
	}
	for _, d := range part.GetDynamicActiveClusters() {
		packed = append(packed, d.GetCluster())
	}
	return each(packed, func(cluster *clusterv3.Cluster) { c.clusters[cluster.GetName()] = cluster })
}

func (c *configuration) readRoutes(part *adminv3.RoutesConfigDump) error {
	var packed []*anypb.Any
	for _, d := range part.GetDynamicRouteConfigs() {
		packed = append(packed, d.GetRouteConfig())
	}
	return each(packed, func(r *routev3.RouteConfiguration) { c.routes[r.GetName()] = r })
}

// each unpacks what must be of one type.
func each[M proto.Message](packed []*anypb.Any, take func(M)) error {
	for _, p := range packed {
		m, err := p.UnmarshalNew()
		if err != nil {
			return err
		}
		typed, ok := m.(M)
		if !ok {
			return fmt.Errorf("holds a %s where another type belongs", m.ProtoReflect().Descriptor().FullName())
		}
		take(typed)
	}
	return nil
}
