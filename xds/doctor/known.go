package doctor

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	// The types that rules look into, and those of our own configuration, so that it leaves no note.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/body_size_limit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/custom_response/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/custom_response/local_response_policy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/rate_limit_descriptors/expr/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
)

const (
	typeKey   = "@type"
	structURL = "type.googleapis.com/google.protobuf.Struct"
	unknown   = "unknown"
)

// known makes every extension of a type that is not compiled in an empty one, with a note: one of them would make the whole text unreadable. A
// TypedStruct, which is another way to write an extension, becomes what it stands for.
func (c *configuration) known(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = c.known(value[i])
		}
	case map[string]any:
		value = typedStruct(value)
		if url, ok := value[typeKey].(string); ok && !registered(url) {
			c.note("passed over: %s", url)
			return map[string]any{typeKey: structURL, "value": map[string]any{unknown: url}}
		}
		for _, key := range slices.Sorted(maps.Keys(value)) { // in order, so that notes are
			value[key] = c.known(value[key])
		}
		return value
	}
	return value
}

func registered(url string) bool {
	_, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	return err == nil
}

func typedStruct(value map[string]any) map[string]any {
	url, _ := value[typeKey].(string)
	if !strings.HasSuffix(url, "/xds.type.v3.TypedStruct") && !strings.HasSuffix(url, "/udpa.type.v1.TypedStruct") {
		return value
	}
	meant := map[string]any{}
	if inner, ok := value["value"].(map[string]any); ok {
		maps.Copy(meant, inner)
	}
	for _, key := range []string{"type_url", "typeUrl"} {
		if inner, ok := value[key]; ok {
			meant[typeKey] = inner
		}
	}
	return meant
}

// open gives the message of an extension, and its type where it is unknown here. Both are empty where there is none.
func open(packed *anypb.Any) (m proto.Message, url string) {
	if packed == nil {
		return nil, ""
	}
	m, err := packed.UnmarshalNew()
	if err != nil {
		return nil, packed.GetTypeUrl()
	}
	if s, ok := m.(*structpb.Struct); ok {
		return nil, s.GetFields()[unknown].GetStringValue()
	}
	return m, ""
}
