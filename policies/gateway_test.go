package policies

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

const gatewayRule = "isogate.gateway.decision"

var (
	crossPass = Decision{Allow: true, Reason: "exposed", Rule: gatewayRule}
	crossCall = CrossInput{
		Endpoint: "issue.read", Product: "issues", Method: "GET", Path: "/rest/api/issue/ABC-1", Query: []string{"fields"},
		Caller: support, Client: "commercial", Cloud: "c-7f3a", User: User{Provider: "corp", Groups: []string{"staff"}, ACR: "mfa", AMR: []string{"otp"}},
	}
)

// shippedGateway is the shipped directory, with its gateway.rego changed.
func shippedGateway(t testing.TB, change func(string) string) string {
	t.Helper()
	return dirOf(t, files{
		"ingress.rego": shipped(t, "ingress.rego"), "ingress_test.rego": shipped(t, "ingress_test.rego"),
		"gateway.rego": change(shipped(t, "gateway.rego")), "gateway_test.rego": shipped(t, "gateway_test.rego"),
	})
}

func TestShippedGateway(t *testing.T) {
	b := mustLoad(t, ".")
	if b.gateway.query != nil {
		t.Error("the shipped decision is evaluated; while nothing is closed it should be a constant")
	}
	if d, err := b.Cross(t.Context(), crossCall); err != nil || d != crossPass {
		t.Errorf("Cross = %+v, %v", d, err)
	}
	if e, ok := b.Match("issues", "GET", "/rest/api/issue/ABC-1", time.Now()); !ok || e.ID != "issue.read" || len(b.Endpoints()) != 1 {
		t.Errorf("Match = %+v, %v", e, ok)
	}
}

// Withdrawing an endpoint is one edit, the last one too.
func TestShippedEndpointsCanBeEmptied(t *testing.T) {
	b := mustLoad(t, shippedGateway(t, func(text string) string {
		begin := strings.Index(text, `endpoints["issue.read"]`)
		return text[:begin] + text[begin+strings.Index(text[begin:], "}\n")+2:]
	}))
	if n := len(b.Endpoints()); n != 0 {
		t.Errorf("%d endpoints after the entry was removed", n)
	}
	if d, err := b.Cross(t.Context(), crossCall); err != nil || d.Allow || d.Reason != "not-exposed" {
		t.Errorf("Cross = %+v, %v", d, err)
	}
}

// Each line that the comment shows closes what it says when its comment sign is taken away, and nothing else.
func TestOneLineCloses(t *testing.T) {
	tests := []struct {
		line string
		open func(*CrossInput) // changes a call into one that still passes
	}{
		{`closed contains "gateway"`, nil},
		{`closed contains {"caller": "spiffe://commercial.example/support"}`, func(in *CrossInput) { in.Caller = "spiffe://commercial.example/billing" }},
		{`closed contains {"client": "commercial"}`, func(in *CrossInput) { in.Client = "other" }},
		{`closed contains {"cloud": "c-7f3a"}`, func(in *CrossInput) { in.Cloud = "other" }},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			b := mustLoad(t, shippedGateway(t, func(text string) string {
				if !strings.Contains(text, "#\t"+tt.line+"\n") {
					t.Fatal("the comment does not show it")
				}
				return strings.Replace(text, "#\t"+tt.line+"\n", tt.line+"\n", 1)
			}))
			if d, err := b.Cross(t.Context(), crossCall); err != nil || d != (Decision{Reason: "closed", Rule: gatewayRule}) {
				t.Errorf("Cross = %+v, %v", d, err)
			}
			if tt.open == nil {
				return
			}
			in := crossCall
			tt.open(&in)
			if d, err := b.Cross(t.Context(), in); err != nil || d != crossPass {
				t.Errorf("Cross of another = %+v, %v", d, err)
			}
		})
	}
}

