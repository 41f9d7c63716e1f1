package differential

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
)

// Placeholders in header lines stand for what no corpus can hold: the access token, a proof of possession for this very call, and what a service
// carries to its sidecar.
const (
	tokenPlace   = "{token}"
	proofPlace   = "{proof}"
	carriedPlace = "{carried}"
)

// cross sends a call. Its proof is for the target as it is written. Where only that is wrong, since Envoy has made another path of it, the call is sent
// again with a proof for what the check saw.
func (b *border) cross(r request) outcome {
	host := b.cloud.GatewayName("issues")
	if len(r.hosts) > 0 {
		host, _, _ = strings.Cut(strings.ToLower(r.hosts[0]), ":")
	}
	path, _, _ := strings.Cut(r.target, "?")
	o := b.exchange(b.fill(r, r.method, "https://"+host+path))
	if decided := o.atGateway(); r.caller != "" && len(decided) == 1 && decided[0].verdict.Reason == check.Proof {
		d := decided[0]
		again := b.exchange(b.fill(r, d.Method, "https://"+d.Host+d.Path))
		again.late = append(again.late, o)
		return again
	}
	return o
}

// fill puts credentials into the places for them.
func (b *border) fill(r request, method, url string) request {
	proof, err := b.prove(method, url)
	if err != nil {
		method, url = "GET", "https://"+b.cloud.GatewayName("issues")+"/"
		proof, _ = b.prove(method, url)
	}
	if b.sealed == "" || time.Since(b.made) > time.Minute {
		b.sealed, _ = b.carrier.Seal(b.outside)
		b.made = time.Now()
	}
	in := strings.NewReplacer(tokenPlace, b.token, proofPlace, proof, carriedPlace, b.sealed)
	r.lines = slices.Clone(r.lines)
	for i := range r.lines {
		r.lines[i] = in.Replace(r.lines[i])
	}
	r.proof, r.proved = proof, method+" "+url
	return r
}

func (b *border) prove(method, url string) (string, error) {
	return b.key.Make(dpop.Proof{Method: method, URL: url, AccessToken: b.token, Now: time.Now()})
}

// atGateway are the decisions of the gateway's check.
func (o outcome) atGateway() (list []*decision) {
	for _, d := range o.decisions {
		if !d.sidecar {
			list = append(list, d)
		}
	}
	return list
}

// check sends a call and reports every rule that was broken, as for the ingress.
func (b *border) check(t testing.TB, r request) outcome {
	t.Helper()
	o := b.cross(r)
	for again := 0; again < 5 && o.answer.fails(); again++ {
		o = b.cross(r)
	}
	if o.unreachable != nil {
		t.Fatalf("the gateway or its sidecar: %v", o.unreachable)
	}
	for _, of := range append([]outcome{o}, o.late...) {
		for _, broken := range b.judge(of) {
			t.Errorf("%s\n%s", broken, b.describe(of))
		}
	}
	return o
}

// describe tells all, but for what would be a secret elsewhere and is long.
func (b *border) describe(o outcome) string {
	r := o.sent
	for i := range r.lines {
		if name, _, _ := strings.Cut(r.lines[i], ":"); strings.EqualFold(name, "dpop") {
			r.lines = slices.Concat(r.lines[:i], []string{name + ": " + proofPlace}, r.lines[i+1:])
		}
	}
	text := fmt.Sprintf("  sent in %s by %q: %q %q, hosts %q, lines %q, body %q", r.protocol(), r.caller, r.method, r.target, r.hosts, r.lines, r.body)
	text += fmt.Sprintf("\n  answer: %v", o.answer)
	for _, d := range o.decisions {
		text += fmt.Sprintf("\n  check (sidecar %t): %q %q %q ?%q, body %t, route %+v", d.sidecar, d.Host, d.Method, d.Path, d.Query, d.Body, d.Route)
		text += fmt.Sprintf(": %s %s %v", d.verdict.Reason, d.verdict.Rule, d.verdict.Cause)
	}
	for _, a := range o.arrivals {
		text += fmt.Sprintf("\n  %s received: %q", a.backend, a.head)
		if a.decision != nil && a.token() != "" {
			text = strings.ReplaceAll(text, a.token(), "(the token)")
		}
	}
	return strings.NewReplacer(b.token, tokenPlace, b.sealed, carriedPlace).Replace(text)
}

// refusal is an answer with all that a caller could learn from.
type refusal struct{ text string }

// refused gives the answer as one text, without its date and without how long the connection stays.
func (a answer) refused() refusal {
	header := a.header.Clone()
	for _, name := range []string{"Date", "Connection"} {
		header.Del(name)
		delete(header, strings.ToLower(name))
	}
	var lines []string
	for name, values := range header {
		lines = append(lines, strings.ToLower(name)+": "+strings.Join(values, " | "))
	}
	slices.Sort(lines)
	return refusal{fmt.Sprintf("%d\n%s\n\n%s", a.status, strings.Join(lines, "\n"), a.body)}
}

// unexposed tells whether the answer says that nothing of the kind is exposed. Envoy says so itself where it asks nobody.
func (o outcome) unexposed() bool {
	decided := o.atGateway()
	switch {
	case o.answer.status == 0 || len(decided) > 1 || len(o.arrivals) > 0:
		return false
	case len(decided) == 1:
		return decided[0].verdict.Reason == check.NotExposed
	}
	return o.sent.caller != "" && o.answer.status == http.StatusForbidden
}

// kindOf are the answers that look alike: the protocol and the method have their own forms of one answer, and so has gRPC.
func (o outcome) kindOf() string {
	return fmt.Sprint(o.sent.h2, o.sent.caller == "", o.sent.method == "HEAD", o.answer.header.Get("grpc-status") != "")
}

// call is a good one by a caller, at the gateway itself.
func (b *border) call(caller, product, method, target string, lines ...string) request {
	return request{
		sni: b.cloud.GatewayHost(), caller: caller, method: method, target: target, hosts: []string{b.cloud.GatewayName(product)},
		lines: append([]string{"Authorization: DPoP " + tokenPlace, "Dpop: " + proofPlace}, lines...),
	}
}

// tell is a good call of the service to its sidecar.
func (b *border) tell(product, method, target string, lines ...string) request {
	return request{method: method, target: target, hosts: []string{"127.0.0.1"}, lines: append([]string{
		"X-Isolated-Cloud-Id: " + b.cloud.ID, "X-Isolated-Cloud-Token: " + carriedPlace, "X-Isolated-Cloud-Product: " + product,
	}, lines...)}
}
