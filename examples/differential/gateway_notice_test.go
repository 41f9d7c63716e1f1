package differential

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"isogate/extauthz/check"
)

// signed changes what the sidecar's check said of a call.
func signed(change func(*decision)) spoiler {
	return decided(func(d *decision) {
		copied := *d.signed
		change(&copied)
		d.signed = &copied
	})
}

// spoilt are ways to spoil a call of /a?b through the sidecar, and the rule that must notice. The first decision is the gateway's.
var spoilt = []struct {
	rule  string
	spoil spoiler
}{
	{"no input makes us fail", func(o *outcome) { o.answer.status = 503 }},
	{"what did not cross is refused in one of a few ways", func(o *outcome) { o.arrivals, o.answer.status = nil, 404 }},
	{"only what crossed succeeds", func(o *outcome) { o.arrivals = nil }},
	{"nothing but a few headers comes back", func(o *outcome) { o.answer.header.Set("Set-Cookie", "a=b") }},
	{"nothing is stored on the way", func(o *outcome) { o.answer.header.Set("Cache-Control", "public") }},
	{"whatever is not exposed gets one and the same answer", func(o *outcome) {
		o.arrivals, o.answer.status, o.answer.body = nil, http.StatusForbidden, "no"
		o.decisions[0].verdict.Reason = check.NotExposed
	}},
	{"Envoy's route is that of the endpoint", decided(func(d *decision) { d.Route.Endpoint = "a.b" })},
	{"route, check and policy have one view", decided(func(d *decision) { d.verdict.Reason = check.Skew })},
	{"route, check and policy have one view", decided(func(d *decision) { d.verdict.Rule = "another-call" })},
	{"the policy's word counts", decided(func(d *decision) { d.Path = denied + "/x" })},
	{"who calls is in the certificate", decided(func(d *decision) { d.verdict.Caller = callers["market"] })},
	{"what is exposed is not refused as if it were not", decided(func(d *decision) { d.verdict.Reason = check.NotExposed })},
	{"a body is seen where one comes", decided(func(d *decision) { d.Body = true })},
	{"the check is told no header that only we may set", decided(func(d *decision) { d.Header["x-isogate-a"] = []string{"a"} })},
	{"a service is asked three things, once each", func(o *outcome) { o.decisions[1].Header["x-isolated-cloud-id"] = []string{"a", "b"} }},
	{"what the sidecar signed is what the gateway verifies", signed(func(d *decision) { d.Path = "/A" })},
	{"what the sidecar signed is what the gateway verifies", signed(func(d *decision) { d.Method = "PUT" })},
	{"what the sidecar signed is what the gateway verifies", signed(func(d *decision) { d.Query = "b=1" })},
	{"what the sidecar brings is believed", decided(func(d *decision) { d.verdict.Reason = check.Proof })},
	{"nothing else of the service's crosses", decided(func(d *decision) { d.Header["traceparent"] = []string{"a"} })},
	{"who crosses was allowed to", decided(func(d *decision) { d.verdict.Allow = false })},
	{"product and check see one call", replaceFirst("/a?", "/A?")},
	{"product and check see one call", func(o *outcome) { o.arrivals[0].backend = "wiki" }},
	{"method and query are what was sent", func(o *outcome) { o.sent.target = "/a?q" }},
	{"method and query are what was sent", func(o *outcome) { o.sent.method = "HEAD" }},
	{"net/http reads what the check read", replaceFirst("/a?b", "/%61?b")},
	{"net/http reads what the check read", replaceFirst("host: issues", "host: wiki")},
	{"net/http reads what the check read", replaceFirst("HTTP/1.1", "HTTP/1.x")},
	{"the endpoint admits all of it", replaceFirst("?b", "?b&c")},
	{"the endpoint admits all of it", replaceFirst("/a?", "/a/b?")},
	{"the endpoint admits all of it", func(o *outcome) { o.arrivals[0].content = true }},
	{"the endpoint admits all of it", func(o *outcome) { o.sent.caller = "stranger" }},
	{"the endpoint is the same to who decodes the path or drops its parameters", replaceFirst("/a?", "/a/b;x?")},
	{"only a few headers cross, once each and as they were", addLine("x-forwarded-proto", "https")},
	{"only a few headers cross, once each and as they were", addLine("accept", "a")},
	{"only a few headers cross, once each and as they were", addLine("host", hostOf("issues"))},
	{"exactly our token, for this product and caller", replaceFirst("x-user-context-token: e", "x-user-context-token: f")},
	{"exactly our token, for this product and caller", func(o *outcome) { o.arrivals[0].backend = "wiki" }},
	{"exactly our token, for this product and caller", func(o *outcome) { o.sent.caller = "market" }},
	{"who brings no token calls for nobody", func(o *outcome) { o.sent.lines = nil }},
	{"a message has one end, and a name of our own", addLine("accept", "a\nb: c")},
	{"a message has one end, and a name of our own", replaceFirst("\r\n", "\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n")},
	{"the path has one reading", replaceFirst("/a?", "/a%252fb?")},
	{"nothing is had below what is denied", replaceFirst("/a?", "/x/%252e%252e%2fdenied;y%5cz?")},
	{"a call reached a product and the check was not asked", addLine("x-request-id", "another")},
}

// Every rule notices what it is for: a real call that broke none is spoilt afterwards.
func TestRulesOfTheGatewayNotice(t *testing.T) {
	b := theBorder(t)
	b.check(t, b.tell("issues", "GET", "/nothing")) // the answer that the others are held against
	for _, c := range spoilt {
		o := b.exchange(b.fill(b.tell("issues", "GET", "/a?b"), "GET", ""))
		if broken := b.judge(o); len(broken) > 0 || len(o.arrivals) != 1 || len(o.decisions) != 2 {
			t.Fatalf("%q\n%s", broken, b.describe(o))
		}
		slices.Reverse(o.decisions)
		asked := o.arrivals[0].decision
		o.decisions[0].Header, o.decisions[1].Header = maps.Clone(o.decisions[0].Header), maps.Clone(o.decisions[1].Header)
		c.spoil(&o)
		if !strings.HasSuffix(c.rule, "not asked") && len(o.arrivals) > 0 {
			o.arrivals[0].decision = asked
		}
		if broken := b.judge(o); !slices.ContainsFunc(broken, func(b string) bool { return strings.HasPrefix(b, c.rule) }) {
			t.Errorf("%s: only %q noticed", c.rule, broken)
		}
	}
}