// A line that closes nothing is refused: somebody counts on it.
func TestClosedFaults(t *testing.T) {
	for _, line := range []string{
		`closed contains "gatway"`, `closed contains {"callr": "a"}`, `closed contains {"caller": ""}`, `closed contains {"caller": 1}`,
		`closed contains {"caller": "a", "client": "b"}`, `closed contains {}`, `closed contains "` + support + `"`,
	} {
		refused(t, gatewayOf(t, exposed("x")+line+"\n"), "gateway.rego:5", "closed contains")
	}
	const shut, helper = "closed contains \"gateway\"\n", "closed contains x if some x in shut\n"
	for name, c := range map[string]struct{ text, want string }{
		"the second":          {shut + `closed contains "gatewy"`, "gateway.rego:5: closed contains"},
		"an object":           {shut + `closed contains {"callr": "a"}`, "gateway.rego:5: closed contains"},
		"inside another":      {"closed contains {\"client\": \"gatewy\"}\nclosed contains \"gatewy\"", "gateway.rego:5: closed contains"},
		"in a condition":      {shut + "closed contains x if {\n\tsome x in [\"gatewy\"]\n}", "gateway.rego:6: closed contains"},
		"in another rule":     {shut + helper + "shut contains {\"callr\": \"a\"}", "gateway.rego:6: closed contains"},
		"one set":             {"closed := {\n\t\"gateway\",\n\t\"gatewy\",\n}", "gateway.rego:6: closed contains"},
		"written twice":       {"closed contains \"gatewy\"\n" + shut + `closed contains "gatewy"`, "(one of gateway.rego:4, gateway.rego:6)"},
		"computed":            {shut + `closed contains lower("GATEWY")`, "gateway.rego:5: closed contains"},
		"computed by several": {"closed contains lower(\"GATEWY\")\n" + shut + `closed contains lower("GATEWAY")`, "(one of gateway.rego:4, gateway.rego:6)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(t.Context(), gatewayOf(t, c.text+"\n"))
			wantPieces(t, err, c.want)
			if several := strings.Contains(c.want, "one of"); err != nil && strings.Contains(err.Error(), "one of gateway") != several {
				t.Errorf("several places: %v", err)
			}
		})
	}
	refused(t, gatewayOf(t, `closed := ["gateway"]`), "gateway.rego:4", "of type array")
	refused(t, gatewayOf(t, `closed contains "gateway" if input.caller == "a"`), "gateway.rego:4", "closed depends on input")
}

// The rules that the comment shows work when their comment signs are taken away.
func TestShippedGatewayExamplesNarrow(t *testing.T) {
	b := mustLoad(t, shippedGateway(t, func(text string) string {
		begin := strings.Index(text, "#\tforbidden contains")
		text = text[:begin] + strings.ReplaceAll(text[begin:], "\n#\t", "\n")
		text = strings.Replace(text, "#\tforbidden", "forbidden", 1)
		return text + exposed("payroll.read", "product", `"payroll"`, "owner", `"team-payroll"`) + exposed("issue.write", "method", `"POST"`)
	}))
	tests := []struct {
		name, endpoint, method, acr string
		groups                      []string
		want                        string // the reason to deny
	}{
		{"another owner's", "issue.read", "GET", "", []string{"contractors"}, ""},
		{"a contractor", "payroll.read", "GET", "", []string{"staff", "contractors"}, "no-contractors"},
		{"somebody else", "payroll.read", "GET", "", []string{"staff"}, ""},
		{"a change without a second factor", "issue.write", "POST", "pwd", nil, "second-factor"},
		{"a change with one", "issue.write", "POST", "mfa", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := crossPass
			if tt.want != "" {
				want = Decision{Reason: tt.want, Rule: gatewayRule}
			}
			in := CrossInput{Endpoint: tt.endpoint, Method: tt.method, User: User{ACR: tt.acr, Groups: tt.groups}}
			if d, err := b.Cross(t.Context(), in); err != nil || d != want {
				t.Errorf("Cross = %+v, %v; want %+v", d, err, want)
			}
		})
	}
}

func TestNothingCrosses(t *testing.T) {
	var none *Bundle
	for name, b := range map[string]*Bundle{
		"no bundle": none, "zero": new(Bundle), "no package": mustLoad(t, dirOf(t, files{"a.rego": valid})), "no endpoint": mustLoad(t, gatewayOf(t, "")),
	} {
		if d, err := b.Cross(t.Context(), crossCall); d.Allow || err == nil && d.Reason == "" {
			t.Errorf("%s: Cross = %+v, %v", name, d, err)
		}
		if e, ok := b.Match("issues", "GET", "/", time.Now()); ok || e != nil {
			t.Errorf("%s: Match = %v", name, e)
		}
		if len(b.Endpoints()) > 0 || len(b.EndpointsAt(time.Now())) > 0 || !b.NextEnd(time.Time{}).IsZero() {
			t.Errorf("%s: has endpoints", name)
		}
	}
}

