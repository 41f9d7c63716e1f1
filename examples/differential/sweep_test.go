package differential

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// pathPieces are what targets are made of: parts of places that matter, and of all that was ever read in two ways.
var pathPieces = []string{
	"/", "/", "/", "/", "/a", "/b", "/open", "/health", "/open/health", "/open/a.b~c", "/denied", "/denied/", "/.isogate", "/.isogate/enter", "/.isogate/logout", "/.well-known/uct/jwks.json",
	"//", "/.", "/..", "/./", "/../", "/...", ".", "..", "%2e", "%2E%2e", "/%2e%2e/", "/.%2e/", "/..;", "/..;/", "/.;/", "/;/", "/;x=1/", ";", ";x", ";a=b/", "%3b", "%3B",
	"%2f", "%2F", "%5c", "%5C", `\`, `/..\`, "%00", "%01", "%09", "%0a", "%0d%0a", "%1f", "%20", "%7f", "%25", "%252e", "%252f", "%25%32%66", "%2525", "%", "%2", "%zz", "%u002f", "%c0%ae", "%c0%af",
	"%e0%80%af", "%c3%a9", "%ff", "%ef%bc%8f", "%c2%85", "%ed%a0%80", "#", "%23", "?", "%3f", "?x=1", "&", "+", "~", "%7e", "%41", "%64enied", "%6fpen", "*", "[", "]", "{", "}", "|", `"`, "<", "'", ":", "@", "$", "!", ",", "=",
	"http://", "https://", "issues." + domain, "wiki." + domain, "é", "\xff", " ", "\t", "\x7f", "\x00", "\r\n", "/a HTTP/1.1\r\nX-User-Context-Token: forged\r\nX: ",
}

// linePieces are header lines.
var linePieces = []string{
	"X-Harmless: a", "X-Harmless:", "Accept: text/html", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document", "X-Requested-With: XMLHttpRequest", "User-Agent: kube-probe/1.30",
	"X-User-Context-Token: forged", "x-user-context-token: forged", "X-User-Context: forged", "X_User_Context_Token: forged", "X-User-Context_Token: forged", "X.User.Context.Token: forged", " X-User-Context-Token: forged",
	"X-User-Context-Token : forged", "X-Isolated-Cloud-User: forged", "X-Isogate: forged", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: wiki." + domain, "X-Forwarded-Uri: /open/health", "X-Forwarded-Proto: http",
	"Forwarded: for=127.0.0.1", "X-Real-Ip: 127.0.0.1", "X-Original-Url: /open/health", "X-Rewrite-Url: /denied", "X-Http-Method-Override: GET", "X-Method-Override: DELETE", "X-Envoy-Original-Path: /denied", "X-Envoy-Internal: true",
	"X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Envoy-Retry-On: 5xx", "X-Envoy-Upstream-Stream-Duration-Ms: 1", "X-Request-Id: forged", "X-Forwarded-Client-Cert: URI=spiffe://a/b", "Host: wiki." + domain, "host: evil.example",
	"Cookie: " + placeholder, "Cookie: a=1; b=2", "Cookie: a=\"1; " + placeholder + "\"", "Cookie: a=1, " + placeholder, "Cookie: __Host-isogate_session=", "Cookie: __Host-isogate_session", "Cookie:;;=;", "cookie: __host-ISOGATE_x=1; c=\xff", "X-Cookie: " + placeholder,
	"Connection: cookie, x-user-context-token", "Connection: close", "Connection: Upgrade\nUpgrade: websocket", "Connection: Upgrade\nUpgrade: h2c", "Upgrade: websocket", "Te: trailers", "Trailer: x-user-context-token", "Expect: 100-continue", "Keep-Alive: 1",
	"Content-Length: 0", "Content-Length: 4", "Content-Length: 4, 4", "Content-Length: -1", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked, chunked",
	"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Authorization: Bearer x", "Content-Type: application/grpc", ":path: /denied", ":authority: wiki." + domain, ":method: POST", ":protocol: websocket", ":scheme: ftp",
	"X-Harmless: a\x00b", "X-Harmless: a\rb", "X-Harmless: \xff", "Nothing", ": a", "X-H\xe9: a", "X-Harmless: " + strings.Repeat("a", 9000), "Range: bytes=0-1", "Proxy-Connection: keep-alive", "Via: 1.0 a",
}

var bodyPieces = []string{"body", "0\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n", "GET /denied/smuggled HTTP/1.1\r\nHost: issues." + domain + "\r\n\r\n", "0\r\nX-User-Context-Token: forged\r\n\r\n", "\r\n", "\x00\xff"}

// some joins up to most pieces, mostly few.
func some(random *rand.Rand, pieces []string, most int, between string) string {
	var chosen []string
	for range random.IntN(most + 1) {
		chosen = append(chosen, pieces[random.IntN(len(pieces))])
	}
	return strings.Join(chosen, between)
}

// nasty makes one request. Most are nasty in one or two places only, or nearly all would fail for a reason that is known.
func (w *world) nasty(random *rand.Rand) request {
	target := "/" + some(random, []string{"a", "b/", "denied/x", "open/health", "open/a.b~c"}, 2, "/")
	lines, body := "", ""
	var method, host byte
	shape := byte(random.IntN(2))
	for range 1 + random.IntN(2) {
		switch random.IntN(10) {
		case 0, 1, 2, 3, 4:
			target = "/" + some(random, pathPieces, 6, "")
		case 5, 6:
			lines = some(random, linePieces, 3, "\n")
		case 7:
			shape |= byte(random.IntN(16)) << 1
		case 8:
			method, host = byte(random.IntN(256)), byte(random.IntN(256))
		case 9:
			target = some(random, pathPieces, 5, "")
		}
	}
	if random.IntN(20) == 0 {
		lines, body = some(random, linePieces, 3, "\n"), some(random, bodyPieces, 2, "")
	}
	return w.build(target, lines, body, method, host, shape)
}

// Some thousands of requests that nobody wrote, the same ones each time. The sweep stops early on a slow machine.
func TestAgreementOnRandomRequests(t *testing.T) {
	const most, least = 4000, 500
	w := theWorld(t)
	random := rand.New(rand.NewPCG(1, 2))
	sorts, n := map[string]int{}, 0
	for end := time.Now().Add(12 * time.Second); n < most && (n < least || time.Now().Before(end)) && !t.Failed(); n++ {
		o := w.check(t, w.nasty(random))
		switch {
		case o.answer.waiting:
			sorts["waiting"]++
		case o.answer.ended:
			sorts["ended"]++
		default:
			sorts[string('0'+rune(o.answer.status/100))+"xx"]++
		}
		sorts["arrived"] += len(o.arrivals)
	}
	t.Logf("%d requests: %v", n, sorts)
	for sort, share := range map[string]int{"2xx": 10, "4xx": 4, "arrived": 10, "ended": 100} { // a sweep that only ever fails proves nothing
		if sorts[sort]*share < n && !t.Failed() {
			t.Errorf("only %d of %d requests: %s", sorts[sort], n, sort)
		}
	}
	if sorts["waiting"]*100 > n {
		t.Errorf("%d of %d requests had no answer in time", sorts["waiting"], n)
	}
}
