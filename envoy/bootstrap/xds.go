package bootstrap

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// KeepAlive is how often an Envoy pings the server on a connection of gRPC, which finds a server that hangs. A gRPC server must permit it
// (keepalive.EnforcementPolicy with a smaller MinTime): unless told so it calls more than one ping in five minutes abuse, and hangs up.
const KeepAlive = 5 * time.Second

const (
	xdsCluster = "xds"

	// fetchTimeout is how long a start waits for clusters, and then for listeners, that do not come. It must not be 0: Envoy would wait
	// for ever for one that never comes, and open no port at all.
	fetchTimeout = 5 * time.Second

	// Without a back-off of our own, Envoy takes up to 30 s to find a control plane that has come back.
	backOffBase = 100 * time.Millisecond
	backOffMax  = time.Second

	keepAliveTimeout = 2 * time.Second

	connectTimeout = 250 * time.Millisecond // a unix socket answers at once or not at all

	httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// ads asks for everything on one delta stream. Delta, because a state-of-the-world client and a snapshot cache chase each other in a
// busy loop over a refused update, and because unchanged resources are not sent again.
func ads() *bootstrapv3.Bootstrap_DynamicResources {
	return &bootstrapv3.Bootstrap_DynamicResources{
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion:       corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices:              []*corev3.GrpcService{xdsService()},
		},
		CdsConfig: fromADS(),
		LdsConfig: fromADS(),
	}
}

func fromADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   durationpb.New(fetchTimeout),
	}
}

func xdsService() *corev3.GrpcService {
	return &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
		ClusterName: xdsCluster,
		RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
			BaseInterval: durationpb.New(backOffBase),
			MaxInterval:  durationpb.New(backOffMax),
		}},
	}}}
}

// controlPlane is the one cluster that Envoy knows before it has asked for any.
func (o Options) controlPlane() (*clusterv3.Cluster, error) {
	if o.XDSRemote != nil {
		return o.XDSRemote.cluster()
	}
	return cluster(pipe(o.XDSSocket, 0))
}

func cluster(address *corev3.Address) (*clusterv3.Cluster, error) {
	options, err := http2()
	if err != nil {
		return nil, err
	}
	endpoint := &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}}}
	return &clusterv3.Cluster{
		Name:                          xdsCluster,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                durationpb.New(connectTimeout),
		TypedExtensionProtocolOptions: options,
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: xdsCluster,
			Endpoints:   []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{endpoint}}},
		},
	}, nil
}

func http2() (map[string]*anypb.Any, error) {
	options, err := typed(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
				ConnectionKeepalive: &corev3.KeepaliveSettings{
					Interval: durationpb.New(KeepAlive),
					Timeout:  durationpb.New(keepAliveTimeout),
				},
			}},
		}},
	})
	return map[string]*anypb.Any{httpOptions: options}, err
}

func pipe(path string, mode uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path, Mode: mode}}}
}
