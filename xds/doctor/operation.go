package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// oldest is the first Envoy with the fixes that the rules take for granted.
const oldest = "1.40.0"

// guards are Envoy's own switches of those fixes; all are on unless a runtime layer turns one off.
var guards = []string{
	"envoy.reloadable_features.strip_dotdot_segments_with_parameters",
	"envoy.reloadable_features.strip_path_parameters_per_segment",
	"envoy.reloadable_features.rbac_respect_ignore_path_parameters",
	"envoy.reloadable_features.http_reject_path_with_fragment",
	"envoy.reloadable_features.re2_use_latin1_mode",
}

// operation judges what stands beside listeners and clusters.
func (e *examiner) operation() {
	if e.bootstrap == nil {
		return
	}
	at := place("bootstrap")
	if a := e.bootstrap.GetAdmin().GetAddress(); a != nil && !private(a) {
		e.found(adminPublic, at.in("admin", ""))
	}
	e.version(at)
	e.runtime(at)
	e.controlPlane()
	e.bounds(at, bound{"a limit of connections in overload_manager", e.boundsConnections()})
}

func private(a *corev3.Address) bool {
	if a.GetSocketAddress() == nil {
		return true
	}
	ip, err := netip.ParseAddr(a.GetSocketAddress().GetAddress())
	return err == nil && ip.IsLoopback()
}

// version is told by a dump only: a file does not say which Envoy will read it.
func (e *examiner) version(at place) {
	v := e.bootstrap.GetNode().GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return
	}
	var least typev3.SemanticVersion
	_, _ = fmt.Sscanf(oldest, "%d.%d.%d", &least.MajorNumber, &least.MinorNumber, &least.Patch)
	numbers := func(v *typev3.SemanticVersion) []uint32 {
		return []uint32{v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()}
	}
	if slices.Compare(numbers(v), numbers(&least)) < 0 {
		e.found(oldEnvoy, at.in("node", ""), fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()))
	}
}

func (e *examiner) runtime(at place) {
	for i, layer := range e.bootstrap.GetLayeredRuntime().GetLayers() {
		fields := layer.GetStaticLayer().GetFields()
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			off := !fields[name].GetBoolValue() && fields[name].GetStringValue() != "true"
			if off && slices.Contains(guards, name) {
				e.found(guardOff, at.in("runtime layer", nameOr(layer.GetName(), i)), name)
			}
		}
	}
}

func (e *examiner) boundsConnections() bool {
	for _, monitor := range e.bootstrap.GetOverloadManager().GetResourceMonitors() {
		m, _ := open(monitor.GetTypedConfig())
		if limit, ok := m.(*connectionsv3.DownstreamConnectionsConfig); ok && limit.GetMaxActiveDownstreamConnections() > 0 {
			return true
		}
	}
	return false
}
