package snapshot

import (
	_ "embed"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

//go:embed answers.lua
var answersLua string

// backendAnswers removes from a backend's answer what only we may say. It is a filter of the backend's cluster and not of the listener: so it sees
// exactly what backends answer, and never an answer of the check or of the door, whose cookies are ours, nor the cookie that the check adds to a pass.
func (b *builder) backendAnswers() *hcmv3.HttpFilter {
	return b.httpFilter("envoy.filters.http.lua", &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: answersLua}},
		StatPrefix:        "answers",
	})
}
