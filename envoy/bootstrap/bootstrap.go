package bootstrap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"isogate/envoy/topology"
)

// Options are what differs between two Envoys. All are required, but only one of XDSSocket and XDSRemote.
type Options struct {
	Role        topology.Role
	NodeID      string  // tells the Envoys of one role apart in logs; the control plane never takes the role from here
	XDSSocket   string  // absolute path of the socket on which a control plane on this machine serves this role
	XDSRemote   *Remote // a control plane on another machine, instead
	AdminSocket string  // absolute path of the socket that Envoy makes for its operator, mode 0600
}

// For gives the bootstrap as JSON, the same bytes for the same options. Its names are those of Envoy's own pages
// (config.bootstrap.v3.Bootstrap). An error is a fault of the options.
func For(o Options) ([]byte, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	b, err := o.build()
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return encode(b)
}

func (o Options) validate() error {
	var faults []error
	if o.Role == "" {
		faults = append(faults, errors.New("a role is required"))
	}
	if o.NodeID == "" {
		faults = append(faults, errors.New("a node id is required"))
	}
	switch {
	case o.XDSRemote == nil && !filepath.IsAbs(o.XDSSocket):
		faults = append(faults, fmt.Errorf("the control plane's socket %q must be an absolute path", o.XDSSocket))
	case o.XDSRemote != nil && o.XDSSocket != "":
		faults = append(faults, errors.New("the control plane is either on this machine or on another one"))
	case o.XDSRemote != nil:
		faults = append(faults, o.XDSRemote.validate())
	}
	if !filepath.IsAbs(o.AdminSocket) {
		faults = append(faults, fmt.Errorf("the admin socket %q must be an absolute path", o.AdminSocket))
	}
	return errors.Join(faults...)
}

func (o Options) build() (*bootstrapv3.Bootstrap, error) {
	xds, err := o.controlPlane()
	if err != nil {
		return nil, err
	}
	b, err := common(&corev3.Node{Id: o.NodeID, Cluster: string(o.Role)}, o.AdminSocket)
	if err != nil {
		return nil, err
	}
	b.StaticResources = &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{xds}}
	b.DynamicResources = ads()
	return b, nil
}

// common is what every Envoy of ours has, whoever gives it its resources.
func common(node *corev3.Node, adminSocket string) (*bootstrapv3.Bootstrap, error) {
	limits, err := overload()
	if err != nil {
		return nil, err
	}
	b := &bootstrapv3.Bootstrap{
		Node:            node,
		OverloadManager: limits,
		StatsConfig:     stats(),
		// Nothing collects statistics but whoever asks the admin socket; histograms are then as fresh as counters.
		StatsFlush: &bootstrapv3.Bootstrap_StatsFlushOnAdmin{StatsFlushOnAdmin: true},
	}
	if adminSocket != "" {
		b.Admin = admin(adminSocket)
	}
	return b, nil
}

// encode goes through json.Indent, since protojson varies its white space on purpose.
func encode(m proto.Message) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: encoding %w", err)
	}
	var compact, out bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, fmt.Errorf("bootstrap: encoding %w", err)
	}
	if err := json.Indent(&out, compact.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("bootstrap: encoding %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func typed(m proto.Message) (*anypb.Any, error) {
	a, err := anypb.New(m)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return a, nil
}
