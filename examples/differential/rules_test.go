package differential

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"isogate/extauthz/check"
	"isogate/extauthz/usercontext"
)

// A rule says what is wrong, or "" if nothing is.
type rule[W, T any] struct {
	name   string
	broken func(w W, r request, of T) string
}

// judge holds everything that came of a request against the rules.
func (w *world) judge(o outcome) []string {
	broken := apply(w, answerRules, o.sent, o)
	for _, d := range o.decisions {
		broken = append(broken, apply(w, decisionRules, o.sent, d)...)
	}
	for _, a := range o.arrivals {
		if a.decision == nil {
			broken = append(broken, "a request reached a backend and the check was not asked")
			continue
		}
		broken = append(broken, apply(w, arrivalRules, o.sent, a)...)
		if a.backend != doorName {
			broken = append(broken, apply(w, productRules, o.sent, a)...)
		}
	}
	return broken
}

func apply[W, T any](w W, rules []rule[W, T], r request, of T) (broken []string) {
	for _, rule := range rules {
		if wrong := rule.broken(w, r, of); wrong != "" {
			broken = append(broken, rule.name+": "+wrong)
		}
	}
	return broken
}

func differ(what string, a, b any) string {
	if a == b {
		return ""
	}
	return fmt.Sprintf("%s: %q and %q", what, a, b)
}

// answerRules are about what the client gets.
var answerRules = []rule[*world, outcome]{
	{"no input makes us fail", func(_ *world, r request, o outcome) string {
		coded := strings.Contains(strings.ToLower(r.text()), "transfer-encoding") // RFC 9112 section 6.1: 501 for a coding that is not understood
		if o.answer.status >= 500 && !(o.answer.status == 501 && coded) || o.answer.header.Get("grpc-status") == "14" {
			return fmt.Sprint(o.answer.status)
		}
		return ""
	}},
	{"only what reached a backend succeeds", func(_ *world, _ request, o outcome) string {
		if o.answer.status/100 != 2 || o.answer.header.Get("grpc-status") != "" { // a refusal, to a client of gRPC
			return ""
		}
		for _, a := range o.arrivals {
			if ids := a.values(requestID); len(ids) == 1 && ids[0] == o.answer.header.Get(seenHeader) {
				return ""
			}
		}
		return fmt.Sprintf("%d from nobody", o.answer.status)
	}},
}

// decisionRules are about what the check saw and said.
var decisionRules = []rule[*world, *decision]{
	{"the policy is shown what the check sees", func(_ *world, _ request, d *decision) string {
		refused := d.verdict.Reason == check.Policy
		if under := strings.HasPrefix(d.Path, denied); refused && !under {
			return fmt.Sprintf("the policy refused %q", d.Path)
		} else if under && d.verdict.Allow {
			return fmt.Sprintf("the policy let %q pass", d.Path)
		}
		return ""
	}},
	{"the address is the edge's word", func(_ *world, r request, d *decision) string {
		return differ("address", d.Address.String(), r.from.String())
	}},
	{"the check is told no header that only we may set", func(_ *world, r request, d *decision) string {
		for name, values := range d.Header {
			for _, value := range values {
				if wrong := forged(line{name, value}, "", r.from); wrong != "" {
					return wrong
				}
			}
		}
		return ""
	}},
	{"two session cookies are none", func(_ *world, _ request, d *decision) string {
		if n := ourCookies(d.Header["cookie"])["__Host-isogate_session"]; n > 1 && d.verdict.Allow {
			return fmt.Sprint(d.Header["cookie"])
		}
		return ""
	}},
	{"methods without a meaning for products are refused", func(_ *world, _ request, d *decision) string {
		if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, d.Method) {
			return d.Method
		}
		return ""
	}},
}

