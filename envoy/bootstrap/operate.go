package bootstrap

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

const (
	// maxConnections bounds what strangers can hold open at one Envoy, over all its listeners. Further ones are closed at once.
	maxConnections = 20000

	ownerOnly = 0o600 // whoever reaches the admin socket can read every secret and end the process
)

func admin(socket string) *bootstrapv3.Admin {
	return &bootstrapv3.Admin{
		Address:               pipe(socket, ownerOnly),
		IgnoreGlobalConnLimit: true, // an operator must get in when strangers hold every connection
	}
}

func overload() (*overloadv3.OverloadManager, error) {
	limit, err := typed(&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: maxConnections})
	if err != nil {
		return nil, err
	}
	return &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{{
		Name:       "envoy.resource_monitors.global_downstream_max_connections",
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: limit},
	}}}, nil
}

// stats leaves out the admin socket's own traffic, which would count every look at the statistics as a request.
func stats() *metricsv3.StatsConfig {
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{StatsMatcher: &metricsv3.StatsMatcher_ExclusionList{
		ExclusionList: &matcherv3.ListStringMatcher{Patterns: []*matcherv3.StringMatcher{
			{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "listener.admin."}},
			{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "http.admin."}},
		}},
	}}}
}
