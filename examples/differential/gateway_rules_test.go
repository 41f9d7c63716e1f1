package differential

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"isogate/extauthz/check"
	"isogate/extauthz/usercontext"
)

// judge holds everything that came of a call against the rules.
func (b *border) judge(o outcome) []string {
	broken := apply(b, borderAnswers, o.sent, o)
	for _, d := range o.decisions {
		if d.sidecar {
			broken = append(broken, apply(b, sidecarDecisions, o.sent, d)...)
			continue
		}
		broken = append(broken, apply(b, gatewayDecisions, o.sent, d)...)
		if d.signed != nil {
			broken = append(broken, apply(b, signedDecisions, o.sent, d)...)
		}
	}
	for _, a := range o.arrivals {
		if a.decision == nil || a.decision.sidecar {
			broken = append(broken, "a call reached a product and the check was not asked")
			continue
		}
		broken = append(broken, apply(b, crossingRules, o.sent, a)...)
	}
	return broken
}

// callerOf is who a call must be taken for.
func callerOf(r request) string {
	if r.caller == "" {
		return callers["support"]
	}
	return callers[r.caller]
}

// statuses are all that a caller may get for what did not cross.
var statuses = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMisdirectedRequest,
	http.StatusUpgradeRequired, http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestEntityTooLarge,
}

// borderAnswers are about what the caller gets.
var borderAnswers = []rule[*border, outcome]{
	{"no input makes us fail", func(_ *border, r request, o outcome) string {
		coded := strings.Contains(strings.ToLower(r.text()), "transfer-encoding") // RFC 9112 section 6.1
		if o.answer.status >= 500 && !(o.answer.status == 501 && coded) || o.answer.header.Get("grpc-status") == "14" {
			return fmt.Sprint(o.answer.status)
		}
		return ""
	}},
	{"what did not cross is refused in one of a few ways", func(_ *border, _ request, o outcome) string {
		if len(o.arrivals) == 0 && o.answer.status/100 > 2 && o.answer.status < 500 && !slices.Contains(statuses, o.answer.status) {
			return fmt.Sprint(o.answer.status)
		}
		return ""
	}},
	{"only what crossed succeeds", func(_ *border, _ request, o outcome) string {
		if o.answer.status/100 != 2 || o.answer.header.Get("grpc-status") != "" {
			return ""
		}
		for _, a := range o.arrivals {
			if ids := a.values(requestID); len(ids) == 1 && ids[0] == o.answer.header.Get(seenHeader) {
				return ""
			}
		}
		return fmt.Sprintf("%d from nobody", o.answer.status)
	}},
	{"nothing but a few headers comes back", func(_ *border, _ request, o outcome) string {
		for name := range o.answer.header {
			switch strings.ToLower(name) {
			case "content-type", "content-length", "cache-control", "date", "connection", seenHeader:
			default:
				if o.answer.status/100 == 2 && o.answer.header.Get("grpc-status") == "" {
					return name
				}
			}
		}
		return ""
	}},
	{"nothing is stored on the way", func(_ *border, _ request, o outcome) string {
		if o.answer.status/100 == 2 && o.answer.header.Get("cache-control") != "no-store" {
			return o.answer.header.Get("cache-control")
		}
		return ""
	}},
	{"whatever is not exposed gets one and the same answer", func(b *border, _ request, o outcome) string {
		if !o.unexposed() {
			return ""
		}
		got := o.answer.refused()
		first, seen := b.refusal[o.kindOf()]
		if !seen {
			b.refusal[o.kindOf()] = got
			return ""
		}
		return differ("answers", first.text, got.text)
	}},
}

// gatewayDecisions are about what the gateway's check saw and said.
var gatewayDecisions = []rule[*border, *decision]{
	{"Envoy's route is that of the endpoint", func(b *border, _ request, d *decision) string {
		e, _ := exposedAt(b.productOf(d.Host), d.Method, d.Path)
		if cutShort(d.Path) {
			e = exposure{}
		}
		return differ("endpoint", e.id, d.Route.Endpoint) + differ("product", e.product, d.Route.Product)
	}},
	{"route, check and policy have one view", func(_ *border, _ request, d *decision) string {
		if d.verdict.Reason == check.Skew || d.verdict.Rule == "another-call" {
			return string(d.verdict.Reason) + " " + d.verdict.Rule
		}
		return ""
	}},
	{"the policy's word counts", func(_ *border, _ request, d *decision) string {
		under := strings.HasPrefix(d.Path, denied)
		if d.verdict.Allow && under || d.verdict.Reason == check.Policy && !under {
			return d.Path
		}
		return ""
	}},
	{"who calls is in the certificate", func(_ *border, r request, d *decision) string {
		return differ("caller", callerOf(r), d.verdict.Caller)
	}},
	{"what is exposed is not refused as if it were not", func(b *border, _ request, d *decision) string {
		e, exposed := exposedAt(b.productOf(d.Host), d.Method, d.Path)
		taken := exposed && !cutShort(d.Path) && otherEndpoint(e.product, d.Method, d.Path) == "" && e.admits(d.verdict.Caller) && (e.opaque || !d.Body) && e.takes(d.Query)
		if d.verdict.Reason == check.NotExposed && taken {
			return e.id
		}
		return ""
	}},
	{"a body is seen where one comes", func(_ *border, r request, d *decision) string {
		if d.Body && r.plain() || !d.Body && r.h2 && r.body != "" && r.caller != "" {
			return fmt.Sprint(d.Body)
		}
		return ""
	}},
	{"a proof for what the check saw is good", func(_ *border, r request, d *decision) string {
		proved := slices.Equal(d.Header["dpop"], []string{r.proof}) && r.proved == d.Method+" https://"+d.Host+d.Path
		if d.signed == nil && d.verdict.Reason == check.Proof && proved {
			return r.proved
		}
		return ""
	}},
	{"the check is told no header that only we may set", func(_ *border, r request, d *decision) string {
		for name, values := range d.Header {
			for _, value := range values {
				if wrong := forged(line{name, value}, "", d.Address); wrong != "" && name != partialBody {
					return wrong
				}
			}
		}
		return ""
	}},
}

