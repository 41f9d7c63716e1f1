package push

import (
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"isogate/xds/snapshot"
)

// typeNames are the resource types that exist here, with the words for them in metrics and status. Requests for others end the stream.
var typeNames = map[string]string{
	resource.ClusterType:  "cluster",
	resource.ListenerType: "listener",
	resource.RouteType:    "route",
	resource.SecretType:   "secret",
}

// byType gives the cache every type, empty ones too: a missing one would have no version.
func byType(r snapshot.Resources) map[resource.Type][]types.Resource {
	return map[resource.Type][]types.Resource{
		resource.ClusterType:  items(r.Clusters),
		resource.ListenerType: items(r.Listeners),
		resource.RouteType:    items(r.Routes),
		resource.SecretType:   items(r.Secrets),
	}
}

func items[M proto.Message](list []M) []types.Resource {
	out := make([]types.Resource, len(list))
	for i, m := range list {
		out[i] = m
	}
	return out
}

// changedTypes are those whose content differs: the ones that Envoy will answer. Secrets are left out: no cluster waits for them.
func changedTypes(old, next snapshot.Resources) []string {
	var changed []string
	for url, only := range map[string]func(snapshot.Resources) snapshot.Resources{
		resource.ClusterType: func(r snapshot.Resources) snapshot.Resources {
			r.Listeners, r.Routes, r.Secrets = nil, nil, nil
			return r
		},
		resource.ListenerType: func(r snapshot.Resources) snapshot.Resources {
			r.Clusters, r.Routes, r.Secrets = nil, nil, nil
			return r
		},
		resource.RouteType: func(r snapshot.Resources) snapshot.Resources {
			r.Clusters, r.Listeners, r.Secrets = nil, nil, nil
			return r
		},
	} {
		if only(old).Version() != only(next).Version() {
			changed = append(changed, url)
		}
	}
	return changed
}
