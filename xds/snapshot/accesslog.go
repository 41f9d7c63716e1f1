package snapshot

import (
	"maps"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Access logs hold nothing personal: no path or query (they name what somebody reads), no client address, no user agent, no server name. What a
// request was is told by its route, why it was refused by the reason that the check gave.

// shared stands in the logs of all roles.
var shared = map[string]string{
	"time":     "%START_TIME%",
	"flags":    "%RESPONSE_FLAGS%",
	"ms":       "%DURATION%",
	"received": "%BYTES_RECEIVED%",
	"sent":     "%BYTES_SENT%",
}

func (b *builder) connectionLog() *accesslogv3.AccessLog {
	return b.accessLog(map[string]string{
		"cluster": "%UPSTREAM_CLUSTER%",
		"details": "%CONNECTION_TERMINATION_DETAILS%",
	})
}

func (b *builder) requestLog(own map[string]string) *accesslogv3.AccessLog {
	fields := map[string]string{
		"method":  "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:method)%", // the check's word for it: a client may send any text as its method
		"route":   "%ROUTE_NAME%",
		"reason":  "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:reason)%",
		"code":    "%RESPONSE_CODE%",
		"details": "%RESPONSE_CODE_DETAILS%",
		"id":      "%STREAM_ID%", // made here for each request
	}
	maps.Copy(fields, own)
	return b.accessLog(fields)
}

func (b *builder) accessLog(own map[string]string) *accesslogv3.AccessLog {
	maps.Copy(own, shared)
	format := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for key, command := range own {
		format.Fields[key] = structpb.NewStringValue(command)
	}
	return &accesslogv3.AccessLog{
		Name: "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.any(&filev3.FileAccessLog{
			Path: "/dev/stdout",
			AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: format},
			}},
		})},
	}
}
