package snapshot

import (
	_ "embed"
	"slices"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

const problemType = "application/problem+json"

// problem is an RFC 9457 body that names a reason and never a cause.
func problem(title, status, reason string) string {
	return `{"type":"about:blank","title":"` + title + `","status":` + status + `,"reason":"` + reason + `"}`
}

// unavailablePage is what a person sees where a program gets the problem: extauthz's own page for that reason, byte for byte, since only where
// extauthz cannot answer does Envoy. Nothing but its own style may act in it.
//
//go:embed unavailable.html
var unavailablePage string

const unavailablePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// localReplies gives Envoy's own failures the form of ours: a page for who accepts one, a problem for everybody else. The first mapper that fits
// wins, and the check's own answers must fit none that replaces a body: they have the flag UAEX like Envoy's failure to ask, but never its status.
func localReplies() *hcmv3.LocalReplyConfig {
	var mappers []*hcmv3.ResponseMapper
	for _, failure := range []struct {
		filter *accesslogv3.AccessLogFilter
		reason string
	}{
		{statusIs(checkFailed), "unavailable"}, // the check did not answer
		{statusIs(500), "unavailable"},         // Envoy refused what the check wanted to change
		{flagged(upstreamFailed...), "upstream"},
	} {
		page := mapTo503(both(failure.filter, acceptsPages()), strings.ReplaceAll(unavailablePage, "%", "%%"), "text/html; charset=utf-8")
		for name, value := range map[string]string{"cache-control": "no-store", "content-security-policy": unavailablePolicy, "x-content-type-options": "nosniff"} {
			page.HeadersToAdd = append(page.HeadersToAdd, overwrite(name, value))
		}
		slices.SortFunc(page.HeadersToAdd, func(a, b *corev3.HeaderValueOption) int {
			return strings.Compare(a.GetHeader().GetKey(), b.GetHeader().GetKey())
		})
		mappers = append(mappers, page, mapTo503(failure.filter, problem("Service Unavailable", "503", failure.reason), problemType))
	}
	return &hcmv3.LocalReplyConfig{Mappers: mappers}
}

// upstreamFailed are Envoy's flags for a backend that it could not ask, or that gave no answer, none that is HTTP, or none before the session ended
// (UMSDR: the check bounds how long a request may last). Their own texts tell of inside.
var upstreamFailed = []string{"UF", "UH", "UC", "UO", "UR", "UT", "URX", "UPE", "UMSDR"}

func mapTo503(filter *accesslogv3.AccessLogFilter, body, kind string) *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter:     filter,
		StatusCode: number(503),
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format:      &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: inlineText(body)},
			ContentType: kind,
		},
	}
}

func both(a, b *accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{
		Filters: []*accesslogv3.AccessLogFilter{a, b},
	}}}
}

// acceptsPages holds for what browsers send when a person opens an address.
func acceptsPages() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{
		Header: &routev3.HeaderMatcher{Name: "accept", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
			StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: "text/html"}},
		}},
	}}}
}

func requestHas(header string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{
		Header: &routev3.HeaderMatcher{Name: header, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}},
	}}}
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
