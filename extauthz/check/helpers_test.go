package check

import (
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

const issuesHost = "issues.acme.example"

// question is a CheckRequest as Envoy sends it with encode_raw_headers, include_tls_session and the namespace of ours. Header lines are name,
// value, name, value.
func question(method, host, target string, lines ...string) *auth.CheckRequest {
	header := &core.HeaderMap{}
	for i := 0; i+1 < len(lines); i += 2 {
		header.Headers = append(header.Headers, &core.HeaderValue{Key: lines[i], RawValue: []byte(lines[i+1])})
	}
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source:     peer("192.0.2.1"),
		Request:    &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{Method: method, Host: host, Path: target, HeaderMap: header}},
		TlsSession: &auth.AttributeContext_TLSSession{Sni: issuesHost},
		RouteMetadataContext: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{
			"isogate": {Fields: map[string]*structpb.Value{"product": structpb.NewStringValue("issues")}},
		}},
	}}
}

func peer(address string) *auth.AttributeContext_Peer {
	return &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{
		SocketAddress: &core.SocketAddress{Address: address},
	}}}
}

// sent is a question as it travels.
func sent(in *auth.CheckRequest) string {
	message, err := proto.Marshal(in)
	if err != nil {
		panic(err)
	}
	return string(message)
}

func parse(in *auth.CheckRequest) (Request, error) { return Parse(sent(in)) }
