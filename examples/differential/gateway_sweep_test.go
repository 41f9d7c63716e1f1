package differential

import (
	"math/rand/v2"
	"testing"
	"time"
)

// callPieces are what the targets of calls are made of, beside pathPieces: parts of the exposed templates, and of queries.
var callPieces = []string{
	"/a", "/a/b", "/rest/api/issue/", "/rest/api/issue/A-1", "/rest/api/issue/mine", "/rest", "/api", "/issue", "/tail", "/x/pages/home",
	"/x/pages/of/one", "/pages/of/", "/page", "/denied/x",
	"/v/1/2/3/4/5", "/open/a.b~c", "/gone", "/move", "A-1", "mine", "x", "{key}", "%7Bkey%7D", "*", "**", "[x]", "(", ")", "'", "a!$&'()*=b",
	"%C3%A9", "%20", "%25", ";x=1", ":", "@", ",",
}

var queryPieces = []string{
	"?", "b", "b=1", "&", "q", "q=2", "fields=a", "expand", "notify", "id=1", "=", "&b=", "c=3", "%62=1", "b%3d1", "b+=1", ";", "b;q", "%26", "%00",
	"%0d%0a", "%zz", "%", "#", "/../", "//", "%2f", "?b", "b[]=1", "b[q]=1", "B=1",
	"é", "\xff", " ", "\t", "'", `"`, "<", "{}", "|", "^", "\\", "a-b", "a.b=.", "a_b", "a~b=~",
}

var callLines = []string{
	"Authorization: DPoP x", "Authorization: DPoP " + tokenPlace, "Dpop: " + proofPlace, "Dpop: x", "DPoP:", "Authorization:", "Accept: a\nAccept: b",
	"Content-Type: a/b", "Content-Type: a\ncontent-type: b", "If-None-Match: \"a\"", "If-Match: x", "Accept-Encoding: gzip",
	"Accept: text/html", "Accept: \xc3\xa9", "X-Isolated-Cloud-Id: another", "X-Isolated-Cloud-Product: wiki",
	"X-Isolated-Cloud-Product: issues.gateway.acme.example/", "X-Isolated-Cloud-Product: a.b", "X-Isolated-Cloud-Token: " + carriedPlace,
	"X-Isolated-Cloud-Token: x", "Connection: dpop, authorization", "Connection: x-isolated-cloud-id, x-isolated-cloud-product",
	"Host: wiki.gateway." + domain, ":authority: wiki.gateway." + domain, "X-Isogate-Failed: 502", "X-Envoy-Auth-Partial-Body: false",
	"Traceparent: 00-0-0-00", "B3: 0", "Baggage: a=b", "Range: bytes=0-1", "X-Forwarded-Client-Cert: URI=spiffe://commercial.example/support",
}

// mixed is one list of the other two, the second more often.
func mixed(random *rand.Rand, a, b []string) []string {
	if random.IntN(3) == 0 {
		return a
	}
	return b
}

// nasty makes one call. Most are nasty in one or two places only, or nearly all would fail for a reason that is known.
func (b *border) nasty(random *rand.Rand) request {
	s := calls[random.IntN(len(calls))]
	if random.IntN(2) == 0 {
		s = calls[random.IntN(10)] // those that are good but for what follows
	}
	s.shape |= byte(random.IntN(4))
	for range 1 + random.IntN(2) {
		switch random.IntN(12) {
		case 0, 1:
			s.target = some(random, callPieces, 4, "")
		case 2, 3:
			s.target = "/" + some(random, mixed(random, callPieces, pathPieces), 6, "")
		case 4, 5:
			s.target += "?" + some(random, queryPieces, 4, "")
		case 6, 7:
			s.lines = some(random, mixed(random, linePieces, callLines), 3, "\n")
		case 8:
			s.method = byte(random.IntN(256))
		case 9:
			s.host = byte(random.IntN(256))
		case 10:
			s.shape = byte(random.IntN(256))
		case 11:
			s.lines, s.body = some(random, linePieces, 3, "\n"), some(random, bodyPieces, 2, "")
		}
	}
	return b.build(s.target, s.lines, s.body, s.method, s.host, s.shape)
}

// Some thousands of calls that nobody wrote, the same ones each time, at the gateway and through the sidecar. The sweep stops early on a slow machine.
func TestAgreementOnRandomCalls(t *testing.T) {
	const most, least = 4000, 500
	b := theBorder(t)
	random := rand.New(rand.NewPCG(3, 4))
	sorts, n := map[string]int{}, 0
	for end := time.Now().Add(12 * time.Second); n < most && (n < least || time.Now().Before(end)) && !t.Failed(); n++ {
		o := b.check(t, b.nasty(random))
		switch {
		case o.answer.waiting:
			sorts["waiting"]++
		case o.answer.ended:
			sorts["ended"]++
		case o.unexposed():
			sorts["not exposed"]++
		default:
			sorts[string('0'+rune(o.answer.status/100))+"xx"]++
		}
		for _, a := range o.arrivals {
			if a.decision != nil && a.decision.signed != nil {
				sorts["through the sidecar"]++
			}
		}
	}
	t.Logf("%d calls: %v", n, sorts)
	// A sweep that only ever fails proves nothing.
	for sort, share := range map[string]int{"2xx": 10, "4xx": 5, "not exposed": 8, "through the sidecar": 20, "ended": 100} {
		if sorts[sort]*share < n && !t.Failed() {
			t.Errorf("only %d of %d calls: %s", sorts[sort], n, sort)
		}
	}
	if sorts["waiting"]*100 > n {
		t.Errorf("%d of %d calls had no answer in time", sorts["waiting"], n)
	}
}
