package snapshot

import (
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	namespace = "isogate" // of the route metadata that the check and the access log read
	ownPaths  = "/.isogate/"
)

// own leads to one of our own daemons. Envoy bounds no body, and keeps for a retry what fits into its buffer: the daemons bound what they read.
func own(name string, match *routev3.RouteMatch, cluster string, about *corev3.Metadata) *routev3.Route {
	return &routev3.Route{
		Name:     name,
		Match:    match,
		Metadata: about,
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
			Timeout:          seconds(30),
			RetryPolicy:      harmlessRetry(),
		}},
	}
}

// route has no limit on the whole answer, because some stream; what bounds it is silence, and the longest time of any one stream: sessions end, and
// a stream may outlive its session by no more than that.
func (to backend) route() *routev3.Route {
	action := &routev3.RouteAction{
		ClusterSpecifier:  &routev3.RouteAction_Cluster{Cluster: to.cluster},
		Timeout:           seconds(0),
		IdleTimeout:       durationpb.New(to.idle),
		MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(to.stream)},
		RetryPolicy:       harmlessRetry(),
	}
	if to.webSockets {
		action.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{UpgradeType: "websocket", Enabled: yes}}
	}
	return &routev3.Route{Name: to.id, Match: prefix("/"), Metadata: metadata("product", to.id), Action: &routev3.Route_Route{Route: action}}
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

func exact(path string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}
}

// metadata tells the check which route Envoy chose: {"product": id} of a product or service, {"door": id}, {"oauth": id} or {"none": id}. Where people
// sign in, the id is "auth" or "identity".
func metadata(key, value string) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		namespace: {Fields: map[string]*structpb.Value{key: structpb.NewStringValue(value)}},
	}}
}