// partialBody is how Envoy tells the check, and nobody else, whether it was shown all of a body.
const partialBody = "x-envoy-auth-partial-body"

// productOf is the product that has this host at the gateway, "" if none has.
func (b *border) productOf(host string) string {
	for _, p := range b.cloud.Products {
		if host == b.cloud.GatewayName(p.ID) {
			return p.ID
		}
	}
	return ""
}

// cutShort is a path that some products read only up to a place within it, so that no endpoint takes it.
func cutShort(path string) bool {
	lower := strings.ToLower(path)
	return slices.ContainsFunc([]string{";", "%3b", "%3f", "%23"}, func(end string) bool { return strings.Contains(lower, end) })
}

// otherEndpoint finds a reading of a path that is another endpoint's: decoded, without parameters (RFC 3986 section 3.3), or both.
func otherEndpoint(product, method, path string) string {
	own, _ := exposedAt(product, method, path)
	for _, reading := range []string{unescape(path), parameters(path), parameters(unescape(path))} {
		if e, ok := exposedAt(product, method, reading); ok && e.id != own.id {
			return fmt.Sprintf("%q is %q, %q is %q", path, own.id, reading, e.id)
		}
	}
	return ""
}

// takes tells whether an endpoint takes a query, by its text: pairs of listed names, without anything that could be read in two ways.
func (e exposure) takes(query string) bool {
	if strings.ContainsAny(query, ";#\\ ") || strings.ContainsFunc(query, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return false
	}
	if _, err := url.ParseQuery(query); err != nil {
		return false
	}
	for _, pair := range strings.Split(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if query != "" && !slices.Contains(e.query, name) {
			return false
		}
	}
	return true
}

// sidecarDecisions are about what the sidecar's check saw and said.
var sidecarDecisions = []rule[*border, *decision]{
	{"a service is asked three things, once each", func(b *border, _ request, d *decision) string {
		for _, name := range []string{"x-isolated-cloud-id", "x-isolated-cloud-token", "x-isolated-cloud-product"} {
			if d.verdict.Allow && (len(d.Header[name]) != 1 || name == "x-isolated-cloud-id" && d.Header.Get(name) != b.cloud.ID) {
				return fmt.Sprintf("%s: %q", name, d.Header[name])
			}
		}
		return ""
	}},
}

// signedDecisions are about calls that the sidecar's check has let pass, as the gateway's check sees them.
var signedDecisions = []rule[*border, *decision]{
	{"what the sidecar signed is what the gateway verifies", func(b *border, _ request, d *decision) string {
		host := b.cloud.GatewayName(d.signed.Header.Get("x-isolated-cloud-product"))
		return differ("path", d.signed.Path, d.Path) + differ("method", d.signed.Method, d.Method) +
			differ("query", d.signed.Query, d.Query) + differ("host", host, d.Host)
	}},
	{"what the sidecar brings is believed", func(_ *border, _ request, d *decision) string {
		switch d.verdict.Reason {
		case check.Token, check.Proof, check.SessionEnded, check.Caller:
			return string(d.verdict.Reason)
		}
		return ""
	}},
	{"nothing else of the service's crosses", func(_ *border, _ request, d *decision) string {
		for name := range d.Header {
			switch name {
			case "authorization", "dpop", "accept", "content-type", "if-none-match", "content-length", "transfer-encoding", "te", requestID:
			case "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal", partialBody: // the gateway's own words, see forged
			default:
				if !strings.HasPrefix(name, ":") && name != "host" {
					return name
				}
			}
		}
		return ""
	}},
}

