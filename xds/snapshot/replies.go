package snapshot

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

const problemType = "application/problem+json"

// problem is an RFC 9457 body that names a reason and never a cause.
func problem(title, status, reason string) string {
	return `{"type":"about:blank","title":"` + title + `","status":` + status + `,"reason":"` + reason + `"}`
}

// localReplies gives Envoy's own failures the form of ours. The first mapper that fits wins, and the check's own answers must fit none that
// replaces a body: they have the flag UAEX like Envoy's failure to ask, but never its status.
func localReplies() *hcmv3.LocalReplyConfig {
	unavailable := problem("Service Unavailable", "503", "unavailable")
	return &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{
		mapTo503(statusIs(checkFailed), unavailable), // the check did not answer
		mapTo503(statusIs(500), unavailable),         // Envoy refused what the check wanted to change
		mapTo503(flagged("UF", "UH", "UC", "UO", "UR", "UT", "URX"), problem("Service Unavailable", "503", "upstream")),
	}}
}

func mapTo503(filter *accesslogv3.AccessLogFilter, body string) *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter:     filter,
		StatusCode: number(503),
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format:      &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: inlineText(body)},
			ContentType: problemType,
		},
	}
}

func statusIs(code uint32) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: &accesslogv3.StatusCodeFilter{
		Comparison: &accesslogv3.ComparisonFilter{
			Op:    accesslogv3.ComparisonFilter_EQ,
			Value: &corev3.RuntimeUInt32{DefaultValue: code, RuntimeKey: "isogate.never_set"}, // Envoy demands a key
		},
	}}}
}

func flagged(flags ...string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: flags},
	}}
}

func inlineText(text string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
}