// arrivalRules are about what reached a product or the door.
var arrivalRules = []rule[*world, arrival]{
	{"who receives was allowed to", func(_ *world, _ request, a arrival) string {
		if !a.decision.verdict.Allow {
			return "the check said " + string(a.decision.verdict.Reason)
		}
		return ""
	}},
	{"check and backend see one path", func(_ *world, _ request, a arrival) string { return differ("path", a.decision.Path, a.path()) }},
	{"the query is what was sent", func(_ *world, r request, a arrival) string {
		if _, sent, _ := strings.Cut(r.target, "?"); r.plain() && sent != a.query() {
			return differ("query", sent, a.query())
		}
		return differ("query", a.decision.Query, a.query())
	}},
	{"check and backend see one method", func(_ *world, r request, a arrival) string {
		if r.plain() && r.method != a.method {
			return differ("method", r.method, a.method)
		}
		return differ("method", a.decision.Method, a.method)
	}},
	{"check, backend and handshake see one host", func(_ *world, r request, a arrival) string {
		hosts := a.values("host")
		if len(hosts) != 1 || a.decision.Host != r.sni || a.decision.SNI != r.sni {
			return fmt.Sprintf("%q, check %q and %q, handshake %q", hosts, a.decision.Host, a.decision.SNI, r.sni)
		}
		return differ("host", strings.TrimSuffix(strings.ToLower(hosts[0]), "."), r.sni)
	}},
	{"no header reaches a backend that only we may set", func(_ *world, r request, a arrival) string {
		for _, l := range a.lines {
			if wrong := forged(l, a.token(), r.from); wrong != "" || disguised(l) {
				return l.name + ": " + l.value
			}
		}
		return ""
	}},
	{"the address is told once and is the edge's word", func(_ *world, r request, a arrival) string {
		return differ("x-forwarded-for", strings.Join(a.values("x-forwarded-for"), "|"), r.from.String())
	}},
	{"a line has one end", func(_ *world, _ request, a arrival) string {
		if strings.ContainsAny(strings.ReplaceAll(string(a.head), "\r\n", ""), "\r\n\x00") || len(a.values(requestID)) != 1 || a.proto != "HTTP/1.1" {
			return "the head has two readings"
		}
		return ""
	}},
	{"a body has one end", func(_ *world, _ request, a arrival) string {
		if lengths, codings := a.values("content-length"), a.values("transfer-encoding"); len(lengths)+len(codings) > 1 {
			return fmt.Sprintf("lengths %q, codings %q", lengths, codings)
		}
		return ""
	}},
	{"only what may upgrade does", func(_ *world, _ request, a arrival) string {
		if up := a.values("upgrade"); len(up) > 0 && (a.backend != "issues" || len(up) > 1 || !strings.EqualFold(up[0], "websocket")) {
			return fmt.Sprintf("%s: %q", a.backend, up)
		}
		return ""
	}},
}

// token is the User Context Token that the check made for the request; "" if none.
func (a arrival) token() string {
	for _, f := range a.decision.verdict.Set {
		if f.Name == usercontext.Header {
			return f.Value
		}
	}
	return ""
}

// productRules are about what reached a product.
var productRules = []rule[*world, arrival]{
	{"the product is the one whose host was asked", func(_ *world, r request, a arrival) string {
		if a.decision.Route != (check.Route{Product: a.backend}) {
			return fmt.Sprintf("%s received, the route was %+v", a.backend, a.decision.Route)
		}
		return differ("host", hostOf(a.backend), r.sni)
	}},
	{"exactly our token, for this product", func(w *world, _ request, a arrival) string {
		tokens := a.values(usercontext.Header)
		if a.decision.verdict.Reason == check.Anonymous && len(tokens) == 0 {
			return ""
		}
		if len(tokens) != 1 || tokens[0] != a.token() {
			return fmt.Sprintf("%d tokens for the reason %s", len(tokens), a.decision.verdict.Reason)
		}
		if err := w.verify(a.backend, tokens[0]); err != nil {
			return err.Error()
		}
		return ""
	}},
	{"who has no session is nobody", func(w *world, r request, a arrival) string {
		if a.token() != "" && !strings.Contains(r.text(), string(w.handles[hostOf(a.backend)])) {
			return "a token for a request without the handle"
		}
		return ""
	}},
	{"nobody reaches more than what is listed", func(_ *world, _ request, a arrival) string {
		if a.token() == "" && (a.method != "GET" || a.path() != listed[a.backend]) {
			return a.method + " " + a.path()
		}
		return ""
	}},
	{"no cookie of ours reaches a product", func(w *world, _ request, a arrival) string {
		if found := ourCookies(a.values("cookie")); len(found) > 0 {
			return fmt.Sprint(found)
		}
		return ""
	}},
	{"the path has one reading", func(_ *world, _ request, a arrival) string { return otherReading(a.path()) }},
	{"nothing is had below what is denied", func(_ *world, _ request, a arrival) string {
		for reading := range readings(a.path()) {
			if reading == denied || strings.HasPrefix(reading, denied+"/") {
				return fmt.Sprintf("%q can be read as %q", a.path(), reading)
			}
		}
		return ""
	}},
}

// verify believes a token as a product does. What was believed once is not looked at again.
func (w *world) verify(product, token string) error {
	key := product + " " + token
	if err, ok := w.tokens[key]; ok {
		return err
	}
	verifier := usercontext.Verifier{Issuer: w.cloud.URL(w.cloud.AuthHost()), Audience: product, Keys: w.signers}
	_, err := verifier.Verify(context.Background(), token)
	w.tokens[key] = err
	return err
}
