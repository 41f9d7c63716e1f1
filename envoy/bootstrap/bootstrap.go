package bootstrap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"isogate/envoy/topology"
)

// Options are what differs between two Envoys. All are required.
type Options struct {
	Role        topology.Role
	NodeID      string // tells the Envoys of one role apart in logs; the control plane takes the role from the socket, never from here
	XDSSocket   string // absolute path of the socket on which the control plane serves this role
	AdminSocket string // absolute path of the socket that Envoy makes for its operator, mode 0600
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
	if !filepath.IsAbs(o.XDSSocket) {
		faults = append(faults, fmt.Errorf("the control plane's socket %q must be an absolute path", o.XDSSocket))
	}
	if !filepath.IsAbs(o.AdminSocket) {
		faults = append(faults, fmt.Errorf("the admin socket %q must be an absolute path", o.AdminSocket))
	}
	return errors.Join(faults...)
}

func (o Options) build() (*bootstrapv3.Bootstrap, error) {
	xds, err := controlPlane(o.XDSSocket)
	if err != nil {
		return nil, err
	}
	limits, err := overload()
	if err != nil {
		return nil, err
	}
	return &bootstrapv3.Bootstrap{
		Node:             &corev3.Node{Id: o.NodeID, Cluster: string(o.Role)},
		StaticResources:  xds,
		DynamicResources: ads(),
		OverloadManager:  limits,
		Admin:            admin(o.AdminSocket),
		StatsConfig:      stats(),
		// Nothing collects statistics but whoever asks the admin socket; histograms are then as fresh as counters.
		StatsFlush: &bootstrapv3.Bootstrap_StatsFlushOnAdmin{StatsFlushOnAdmin: true},
	}, nil
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