func TestGatewayFaults(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"no decision", gatewayHead + exposed("x"), []string{"package isogate.gateway has no rule decision"}},
		{"shape", gatewayHead + "decision := true\n", []string{"gateway.rego:3", "decision must be"}},
		{"shape of a sample", gatewayHead + "decision := {} if input.caller == \"x\"\nelse := " + `{"allow": true, "reason": "x"}`, []string{"gateway.rego:3", "tried with"}},
		{"undefined", gatewayHead + `decision := {"allow": true, "reason": "x"} if input.client == "c"`, []string{"no value"}},
		{"misspelt input", gatewayHead + gatewayOpen + `x if input.calller == "a"`, []string{"gateway.rego:4", "undefined ref: input.calller"}},
		{"the ingress's input", gatewayHead + gatewayOpen + `x if input.address == ""`, []string{"gateway.rego:4", "undefined ref: input.address"}},
		{"a body", gatewayHead + gatewayOpen + `x if input.body == ""`, []string{"gateway.rego:4", "undefined ref"}},
		{"misspelt key", gatewayHead + gatewayOpen + exposed("x") + `x if endpoints[input.endpoint].ownr == "a"`, []string{"gateway.rego:5", "undefined ref", "ownr"}},
		{"misspelt key elsewhere", gatewayHead + gatewayOpen + exposed("x") + "x if {\n\te := endpoints[input.endpoint]\n\te.ownr == \"a\"\n}", []string{"gateway.rego:7", "undefined ref"}},
		{"two kinds of fault", gatewayHead + "decision := 1\n" + exposed("x", "method", `"X"`) + "closed contains 1\n", []string{"gateway.rego:3", "gateway.rego:4", "gateway.rego:5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, dirOf(t, files{"a.rego": valid, "gateway.rego": tt.in}), tt.want...) })
	}
}

// A rule sees the input of its own package. One that both ask has what both inputs have.
func TestEachPackageHasItsInput(t *testing.T) {
	tests := []struct {
		name string
		in   files
		want []string // none: it loads
	}{
		{"gateway's in its tests", files{"b_test.rego": "package isogate.gateway_test\ntest_x if input.caller == \"a\" with input as {\"caller\": \"a\"}"}, nil},
		{"ingress's in the gateway's tests", files{"b_test.rego": "package isogate.gateway_test\ntest_x if input.address == \"a\""}, []string{"b_test.rego:2", "undefined ref"}},
		{"gateway's at the ingress", files{"b.rego": head + `x if input.caller == "a"`}, []string{"b.rego:3", "undefined ref"}},
		{"below a package", files{"b.rego": "package isogate.gateway.lib\nx if input.cloud == \"a\""}, nil},
		{"common", files{"b.rego": "package lib\nx if input.product == \"a\"\ny if input.user.acr == \"a\""}, nil},
		{"gateway's in common", files{"b.rego": "package lib\nx if input.caller == \"a\""}, []string{"b.rego:2", "undefined ref"}},
		{"ingress's in common", files{"b.rego": "package lib\nx if input.address == \"a\""}, []string{"b.rego:2", "undefined ref"}},
		{"a schema of its own", files{"b.rego": "# METADATA\n# schemas:\n# - input: {}\npackage isogate.gateway.lib\nx if input.foo == \"a\""}, []string{"b.rego:5", "undefined ref"}},
		{"the other package's rule", files{"gateway.rego": gatewayHead + `decision := {"allow": data.isogate.ingress.inside, "reason": "x"}`,
			"b.rego": head + "default inside := false\ninside if input.address == \"10.0.0.1\""}, []string{"b.rego:4", "input is another one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := gatewayOf(t, exposed("x"))
			for name, text := range tt.in {
				write(t, dir, name, text)
			}
			if tt.want != nil {
				refused(t, dir, tt.want...)
				return
			}
			mustLoad(t, dir)
		})
	}
}

