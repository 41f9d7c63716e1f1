package snapshot

import (
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"isogate/envoy/topology"
)

const (
	routesName = "ingress"
	namespace  = "isogate" // of the route metadata that the check and the access log read

	authID = "auth" // stands for the auth host where a product's id would stand

	ownPaths = "/.isogate/"
	uctKeys  = "/.well-known/uct/jwks.json"
)

// routes is the whole table of the ingress. Envoy answers what matches no route without asking the check, so every virtual host ends in a route
// that matches everything, and the last virtual host takes every other name.
func (b *builder) routes(cloud topology.Cloud) *routev3.RouteConfiguration {
	hosts := []*routev3.VirtualHost{authHost(cloud)}
	for _, p := range cloud.Products {
		hosts = append(hosts, productHost(cloud.HostOf(p), p))
	}
	hosts = append(hosts, &routev3.VirtualHost{Name: "misdirected", Domains: []string{"*"}, Routes: []*routev3.Route{
		refuse("misdirected", 421, "Misdirected Request", "misdirected", nil),
	}})
	return &routev3.RouteConfiguration{Name: routesName, VirtualHosts: hosts, ValidateClusters: yes}
}

// authHost leads to the door, and nowhere else.
func authHost(cloud topology.Cloud) *routev3.VirtualHost {
	keys := door("auth.door", authID)
	keys.Match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: uctKeys}}
	return &routev3.VirtualHost{Name: "auth", Domains: []string{cloud.AuthHost()}, Routes: []*routev3.Route{
		door("auth.door", authID),
		keys,
		refuse("auth.none", 404, "Not Found", "not-found", metadata("none", authID)),
	}}
}

// productHost leads to one product, and to the door under our own path.
func productHost(host string, p topology.Product) *routev3.VirtualHost {
	return &routev3.VirtualHost{Name: productName(p), Domains: []string{host}, Routes: []*routev3.Route{
		door(p.ID+".door", p.ID),
		product(p),
	}}
}

func door(name, id string) *routev3.Route {
	return &routev3.Route{
		Name:     name,
		Match:    prefix(ownPaths),
		Metadata: metadata("door", id),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: doorCluster},
			Timeout:          seconds(30),
			RetryPolicy:      harmlessRetry(),
		}},
	}
}

// product has no limit on the whole answer, because some stream; what bounds it is silence, and the longest time of any one stream: sessions end,
// and a stream may outlive its session by no more than that.
func product(p topology.Product) *routev3.Route {
	action := &routev3.RouteAction{
		ClusterSpecifier:  &routev3.RouteAction_Cluster{Cluster: productName(p)},
		Timeout:           seconds(0),
		IdleTimeout:       durationpb.New(p.Idle()),
		MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(p.Stream())},
		RetryPolicy:       harmlessRetry(),
	}
	if p.WebSockets {
		action.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{UpgradeType: "websocket", Enabled: yes}}
	}
	return &routev3.Route{Name: p.ID, Match: prefix("/"), Metadata: metadata("product", p.ID), Action: &routev3.Route_Route{Route: action}}
}

// harmlessRetry repeats only what cannot have reached the backend: a connection that was not made, a stream that was refused, a reset before the
// request was sent. Anything else might do a thing twice.
func harmlessRetry() *routev3.RetryPolicy {
	return &routev3.RetryPolicy{RetryOn: "connect-failure,refused-stream,reset-before-request", NumRetries: number(1)}
}

// refuse is Envoy's own answer, for the case that the check lets such a request pass.
func refuse(name string, status uint32, title, reason string, about *corev3.Metadata) *routev3.Route {
	body := problem(title, strconv.Itoa(int(status)), reason)
	return &routev3.Route{
		Name:                 name,
		Match:                prefix("/"),
		Metadata:             about,
		Action:               &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status, Body: inlineText(body)}},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{overwrite("content-type", problemType)},
	}
}

func prefix(path string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: path}}
}

// metadata tells the check which route Envoy chose: {"product": id}, {"door": "auth" or id} or {"none": "auth"}.
func metadata(key, value string) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		namespace: {Fields: map[string]*structpb.Value{key: structpb.NewStringValue(value)}},
	}}
}
