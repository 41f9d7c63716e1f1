package differential

import (
	"fmt"
	"slices"
	"strings"

	"isogate/policies"
)

// Callers at the gateway, by the word that a request has for each.
var callers = map[string]string{
	"support":  "spiffe://commercial.example/support",
	"market":   "spiffe://commercial.example/market",
	"stranger": "spiffe://commercial.example/stranger", // of the trust domain, and nobody's
}

// exposure is one endpoint of the gateway, as the tests know it.
type exposure struct {
	id, product, method, path string
	query                     []string
	opaque                    bool // takes a body
	market                    bool // is exposed to market too; support may call each
}

// exposures have a literal and a variable in each place, and pairs that one path fits.
var exposures = []exposure{
	{id: "root", product: "issues", method: "GET", path: "/"},
	{id: "a", product: "issues", method: "GET", path: "/a", query: []string{"b", "q"}, market: true},
	{id: "a.slash", product: "issues", method: "GET", path: "/a/"},
	{id: "a.any", product: "issues", method: "GET", path: "/a/{x}"},
	{id: "a.b", product: "issues", method: "GET", path: "/a/b", query: []string{"a-b", "a.b", "a_b", "a~b"}},
	{id: "a.any.b", product: "issues", method: "GET", path: "/a/{x}/b"},
	{id: "a.marked", product: "issues", method: "GET", path: "/a/x:y@z"},
	{id: "dotted", product: "issues", method: "GET", path: "/open/a.b~c"},
	{id: "issue.read", product: "issues", method: "GET", path: "/rest/api/issue/{key}", query: []string{"fields", "expand"}, market: true},
	{id: "issue.head", product: "issues", method: "HEAD", path: "/rest/api/issue/{key}", query: []string{"fields"}},
	{id: "issue.mine", product: "issues", method: "GET", path: "/rest/api/issue/mine"},
	{id: "issue.add", product: "issues", method: "POST", path: "/rest/api/issue", opaque: true, market: true},
	{id: "issue.move", product: "issues", method: "POST", path: "/rest/api/issue/{key}/move", query: []string{"notify"}, opaque: true},
	{id: "issue.put", product: "issues", method: "PUT", path: "/rest/api/issue/{key}", opaque: true},
	{id: "issue.patch", product: "issues", method: "PATCH", path: "/rest/api/issue/{key}"},
	{id: "issue.drop", product: "issues", method: "DELETE", path: "/rest/api/issue/{key}"},
	{id: "poke", product: "issues", method: "POST", path: "/rest/api/poke"},
	{id: "rest.tail", product: "issues", method: "GET", path: "/rest/{any}/tail"},
	{id: "pages.home", product: "issues", method: "GET", path: "/{space}/pages/home", market: true},
	{id: "pages.any", product: "issues", method: "GET", path: "/{space}/pages/of/{page}"},
	{id: "pages.one", product: "issues", method: "GET", path: "/{space}/pages/of/one"},
	{id: "pages.list", product: "issues", method: "GET", path: "/{space}/{page}/", query: []string{"q"}},
	{id: "shut", product: "issues", method: "GET", path: "/denied/{x}"},
	{id: "many", product: "issues", method: "GET", path: "/v/{a}/{b}/{c}/{d}/{e}"},
	{id: "page", product: "wiki", method: "GET", path: "/page", query: []string{"id"}, market: true},
	{id: "page.any", product: "wiki", method: "GET", path: "/{name}"},
	{id: "page.add", product: "wiki", method: "POST", path: "/{name}", opaque: true},
}

// admits tells whether an endpoint is exposed to a caller, by SPIFFE id.
func (e exposure) admits(caller string) bool {
	return caller == callers["support"] || e.market && caller == callers["market"]
}

// crossingPolicy has the endpoints and one that has ended, a place that is shut to all, and a rule that notices when the policy is shown another call
// than the check (see witnesses).
func crossingPolicy() string {
	text := "package isogate.gateway\n\n" + `endpoints["gone"] := {"product": "issues", "method": "GET", "path": "/gone", "body": "none",
	"callers": ["spiffe://commercial.example/support"], "expires": "2020-01-01"}
`
	for _, e := range exposures {
		body, admitted := policies.BodyNone, []string{callers["support"]}
		if e.opaque {
			body = policies.BodyOpaque
		}
		if e.market {
			admitted = append(admitted, callers["market"])
		}
		text += fmt.Sprintf("\nendpoints[%q] := {\"product\": %q, \"method\": %q, \"path\": %q, \"query\": [%s], \"body\": %q, \"callers\": [%s]}\n",
			e.id, e.product, e.method, e.path, quoted(e.query), body, quoted(admitted))
	}
	return text + `
forbidden contains "denied" if startswith(input.path, "/denied")

seen := concat(" ", array.concat([input.endpoint, input.product, input.method, input.path], input.query))

forbidden contains "another-call" if not seen in input.user.groups

decision := {"allow": true, "reason": "exposed"} if count(forbidden) == 0

decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0
`
}

func quoted(list []string) string {
	var each []string
	for _, text := range list {
		each = append(each, fmt.Sprintf("%q", text))
	}
	return strings.Join(each, ", ")
}

// exposedAt finds the endpoint for a call by trying each: of those that fit, the one whose first literal, where another has a variable, comes first.
func exposedAt(product, method, path string) (exposure, bool) {
	var fit []exposure
	for _, e := range exposures {
		if e.product == product && e.method == method && fits(e.path, path) {
			fit = append(fit, e)
		}
	}
	if len(fit) == 0 {
		return exposure{}, false
	}
	return slices.MinFunc(fit, func(a, b exposure) int { return strings.Compare(shape(a.path), shape(b.path)) }), true
}

// fits takes one segment for a variable: not empty, and of what RFC 3986 section 3.3 has in one.
func fits(template, path string) bool {
	segments := strings.Split(path, "/")
	for i, want := range strings.Split(template, "/") {
		switch {
		case i == len(segments):
			return false
		case want == segments[i]:
		case !strings.HasPrefix(want, "{") || segments[i] == "" || strings.ContainsAny(segments[i], `[]<>"{}|^`+"`\\"):
			return false
		}
	}
	return strings.Count(template, "/") == strings.Count(path, "/")
}

// shape orders the templates that one path fits.
func shape(template string) string {
	var order []byte
	for segment := range strings.SplitSeq(template, "/") {
		if strings.HasPrefix(segment, "{") {
			order = append(order, 'v')
		} else {
			order = append(order, 'l')
		}
	}
	return string(order)
}
