package differential

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"isogate/extauthz/check"
)

// A spoiler changes an outcome afterwards, as if one of the four had read the request otherwise.
type spoiler func(*outcome)

func addLine(name, value string) spoiler {
	return func(o *outcome) {
		o.arrivals[0] = parseHead(o.arrivals[0].backend, append(slices.Clone(o.arrivals[0].head), "\r\n"+name+": "+value...))
	}
}

func replaceFirst(old, new string) spoiler {
	return func(o *outcome) {
		o.arrivals[0] = parseHead(o.arrivals[0].backend, []byte(strings.Replace(string(o.arrivals[0].head), old, new, 1)))
	}
}

func decided(change func(*decision)) spoiler { return func(o *outcome) { change(o.decisions[0]) } }

// Every rule notices what it is for: a real request that broke none is spoilt afterwards.
func TestRulesNotice(t *testing.T) {
	w := theWorld(t)
	for _, c := range []struct {
		rule  string
		spoil spoiler
	}{
		{"no input makes us fail", func(o *outcome) { o.answer.status = 503 }},
		{"only what reached a backend succeeds", func(o *outcome) { o.answer.header = http.Header{} }},
		{"the policy is shown what the check sees", decided(func(d *decision) { d.Path = denied })},
		{"the policy is shown what the check sees", decided(func(d *decision) { d.verdict.Reason = check.Policy })},
		{"the address is the edge's word", decided(func(d *decision) { d.Address = netip.MustParseAddr("127.0.0.1") })},
		{"the check is told no header that only we may set", decided(func(d *decision) { d.Header["x-forwarded-host"] = []string{"a"} })},
		{"two session cookies are none", decided(func(d *decision) { d.Header["cookie"] = append(d.Header["cookie"], "a=1;__Host-isogate_session=x") })},
		{"methods without a meaning for products are refused", decided(func(d *decision) { d.Method = "TRACE" })},
		{"who receives was allowed to", decided(func(d *decision) { d.verdict.Allow = false })},
		{"check and backend see one path", replaceFirst("/a?", "/A?")},
		{"the query is what was sent", replaceFirst("?b", "?c")},
		{"the query is what was sent", func(o *outcome) { o.sent.target = "/a?c" }},
		{"check and backend see one method", replaceFirst("GET", "PUT")},
		{"check, backend and handshake see one host", replaceFirst("host: issues", "host: wiki")},
		{"check, backend and handshake see one host", addLine("Host", hostOf("issues"))},
		{"check, backend and handshake see one host", decided(func(d *decision) { d.SNI = "" })},
		{"no header reaches a backend that only we may set", addLine("X-User-Context", "forged")},
		{"no header reaches a backend that only we may set", addLine("X_Isolated_Cloud", "forged")},
		{"no header reaches a backend that only we may set", addLine("x.isogate.route", "forged")},
		{"no header reaches a backend that only we may set", addLine("x-envoy-internal", "true")},
		{"the address is told once and is the edge's word", addLine("x-forwarded-for", "198.18.0.1")},
		{"a line has one end", addLine("x-harmless", "a\nb: c")},
		{"a body has one end", replaceFirst("\r\n", "\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n")},
		{"only what may upgrade does", addLine("upgrade", "h2c")},
		{"the product is the one whose host was asked", func(o *outcome) { o.arrivals[0].backend = "wiki" }},
		{"the product is the one whose host was asked", decided(func(d *decision) { d.Route = check.Route{Door: "issues"} })},
		{"exactly our token, for this product", replaceFirst("x-user-context-token: e", "x-user-context-token: f")},
		{"exactly our token, for this product", replaceFirst("x-user-context-token", "x-harmless")},
		{"exactly our token, for this product", func(o *outcome) { o.arrivals[0].backend = "wiki" }},
		{"who has no session is nobody", func(o *outcome) { o.sent.lines = nil }},
		{"nobody reaches more than what is listed", decided(func(d *decision) { d.verdict.Set, d.verdict.Reason = nil, check.Anonymous })},
		{"no cookie of ours reaches a product", addLine("cookie", "a=1; __host-isogate_x=1")},
		{"the path has one reading", replaceFirst("/a?", "/x/%2e%2e/a?")},
		{"the path has one reading", replaceFirst("/a?", "/a%252fb?")},
		{"the path has one reading", replaceFirst("/a?", "/;x/a?")},
		{"nothing is had below what is denied", replaceFirst("/a?", "/x/%252e%252e%2fdenied;y%5cz?")},
		{"a request reached a backend and the check was not asked", addLine("x-request-id", "another")},
	} {
		o := w.exchange(w.get("issues", "/a?b"))
		if len(w.judge(o)) > 0 || len(o.arrivals) != 1 {
			t.Fatalf("%q\n%s", w.judge(o), w.describe(o))
		}
		o.decisions[0].Header = maps.Clone(o.decisions[0].Header)
		asked := o.arrivals[0].decision
		c.spoil(&o)
		if !strings.HasSuffix(c.rule, "not asked") {
			o.arrivals[0].decision = asked
		}
		if broken := w.judge(o); !slices.ContainsFunc(broken, func(b string) bool { return strings.HasPrefix(b, c.rule) }) {
			t.Errorf("%s: only %q noticed", c.rule, broken)
		}
	}
}
