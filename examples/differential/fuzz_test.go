package differential

import "testing"

// FuzzIngress lets the fuzzer change each part of a request by itself; see build for what the bytes choose.
func FuzzIngress(f *testing.F) {
	for _, s := range seeds {
		for _, protocol := range []byte{0, 1} {
			f.Add(s.target, s.lines, s.body, s.method, s.host, s.shape|protocol)
		}
	}
	f.Fuzz(func(t *testing.T, target, lines, body string, method, host, shape byte) {
		w := theWorld(t)
		w.check(t, w.build(target, lines, body, method, host, shape))
	})
}

// stranger is the shape of a request without a session.
const stranger = 1 << 1

// seeds are published ways around proxies and their checks, as far as a single request can take them.
var seeds = []struct {
	name                string
	target, lines, body string
	method, host, shape byte
}{
	{name: "plain", target: "/a?b=c"},
	{name: "CVE-2019-9901, paths that are not normalised", target: "/open/../denied/x"},
	{name: "CVE-2019-9901, escaped", target: "/open/%2e%2e/denied/x"},
	{name: "CVE-2019-9901, slashes", target: "//denied/x"},
	{name: "CVE-2021-29492, escaped slash", target: "/open/..%2fdenied/x"},
	{name: "CVE-2021-29492, escaped backslash", target: "/open%5c..%5Cdenied"},
	{name: "CVE-2021-32777, repeated header", target: "/a", lines: "X-User-Context-Token: a\nX-User-Context-Token: b\nX-Forwarded-For: 1.2.3.4\nX-Forwarded-For: 127.0.0.1"},
	{name: "CVE-2021-32779, fragment", target: "/denied/x#/open/health"},
	{name: "CVE-2021-32779, fragment behind a query", target: "/open/health?#/../../denied"},
	{name: "CVE-2023-27488, header that is no UTF-8", target: "/a", lines: "X-Harmless: \xff\xfe", shape: stranger},
	{name: "CVE-2023-27488, trusted header", target: "/denied", lines: "X-Envoy-Internal: true\nX-Envoy-Original-Path: /open/health\xff"},
	{name: "CVE-2024-23324, PROXY and forwarded addresses", target: "/denied/x", lines: "X-Forwarded-For: 127.0.0.1\nX-Envoy-External-Address: 10.0.0.1\nX-Real-Ip: ::1"},
	{name: "CVE-2026-73511, dot segments with parameters", target: "/open/..;/denied/x"},
	{name: "CVE-2026-73511, escaped", target: "/open/%2e%2e;a=b/denied/x"},
	{name: "CVE-2026-73511, escaped parameter", target: "/open/..%3ba=b/denied/x"},
	{name: "segment that is a parameter alone", target: "/;x/denied/y"},
	{name: "CVE-2026-73547, asterisk", target: "*", method: 11},
	{name: "CVE-2026-73547, CONNECT", target: "issues." + domain + ":443", method: 13},
	{name: "CVE-2026-73547, no path", target: ""},
	{name: "CVE-2026-73548, upgrade", target: "/denied", lines: "Connection: Upgrade\nUpgrade: websocket"},
	{name: "CVE-2026-73548, upgrade to cleartext HTTP/2", target: "/a", lines: "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__"},
	{name: "CVE-2026-73548, extended CONNECT", target: "/a", lines: ":protocol: websocket", method: 13},
	{name: "GHSA-5hvv, user agent of a health check", target: "/a", lines: "User-Agent: GoogleHC/1.0\nUser-Agent: kube-probe/1.30", shape: stranger},
	{name: "GHSA-7x63, forwarded URI", target: "/denied/x", lines: "X-Forwarded-Uri: /open/health\nX-Original-Url: /open/health\nX-Auth-Request-Redirect: /open/health", shape: stranger},
	{name: "GHSA-pxq7, open path in the query", target: "/denied/x?/open/health", shape: stranger},
	{name: "GHSA-pxq7, open path in the query of another", target: "/a?a=/open/health", shape: stranger},
	{name: "GHSA-7rh7, escaped fragment", target: "/denied%23/open/health", shape: stranger},
	{name: "GHSA-7rh7, open path and an escaped fragment", target: "/open/health%23/../../denied", shape: stranger},
	{name: "open path", target: "/open/%68ealth?x", shape: stranger},
	{name: "underscores", target: "/a", lines: "X_User_Context_Token: forged\nX-User-Context_Token: forged"},
	{name: "dots", target: "/a", lines: "X.User.Context.Token: forged\nX!Isolated~Cloud: forged"},
	{name: "folded line", target: "/a", lines: "X-Harmless: a\n X-User-Context-Token: forged"},
	{name: "half a line end", target: "/a", lines: "X-Harmless: a\rX-User-Context-Token: forged"},
	{name: "named in connection", target: "/a", lines: "Connection: x-request-id, cookie, x-forwarded-for, x-user-context-token, origin"},
	{name: "two session cookies", target: "/a", lines: "Cookie: " + placeholder},
	{name: "quoted session cookie", target: "/a", lines: "Cookie: a=\"; " + placeholder + "; b=\"", shape: stranger},
	{name: "case of the session cookie", target: "/a", shape: 7 << 1},
	{name: "length and chunks", target: "/a", lines: "Content-Length: 4\nTransfer-Encoding: chunked", body: "0\r\n\r\nGET /denied HTTP/1.1\r\nHost: issues." + domain + "\r\n\r\n", method: 7},
	{name: "obscured chunks", target: "/a", lines: "Content-Length: 4\nTransfer-Encoding: \x0bchunked", body: "0\r\n\r\nGET /denied HTTP/1.1\r\n\r\n", method: 7},
	{name: "chunks", target: "/a", lines: "Transfer-Encoding: chunked", body: "4;x=\"\r\n\"\r\nbody\r\n0\r\nX-User-Context-Token: forged\r\n\r\n", method: 7},
	{name: "lower-case method", target: "/a", method: 16},
	{name: "TRACE", target: "/a", method: 12},
	{name: "absolute form", target: "http://wiki." + domain + "/denied/x"},
	{name: "absolute form with a user", target: "http://wiki." + domain + "@issues." + domain + "/a"},
	{name: "trailing dot", target: "/a", host: 19},
	{name: "two ports", target: "/a", host: 21},
	{name: "another host than in the handshake", target: "/a", host: 22},
	{name: "two hosts", target: "/a", host: 23},
	{name: "no host", target: "/a", host: 30},
	{name: "auth host", target: "/.isogate/signin?flow=x", host: 3 << 6, shape: stranger},
	{name: "auth host, keys", target: "/.well-known/uct/jwks.json", host: 3 << 6, lines: "X-User-Context-Token: forged", shape: stranger},
	{name: "own endpoint in disguise", target: "/x/..;/.isogate/enter?ticket=x", shape: stranger},
	{name: "version in the target", target: "/a HTTP/1.0\r\nX: "},
	{name: "second request", target: "/a HTTP/1.1\r\nHost: issues." + domain + "\r\n\r\nGET /denied/x"},
}

// The published ways, one by one and by name.
func TestPublishedBypasses(t *testing.T) {
	w := theWorld(t)
	for _, s := range seeds {
		t.Run(s.name, func(t *testing.T) {
			for _, r := range w.build(s.target, s.lines, s.body, s.method, s.host, s.shape).inBoth() {
				w.check(t, r)
			}
		})
	}
}
