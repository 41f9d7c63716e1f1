package differential

import "testing"

// FuzzGateway lets the fuzzer change each part of a call by itself; see border.build for what the bytes choose.
func FuzzGateway(f *testing.F) {
	for _, s := range calls {
		for _, way := range []byte{0, 1, 2, 3} {
			f.Add(s.target, s.lines, s.body, s.method, s.host, s.shape|way)
		}
	}
	f.Fuzz(func(t *testing.T, target, lines, body string, method, host, shape byte) {
		b := theBorder(t)
		b.check(t, b.build(target, lines, body, method, host, shape))
	})
}

const (
	head, post, put, patch, drop = 6, 7, 8, 9, 10 // method bytes
	wiki                         = 1 << 6         // host byte
	market                       = 1 << 2         // shape byte
	open                         = 1 << 7         // shape byte
)

// calls are published ways around gateways and their checks, as far as a single call can take them, and what is peculiar to ours.
var calls = []struct {
	name                string
	target, lines, body string
	method, host, shape byte
}{
	{name: "plain", target: "/rest/api/issue/A-1?fields=a&expand=b"},
	{name: "product", target: "/page?id=1", host: wiki},
	{name: "literal before a variable", target: "/rest/api/issue/mine"},
	{name: "literal in an escaped spelling, where a variable fits", target: "/a/x%3Ay%40z"},
	{name: "literal with a parameter, where a variable fits", target: "/a/b;x=1"},
	{name: "literal with an escape and a parameter", target: "/a/x%3ay@z;b"},
	{name: "variable before a literal", target: "/x/pages/home"},
	{name: "five variables", target: "/v/1/2/3/4/5"},
	{name: "escapes in a variable", target: "/rest/api/issue/%C3%A9%20%25"},
	{name: "capitals of an escape", target: "/rest/api/issue/%c3%a9"},
	{name: "needless escapes", target: "/%72est/api/issue/%41"},
	{name: "marks of RFC 3986", target: "/rest/api/issue/!$&'()+,=:@~_-."},
	{name: "brackets", target: "/rest/api/issue/[x]"},
	{name: "asterisk in a segment", target: "/rest/api/issue/*"},
	{name: "braces of the template", target: "/rest/api/issue/{key}"},
	{name: "slash at the end", target: "/rest/api/issue/A-1/"},
	{name: "empty variable", target: "/rest/api/issue/"},
	{name: "CVE-2019-9901, paths that are not normalised", target: "/a/../rest/api/issue/mine"},
	{name: "CVE-2019-9901, escaped", target: "/rest/api/issue/%2e%2e/poke", method: post},
	{name: "CVE-2019-9901, slashes", target: "//rest//api/issue/A-1"},
	{name: "CVE-2019-9901, up from a variable", target: "/a/x/../b"},
	{name: "CVE-2021-29492, escaped slash", target: "/rest/api/issue/A%2fB"},
	{name: "CVE-2021-29492, escaped backslash", target: `/rest/api/issue/A%5cB\C`},
	{name: "CVE-2021-29492, raw backslash", target: `/rest\api\issue\A-1`},
	{name: "CVE-2021-29492, twice escaped slash", target: "/rest/api/issue/A%252fB"},
	{name: "CVE-2021-32777, repeated header", target: "/a", lines: "Accept: a\nAccept: b\nContent-Type: a\nContent-Type: b"},
	{name: "CVE-2021-32777, empty line first", target: "/a", lines: "If-None-Match:\nIf-None-Match: \"a\""},
	{name: "CVE-2021-32779, fragment", target: "/a#/denied/x"},
	{name: "CVE-2021-32779, fragment in the query", target: "/a?b=#x"},
	{name: "CVE-2023-27488, header that is no UTF-8", target: "/a", lines: "X-Harmless: \xff\nAccept: \xc3\xa9"},
	{name: "CVE-2024-23324, addresses", target: "/a", lines: "X-Forwarded-For: 127.0.0.1\nX-Envoy-External-Address: 10.0.0.1\nForwarded: for=a\nX-Real-Ip: ::1"},
	{name: "CVE-2026-73511, dot segments with parameters", target: "/a/..;/rest/api/issue/mine"},
	{name: "CVE-2026-73511, escaped", target: "/a/%2e%2e;a=b/denied/x"},
	{name: "CVE-2026-73511, parameter of a variable", target: "/rest/api/issue/A-1;x=1"},
	{name: "CVE-2026-73511, parameter of a literal", target: "/rest;x/api/issue/A-1"},
	{name: "CVE-2026-73511, variable that is a parameter", target: "/a/;x"},
	{name: "CVE-2026-73547, asterisk", target: "*", method: 11},
	{name: "CVE-2026-73547, CONNECT", target: "issues.gateway." + domain + ":443", method: 13},
	{name: "CVE-2026-73547, CONNECT to a path", target: "/a", method: 13},
	{name: "CVE-2026-73547, no path", target: ""},
	{name: "CVE-2026-73548, upgrade", target: "/a", lines: "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: eA==\nSec-WebSocket-Version: 13"},
	{name: "CVE-2026-73548, cleartext HTTP/2", target: "/a", lines: "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__"},
	{name: "CVE-2026-73548, extended CONNECT", target: "/a", lines: ":protocol: websocket", method: 13},
	{name: "CVE-2026-47778, certificate in a header", target: "/a", lines: "X-Forwarded-Client-Cert: URI=spiffe://commercial.example/support", shape: 2 << 2},
	{
		name: "CVE-2024-45806, our headers", target: "/a",
		lines: "X-User-Context-Token: forged\nX-Isolated-Cloud-User: u\nX-Isogate-Failed: 1\nX-Envoy-Original-Path: /denied/x",
	},
	{name: "CVE-2025-64484, underscores", target: "/a", lines: "X_User_Context_Token: forged\nX-Isolated_Cloud_Token: forged"},
	{name: "underscore, token", target: "/a", lines: "X_Isolated_Cloud_Product: wiki"},
	{name: "dots for hyphens", target: "/a", lines: "X.User.Context.Token: forged\nX!Isolated~Cloud: forged"},
	{name: "GHSA-7x63, forwarded URI", target: "/denied/x", lines: "X-Forwarded-Uri: /a\nX-Original-Url: /a\nX-Rewrite-Url: /a\nX-Http-Method-Override: POST"},
	{name: "GHSA-pxq7, exposed path in the query", target: "/denied/x?/a"},
	{name: "GHSA-7rh7, escaped fragment", target: "/a/x%23/../../denied"},
	{name: "escaped question mark", target: "/a%3fb=1"},
	{name: "question mark alone", target: "/a?"},
	{name: "name that is not listed", target: "/a?b=1&c=2"},
	{name: "name in an escaped spelling", target: "/a?%62=1"},
	{name: "name with a plus", target: "/a?b+=1&+b=1"},
	{name: "semicolon between parameters", target: "/a?b=1;c=2"},
	{name: "empty pairs", target: "/a?&b=1&&"},
	{name: "name without a value", target: "/a?b&q"},
	{name: "name twice", target: "/a?b=1&b=2&q=?/&q=%26c%3d1"},
	{name: "name with brackets", target: "/a?b[]=1&b[c]=2"},
	{name: "broken escape in a value", target: "/a?b=%zz"},
	{name: "NUL and line ends in a value", target: "/a?b=%00%0d%0aX-User-Context-Token:%20forged"},
	{name: "no UTF-8 in a value", target: "/a?b=\xff\xc3\xa9"},
	{name: "names with marks", target: "/a/b?a-b&a.b&a_b&a~b"},
	{name: "other method", target: "/rest/api/issue/A-1", method: post},
	{name: "HEAD", target: "/rest/api/issue/A-1?fields=a", method: head},
	{name: "HEAD of what has GET alone", target: "/a", method: head},
	{name: "lower-case method", target: "/a", method: 16},
	{name: "TRACE", target: "/a", method: 12},
	{name: "body where one is taken", target: "/rest/api/issue", lines: "Content-Type: application/json\nContent-Length: 4", body: "body", method: post},
	{
		name: "body in chunks where one is taken", target: "/rest/api/issue/A-1/move?notify",
		lines: "Transfer-Encoding: chunked", body: "4\r\nbody\r\n0\r\n\r\n", method: post,
	},
	{name: "body of no announced length", target: "/rest/api/issue/A-1", body: "body", method: put},
	{name: "no body where one is taken", target: "/rest/api/issue", lines: "Content-Length: 0", method: post},
	{name: "body where none is taken", target: "/rest/api/poke", lines: "Content-Length: 4", body: "body", method: post},
	{name: "body in chunks where none is taken", target: "/rest/api/poke", lines: "Transfer-Encoding: chunked", body: "4\r\nbody\r\n0\r\n\r\n", method: post},
	{name: "empty chunks where none is taken", target: "/a", lines: "Transfer-Encoding: chunked", body: "0\r\n\r\n"},
	{name: "body of no announced length where none is taken", target: "/rest/api/issue/A-1", body: "body", method: drop},
	{name: "body of GET", target: "/a", body: "GET /denied/x HTTP/1.1\r\nHost: issues." + domain + "\r\n\r\n"},
	{name: "empty frame where none is taken", target: "/a", shape: open},
	{name: "empty frame where one is taken", target: "/rest/api/issue", method: post, shape: open},
	{name: "length of zeros", target: "/rest/api/poke", lines: "Content-Length: 000", method: post},
	{
		name: "length and chunks", target: "/rest/api/issue",
		lines: "Content-Length: 4\nTransfer-Encoding: chunked", body: "0\r\n\r\nGET /denied HTTP/1.1\r\nHost: issues." + domain + "\r\n\r\n", method: post,
	},
	{
		name: "obscured chunks", target: "/rest/api/issue",
		lines: "Content-Length: 4\nTransfer-Encoding: \x0bchunked", body: "0\r\n\r\nGET /denied HTTP/1.1\r\n\r\n", method: post,
	},
	{name: "two lengths", target: "/rest/api/issue", lines: "Content-Length: 4\nContent-Length: 0", body: "body", method: post},
	{
		name: "trailers", target: "/rest/api/issue",
		lines: "Te: trailers\nTransfer-Encoding: chunked\nTrailer: x-user-context-token", body: "0\r\nX-User-Context-Token: forged\r\n\r\n", method: post,
	},
	{name: "expectation", target: "/rest/api/issue", lines: "Expect: 100-continue\nContent-Length: 4", body: "body", method: post},
	{name: "gRPC", target: "/rest/api/issue", lines: "Content-Type: application/grpc\nTe: trailers", method: post},
	{name: "gRPC to nothing", target: "/nothing/at/all", lines: "Content-Type: application/grpc", method: post},
	{name: "folded line", target: "/a", lines: "Accept: a\n X-User-Context-Token: forged"},
	{name: "half a line end", target: "/a", lines: "Accept: a\rX-User-Context-Token: forged"},
	{name: "named in connection", target: "/a", lines: "Connection: x-request-id, authorization, dpop, x-user-context-token, accept\nAccept: a"},
	{name: "another's request id", target: "/a", lines: "X-Request-Id: forged"},
	{name: "other authorization", target: "/a", lines: "Authorization: DPoP x"},
	{name: "product of another", target: "/page", lines: "X-Isolated-Cloud-Product: wiki"},
	{name: "host of another", target: "/page", lines: "Host: wiki.gateway." + domain},
	{name: "unknown product", target: "/a", host: 2 << 6},
	{name: "gateway itself", target: "/a", host: 3 << 6},
	{name: "public host of the product", target: "/a", lines: ":authority: issues." + domain},
	{name: "port", target: "/a", host: 17},
	{name: "capitals", target: "/a", host: 18},
	{name: "trailing dot", target: "/a", host: 19},
	{name: "two ports", target: "/a", host: 21},
	{name: "two hosts", target: "/a", host: 23},
	{name: "no host", target: "/a", host: 30},
	{name: "absolute form", target: "http://wiki.gateway." + domain + "/page"},
	{name: "absolute form with a user", target: "http://wiki.gateway." + domain + "@issues.gateway." + domain + "/a"},
	{name: "other caller", target: "/a?b", shape: market},
	{name: "other caller, not listed", target: "/a/b", shape: market},
	{name: "version in the target", target: "/a HTTP/1.0\r\nX: "},
	{name: "second request", target: "/a HTTP/1.1\r\nHost: issues.gateway." + domain + "\r\n\r\nGET /denied/x"},
	{name: "place that is shut", target: "/denied/x"},
	{name: "place that is gone", target: "/gone"},
}

// The published ways, one by one and by name, at the gateway and through the sidecar.
func TestPublishedBypassesOfTheGateway(t *testing.T) {
	b := theBorder(t)
	for _, s := range calls {
		t.Run(s.name, func(t *testing.T) {
			for _, way := range []byte{0, 1, 2, 3} {
				b.check(t, b.build(s.target, s.lines, s.body, s.method, s.host, s.shape|way))
			}
		})
	}
}