// crossingRules are about what reached a product.
var crossingRules = []rule[*border, arrival]{
	{"who crosses was allowed to", func(_ *border, _ request, a arrival) string {
		if !a.decision.verdict.Allow || a.decision.verdict.Reason != check.Exposed {
			return "the check said " + string(a.decision.verdict.Reason)
		}
		return ""
	}},
	{"product and check see one call", func(_ *border, _ request, a arrival) string {
		d := a.decision
		return differ("path", d.Path, a.path()) + differ("query", d.Query, a.query()) +
			differ("method", d.Method, a.method) + differ("product", d.Route.Product, a.backend)
	}},
	{"method and query are what was sent", func(_ *border, r request, a arrival) string {
		if _, sent, _ := strings.Cut(r.target, "?"); r.plain() {
			return differ("query", sent, a.query()) + differ("method", r.method, a.method)
		}
		return ""
	}},
	{"net/http reads what the check read", func(_ *border, _ request, a arrival) string {
		read, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(slices.Clone(a.head), "\r\n\r\n"...))))
		if err != nil {
			return err.Error()
		}
		path, _ := url.PathUnescape(a.decision.Path)
		return differ("path", path, read.URL.Path) + differ("escaped path", a.decision.Path, read.URL.EscapedPath()) +
			differ("query", a.decision.Query, read.URL.RawQuery) + differ("method", a.decision.Method, read.Method) + differ("host", hostOf(a.backend), read.Host)
	}},
	{"the endpoint admits all of it", func(_ *border, r request, a arrival) string {
		e, ok := exposedAt(a.backend, a.method, a.path())
		switch names := parameterNames(a.query()); {
		case !ok || e.id != a.decision.Route.Endpoint:
			return fmt.Sprintf("the endpoint is %q, the route's %q", e.id, a.decision.Route.Endpoint)
		case !e.admits(callerOf(r)):
			return "it is not exposed to " + callerOf(r)
		case slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(e.query, name) }):
			return fmt.Sprintf("parameters %q", names)
		case !e.opaque && a.content:
			return "a body"
		}
		return ""
	}},
	{"the endpoint is the same to who decodes the path or drops its parameters", func(_ *border, _ request, a arrival) string {
		if cutShort(a.path()) {
			return a.path()
		}
		return otherEndpoint(a.backend, a.method, a.path())
	}},
	{"only a few headers cross, once each and as they were", func(_ *border, _ request, a arrival) string {
		for _, l := range a.lines {
			values := a.values(l.name)
			switch l.name {
			case "host", requestID, usercontext.Header, "content-length", "transfer-encoding":
			case "accept", "content-type", "if-none-match":
				if !slices.Equal(values, a.decision.Header[l.name]) {
					return fmt.Sprintf("%s: %q", l.name, values)
				}
			default:
				return l.name + ": " + l.value
			}
			if len(values) > 1 {
				return fmt.Sprintf("%s: %q", l.name, values)
			}
		}
		return ""
	}},
	{"exactly our token, for this product and caller", func(b *border, r request, a arrival) string {
		tokens := a.values(usercontext.Header)
		if len(tokens) != 1 || tokens[0] != a.token() {
			return fmt.Sprintf("%d tokens", len(tokens))
		}
		if err := b.verify(a.backend, callerOf(r), tokens[0]); err != nil {
			return err.Error()
		}
		return ""
	}},
	{"who brings no token calls for nobody", func(b *border, r request, _ arrival) string {
		if !strings.Contains(r.text(), b.token) && !strings.Contains(r.text(), b.sealed) {
			return "a call without a token"
		}
		return ""
	}},
	{"a message has one end, and a name of our own", func(_ *border, r request, a arrival) string {
		ids := a.values(requestID)
		parted := strings.ContainsAny(strings.ReplaceAll(string(a.head), "\r\n", ""), "\r\n\x00")
		if parted || len(ids) != 1 || strings.Contains(r.text(), ids[0]) || a.proto != "HTTP/1.1" {
			return "the head has two readings"
		}
		if lengths, codings := a.values("content-length"), a.values("transfer-encoding"); len(lengths)+len(codings) > 1 {
			return fmt.Sprintf("lengths %q, codings %q", lengths, codings)
		}
		return ""
	}},
	{"the path has one reading", func(_ *border, _ request, a arrival) string { return otherReading(a.path()) }},
	{"nothing is had below what is denied", func(_ *border, _ request, a arrival) string {
		for reading := range readings(a.path()) {
			if reading == denied || strings.HasPrefix(reading, denied+"/") {
				return fmt.Sprintf("%q can be read as %q", a.path(), reading)
			}
		}
		return ""
	}},
}

// verify believes a token as a product does that asks who acts. What was believed once is not looked at again.
func (b *border) verify(product, caller, token string) error {
	key := product + " " + caller + " " + token
	if err, ok := b.tokens[key]; ok {
		return err
	}
	verifier := usercontext.Verifier{Issuer: b.cloud.URL(b.cloud.AuthHost()), Audience: product, Keys: b.uct}
	claims, err := verifier.Verify(context.Background(), token)
	if err == nil && (claims.Act == nil || claims.Act.Subject != caller || claims.CloudID != b.cloud.ID) {
		err = fmt.Errorf("the token says that %+v acts", claims.Act)
	}
	b.tokens[key] = err
	return err
}
