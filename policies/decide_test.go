package policies

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
)

// narrowed refuses by each thing that a rule may look at.
const narrowed = head + nothing + `
decision := {"allow": true, "reason": "signed-in"} if count(forbidden) == 0
decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0

forbidden contains "group" if {
	input.product == "payroll"
	not "hr" in input.user.groups
}
forbidden contains "network" if {
	input.product == "vault"
	not net.cidr_contains("10.0.0.0/8", input.address)
}
forbidden contains "provider" if {
	input.product == "wiki"
	input.user.provider != "corp"
}
forbidden contains "second-factor" if {
	input.product == "admin"
	input.user.acr != "mfa"
}
forbidden contains "sms" if "sms" in input.user.amr
forbidden contains "read-only" if {
	input.path == "/archive"
	input.method != "GET"
}
`

func TestDecide(t *testing.T) {
	b := mustLoad(t, dirOf(t, files{"a.rego": narrowed}))
	tests := []struct {
		name string
		in   Input
		want Decision
	}{
		{"nobody in particular", Input{}, pass},
		{"no group", Input{Product: "payroll"}, denied("group")},
		{"another group", Input{Product: "payroll", User: User{Groups: []string{"staff"}}}, denied("group")},
		{"the group", Input{Product: "payroll", User: User{Groups: []string{"staff", "hr"}}}, pass},
		{"outside", Input{Product: "vault", Address: "192.0.2.1"}, denied("network")},
		{"inside", Input{Product: "vault", Address: "10.9.9.9"}, pass},
		{"outside, IPv6", Input{Product: "vault", Address: "2001:db8::1"}, denied("network")},
		{"no provider", Input{Product: "wiki"}, denied("provider")},
		{"another provider", Input{Product: "wiki", User: User{Provider: "guests"}}, denied("provider")},
		{"the provider", Input{Product: "wiki", User: User{Provider: "corp"}}, pass},
		{"no acr", Input{Product: "admin"}, denied("second-factor")},
		{"the acr", Input{Product: "admin", User: User{ACR: "mfa"}}, pass},
		{"a method of sign-in", Input{User: User{AMR: []string{"pwd", "sms"}}}, denied("sms")},
		{"method and path", Input{Method: "POST", Path: "/archive"}, denied("read-only")},
		{"two reasons", Input{Product: "payroll", User: User{AMR: []string{"sms"}}}, denied("group")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := b.Decide(t.Context(), tt.in); err != nil || got != tt.want {
				t.Errorf("Decide = %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// A decision that looks at nothing costs nothing, and not even an ended context matters.
func TestDecideConstant(t *testing.T) {
	b := mustLoad(t, dirOf(t, files{"a.rego": head + nothing + `decision := {"allow": false, "reason": "closed"} if "a" in {"a"}`}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in := Input{Product: "issues", User: User{Groups: []string{"a"}}}
	var got Decision
	var err error
	if n := testing.AllocsPerRun(100, func() { got, err = b.Decide(ctx, in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err != nil || got != denied("closed") {
		t.Errorf("Decide = %+v, %v", got, err)
	}
}

// Whatever is not a decision is an error and never a pass. Load finds it by itself, constant or not, where a sample
// makes the rule apply.
func TestDecisionShapes(t *testing.T) {
	shapes := map[string]string{
		"boolean":           `true`,
		"empty":             `{}`,
		"no reason":         `{"allow": true}`,
		"no allow":          `{"reason": "x", "rule": "y"}`,
		"another key":       `{"allow": true, "reason": "x", "user": "y"}`,
		"allow is text":     `{"allow": "true", "reason": "x"}`,
		"allow is null":     `{"allow": null, "reason": "x"}`,
		"reason is number":  `{"allow": true, "reason": 1}`,
		"reason is empty":   `{"allow": true, "reason": ""}`,
		"reason has space":  `{"allow": true, "reason": "signed in"}`,
		"reason is upper":   `{"allow": true, "reason": "Signed"}`,
		"reason has a line": `{"allow": true, "reason": "a\nb"}`,
		"reason is long":    `{"allow": true, "reason": "` + strings.Repeat("x", 65) + `"}`,
		"list":              `[{"allow": true, "reason": "x"}]`,
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			refused(t, dirOf(t, files{"a.rego": head + nothing + "decision := " + shape + "\n"}), "a.rego:4: decision")
			for _, condition := range []string{`input.product == "payroll"`, `input.user.provider == "corp"`, `input.user.groups == []`} {
				refused(t, dirOf(t, files{"a.rego": varying(shape, condition)}), "a.rego:4: decision, tried with")
			}
			// beyond the samples, the request gets the error
			b := mustLoad(t, dirOf(t, files{"a.rego": varying(shape, `startswith(input.path, "/x")`)}))
			if d, err := b.Decide(t.Context(), Input{Path: "/y"}); err != nil || d != pass {
				t.Errorf("Decide = %+v, %v", d, err)
			}
			if d, err := b.Decide(t.Context(), Input{Path: "/xy"}); err == nil || d != (Decision{}) {
				t.Errorf("Decide = %+v, %v; want an error", d, err)
			}
		})
	}
}

func TestDecisionUndefined(t *testing.T) {
	const always = `decision := {"allow": true, "reason": "x"} if `
	for _, condition := range []string{"1 == 2", `input.product == ""`, `input.product != "payroll"`} {
		refused(t, dirOf(t, files{"a.rego": head + nothing + always + condition + "\n"}), "a.rego:4: decision", "no value")
	}
	b := mustLoad(t, dirOf(t, files{"a.rego": head + nothing + always + `input.path != "/x"` + "\n"}))
	if d, err := b.Decide(t.Context(), Input{Path: "/x"}); !errors.Is(err, errUndefined) || d.Allow {
		t.Errorf("Decide = %+v, %v; want an error", d, err)
	}
}

func varying(shape, condition string) string {
	return head + nothing + "decision := " + shape + " if {\n\t" + condition + "\n} else := " + `{"allow": true, "reason": "signed-in"}` + "\n"
}

func TestDecideErrors(t *testing.T) {
	slow := "count([1 | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); a == b + 10000]) == 0"
	tests := []struct{ name, condition, want string }{
		{"too slow", slow, "cancel"},
		{"failing function", `net.cidr_contains("10.0.0.0/8", input.address)`, "a.rego:6: eval_builtin_error"},
		{"failing function, negated", `not net.cidr_contains("10.0.0.0/8", input.address)`, "a.rego:6: eval_builtin_error"},
		{"conflict", `conflict == 1`, "a.rego:9: eval_conflict_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := varying(`{"allow": true, "reason": "x"}`, "startswith(input.path, \"/x\")\n\t"+tt.condition) +
				"conflict := 1 if input.path != \"/\"\nconflict := 2 if input.path != \"/\"\n"
			b := mustLoad(t, dirOf(t, files{"a.rego": text}))
			if tt.condition == slow {
				b.limit = decideLimit
			}
			begin := time.Now()
			d, err := b.Decide(t.Context(), Input{Path: "/x", Address: "localhost"})
			if d != (Decision{}) {
				t.Errorf("Decide = %+v; want none", d)
			}
			wantPieces(t, err, tt.want)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("ended context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b := mustLoad(t, dirOf(t, files{"a.rego": varying(`{"allow": true, "reason": "x"}`, slow+"\n\tstartswith(input.path, \"/x\")")}))
		if d, err := b.Decide(ctx, Input{Path: "/x"}); err == nil || d.Allow {
			t.Errorf("Decide = %+v, %v; want an error", d, err)
		}
	})
}

// The zero values deny.
func TestNoBundle(t *testing.T) {
	var b *Bundle
	if d, err := b.Decide(t.Context(), Input{}); err == nil || d.Allow {
		t.Errorf("Decide = %+v, %v", d, err)
	}
	if d, err := new(Bundle).Decide(t.Context(), Input{}); d.Allow {
		t.Errorf("Decide = %+v, %v", d, err)
	}
	if id, ok := b.Anonymous("", "", "", time.Time{}); ok {
		t.Errorf("Anonymous = %q", id)
	}
	if b.Digest() != "" || b.AnonymousEndpoints() != nil {
		t.Error("no bundle has content")
	}
}

// What rules see is what the JSON names promise, with every field there even when nothing is known; and the schema that
// rules are checked against is the same.
func TestInputValue(t *testing.T) {
	for _, in := range []Input{
		{User: User{Groups: []string{}, AMR: []string{}}},
		{"p", "GET", "/a", "192.0.2.1", User{"corp", []string{"g", "h"}, "mfa", []string{"otp"}}},
	} {
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		want := ast.MustParseTerm(string(text)).Value
		if got := in.value(); got.Compare(want) != 0 {
			t.Errorf("value = %v, want %v", got, want)
		}
		checkSchema(t, in.value(), schemas().Get(ast.MustParseRef("schema.ingress")))
	}
	if diff := cmp.Diff((Input{}).value().String(), (Input{User: User{Groups: []string{}, AMR: []string{}}}).value().String()); diff != "" {
		t.Error(diff)
	}
}

func checkSchema(t *testing.T, v ast.Value, schema any) {
	t.Helper()
	properties, _ := schema.(map[string]any)["properties"].(map[string]any)
	o, ok := v.(ast.Object)
	if !ok {
		return
	}
	if o.Len() != len(properties) {
		t.Errorf("%v has other fields than the schema %v", v, properties)
	}
	o.Foreach(func(k, v *ast.Term) {
		p := properties[string(k.Value.(ast.String))]
		if p == nil {
			t.Errorf("the schema lacks %v", k)
			return
		}
		checkSchema(t, v.Value, p)
	})
}

func TestDecideConcurrently(t *testing.T) {
	b := mustLoad(t, dirOf(t, files{"a.rego": narrowed}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if d, err := b.Decide(t.Context(), Input{Product: "payroll"}); err != nil || d != denied("group") {
					t.Errorf("Decide = %+v, %v", d, err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkDecide(b *testing.B) {
	in := Input{
		Product: "payroll", Method: "GET", Path: "/a", Address: "10.0.0.1",
		User: User{Provider: "corp", Groups: []string{"staff", "hr"}, ACR: "mfa", AMR: []string{"pwd", "otp"}},
	}
	for _, bm := range []struct{ name, text string }{{"constant", valid}, {"narrowed", narrowed}} {
		b.Run(bm.name, func(b *testing.B) {
			bundle := mustLoad(b, dirOf(b, files{"a.rego": bm.text}))
			b.ReportAllocs()
			for b.Loop() {
				if d, err := bundle.Decide(b.Context(), in); err != nil || !d.Allow {
					b.Fatal(d, err)
				}
			}
		})
	}
}
