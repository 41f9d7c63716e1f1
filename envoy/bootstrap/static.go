package bootstrap

import (
	"errors"
	"fmt"
	"path/filepath"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"isogate/envoy/topology"
)

// Static gives the whole configuration of an Envoy that asks no control plane, as JSON: these resources, and what For gives beside its
// control plane. The admin socket is an absolute path, or "" for no admin interface.
func Static(role topology.Role, adminSocket string, resources *bootstrapv3.Bootstrap_StaticResources) ([]byte, error) {
	if role == "" {
		return nil, errors.New("bootstrap: a role is required")
	}
	if adminSocket != "" && !filepath.IsAbs(adminSocket) {
		return nil, fmt.Errorf("bootstrap: the admin socket %q must be an absolute path", adminSocket)
	}
	b, err := common(&corev3.Node{Id: string(role), Cluster: string(role)}, adminSocket)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	b.StaticResources = resources
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return encode(b)
}