// A decision is constant only if no input can change it, an error included. One that looks the call's endpoint up is evaluated in any case: to find out
// more would cost an evaluation for each endpoint.
func TestConstantDecisions(t *testing.T) {
	const yes = `decision := {"allow": true, "reason": "x"}`
	tests := []struct {
		name, in string
		want     bool
	}{
		{"plain", yes, true},
		{"nothing listed", yes + " if count(words) == 0\nwords contains \"w\" if {\n\tsome x in closed\n\tx == input.caller\n}\nclosed contains \"gateway\" if false", true},
		{"something listed", yes + " if count(words) == 0\ndecision := {\"allow\": false, \"reason\": \"y\"} if count(words) > 0\nwords contains \"w\" if {\n\tsome x in list\n\tx == input.caller\n}\nlist := {\"a\"}", false},
		{"a conflict for some", yes + "\ndecision := {\"allow\": false, \"reason\": \"y\"} if startswith(input.path, \"/x\")", false},
		{"an error for some", yes + " if not input.path == \"/x\"", false},
		{"all endpoints looked at, for every call alike", yes + " if count(words) == 0\nwords contains \"w\" if {\n\tsome e in endpoints\n\te.owner == \"nobody\"\n}", true},
		{"the endpoint looked up, behind what nobody fulfils", yes + " if count(words) == 0\nwords contains \"w\" if {\n\tfalse\n\tendpoints[input.endpoint].body == \"opaque\"\n}", false},
		{"a word of the input", `decision := {"allow": true, "reason": input.method} if startswith(input.path, "/x")` + "\nelse := " + `{"allow": true, "reason": "x"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := mustLoad(t, dirOf(t, files{"a.rego": valid, "g.rego": gatewayHead + tt.in + "\n" + exposed("x")}))
			if got := b.gateway.query == nil; got != tt.want {
				t.Errorf("constant: %v", got)
			}
			if tt.want {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if d, err := b.Cross(ctx, CrossInput{Endpoint: "x"}); err != nil || !d.Allow {
					t.Errorf("Cross = %+v, %v", d, err)
				}
			}
		})
	}
	b := mustLoad(t, dirOf(t, files{"a.rego": valid, "g.rego": gatewayHead + tests[3].in + "\n" + exposed("x")}))
	if d, err := b.Cross(t.Context(), CrossInput{Endpoint: "x", Path: "/xy"}); err == nil || d != (Decision{}) {
		t.Errorf("Cross = %+v, %v; want an error", d, err)
	}
}

func TestCrossInputValue(t *testing.T) {
	for _, in := range []CrossInput{{Query: []string{}, User: User{Groups: []string{}, AMR: []string{}}}, crossCall} {
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		want := ast.MustParseTerm(string(text)).Value
		if got := in.value(); got.Compare(want) != 0 {
			t.Errorf("value = %v, want %v", got, want)
		}
		checkSchema(t, in.value(), schemas().Get(ast.MustParseRef("schema.gateway")))
	}
}

// What the decision's part of a call costs: with the shipped rules, with something closed, and with a rule that looks an
// endpoint up. None grows with the list.
func BenchmarkCross(b *testing.B) {
	narrow := "forbidden contains \"contractors\" if {\n\tendpoints[input.endpoint].owner == \"team-support\"\n\t\"contractors\" in input.user.groups\n}\n"
	for _, bm := range []struct{ name, more string }{{"shipped", ""}, {"closed", `closed contains {"caller": "spiffe://a/b"}`}, {"narrowed", narrow}} {
		for _, n := range []int{10, 10000} {
			b.Run(fmt.Sprint(bm.name, "/", n), func(b *testing.B) {
				dir := shippedGateway(b, func(text string) string { return text + bm.more })
				write(b, dir, "list.rego", strings.Replace(list(n, false), gatewayOpen, "", 1))
				bundle := mustLoad(b, dir)
				in := crossCall
				in.Endpoint = "issue.read.7"
				b.ReportAllocs()
				for b.Loop() {
					if d, err := bundle.Cross(b.Context(), in); err != nil || !d.Allow {
						b.Fatal(d, err)
					}
				}
			})
		}
	}
}

// A directory may do without the gateway's package only where there is no gateway. An empty list is none the less one.
func TestForGateway(t *testing.T) {
	ingress := files{"ingress.rego": shipped(t, "ingress.rego")}
	empty := files{"ingress.rego": shipped(t, "ingress.rego"), "gateway.rego": "package isogate.gateway\n\nendpoints := {}\n\ndecision := {\"allow\": true, \"reason\": \"exposed\"}\n"}
	for name, c := range map[string]struct {
		bundle *Bundle
		want   error
	}{
		"none yet": {nil, errNoGateway}, "without the package": {mustLoad(t, dirOf(t, ingress)), errNoGateway}, "with an empty list": {mustLoad(t, dirOf(t, empty)), nil},
		"shipped": {mustLoad(t, "."), nil},
	} {
		if err := c.bundle.ForGateway(); err != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
