package snapshot

import (
	_ "embed"
	"strconv"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// Gateway and egress are asked by programs: every answer of Envoy's own is a problem with the headers that extauthz gives to its problems.

// machineReplies gives Envoy's own failures the form of the check's refusals. The first mapper that fits wins. The check's own answers fit none: they
// never have these statuses, or the flags of a call that was made and failed.
func machineReplies(further ...*hcmv3.ResponseMapper) *hcmv3.LocalReplyConfig {
	return &hcmv3.LocalReplyConfig{Mappers: append([]*hcmv3.ResponseMapper{
		reply(statusIs(checkFailed), 503, unavailableProblem), // the check did not answer
		reply(statusIs(500), 503, unavailableProblem),         // Envoy refused what the check wanted to change
		reply(flagged(upstreamFailed...), 503, upstreamProblem(503)),
	}, further...)}
}

func reply(filter *accesslogv3.AccessLogFilter, status uint32, body string) *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter:     filter,
		StatusCode: number(status),
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format:      &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: inlineText(body)},
			ContentType: problemType,
		},
		HeadersToAdd: problemHeaders(status),
	}
}

// problemHeaders are those of extauthz's problems, so that a refusal does not tell who refused.
func problemHeaders(status uint32) []*corev3.HeaderValueOption {
	list := []*corev3.HeaderValueOption{
		overwrite("content-type", problemType),
		overwrite("cache-control", "no-store"),
		overwrite("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
		overwrite("x-content-type-options", "nosniff"),
		overwrite("x-frame-options", "DENY"),
		overwrite("referrer-policy", "no-referrer"),
		overwrite("cross-origin-resource-policy", "same-origin"),
	}
	if status == 503 {
		list = append(list, overwrite("retry-after", "10"))
	}
	return list
}

// The refusals of calls that lead nowhere are extauthz's own problems for those reasons, byte for byte: nobody learns from an answer who refused.
//
//go:embed not-exposed.json
var notExposedProblem string

//go:embed cloud.json
var cloudProblem string

var unavailableProblem = problem("Service Unavailable", "503", "unavailable")

// upstreamProblem says that what was called failed: 502 for an answer that is none, 503 where it may go better soon.
func upstreamProblem(status int) string {
	title := map[int]string{502: "Bad Gateway", 503: "Service Unavailable"}[status]
	return problem(title, strconv.Itoa(status), "upstream")
}

// closed stands for every call that leads nowhere. Its status is mapped to the answer (machineReplies), as is Envoy's own where no route matches: one
// text then stands for both, and not in each of the many lists of routes that this route ends. The check is asked first and says the same.
func closed(role string) *routev3.Route {
	return &routev3.Route{
		Name: role + ".none", Match: prefix("/"), Metadata: metadata("none", role),
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: closedStatus}},
	}
}

const closedStatus = 404

// addedByEnvoy are request headers that Envoy makes of the connection. What is called learns nothing of it.
var addedByEnvoy = []string{"x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal"}
