package policies

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
)

// list writes n endpoints as a generator would, as one object or each as a rule.
func list(n int, whole bool) string {
	var s strings.Builder
	s.WriteString(gatewayHead + gatewayOpen)
	if whole {
		s.WriteString("endpoints := {\n")
	}
	for i := range n {
		entry := fmt.Sprintf(`{
	"product": "product-%d", "method": "GET", "path": "/rest/api/%d/issue/{key}", "query": ["fields", "expand"],
	"callers": ["spiffe://commercial.example/support"], "body": "none", "purpose": "show a ticket's issue in the Support Centre",
	"owner": "team-support", "expires": "2027-06-30",
}`, i%10, i)
		if whole {
			fmt.Fprintf(&s, "\"issue.read.%d\": %s,\n", i, entry)
		} else {
			fmt.Fprintf(&s, "endpoints[\"issue.read.%d\"] := %s\n", i, entry)
		}
	}
	if whole {
		s.WriteString("}\n")
	}
	return s.String()
}

// The quick way of reading gives what OPA's own parser and evaluation give, or leaves the text to them.
func TestReadingAsOPADoes(t *testing.T) {
	a, b, c := exposed("a"), exposed("b", "path", `"/b"`), exposed("c", "path", `"/c"`)
	commented := strings.Replace(a, "{", "{ # x\n", 1)
	tests := []struct {
		name, in string
		cuts     int
	}{
		{"one", a, 1},
		{"three", a + b + c, 3},
		{"with space and comments", a + "\n# a comment\n\n" + b + "x := 1\n" + c, 3},
		{"whole", "endpoints := {\n# first\n\"a\": " + entryOf("a") + ", # behind\n\"b\": " + entryOf("b", "path", `"/b"`) + "}\n", 1},
		{"generated", strings.TrimPrefix(list(20, false), gatewayHead+gatewayOpen), 20},
		{"generated, whole", strings.TrimPrefix(list(20, true), gatewayHead+gatewayOpen), 1},
		{"not at the beginning of a line", " " + a + b, 1},
		{"an escape", exposed("a", "purpose", `"a\u0041"`) + b, 1},
		{"another alphabet", exposed("a", "purpose", `"für Müller, 東京"`), 1},
		{"a raw string as a value", exposed("a", "purpose", "`x`") + b, 1},
		{"a set", exposed("a", "callers", `{"`+support+`"}`) + b, 1},
		{"a condition", strings.TrimSpace(a) + " if 1 == 1\n" + b, 2},
		{"a condition that fails", strings.TrimSpace(a) + " if 1 == 2\n" + b, 2},
		{"a condition in the next line", a + "if 1 == 2\n" + b, 2},
		{"in a raw string", "x := `\n" + a + b + "`\n" + c, 3},
		{"behind an operator", "x :=\n" + a + b, 2},
		{"behind default", "default\n" + a + b, 2},
		{"behind an open bracket", "x := [\n" + a + "]\n", 1},
		{"else behind", a + "else := {}\n" + b, 2},
		{"another in the same line", strings.TrimSpace(a) + " " + b, 1},
		{"union behind", strings.TrimSpace(a) + " | {}\n" + b, 2},
		{"reference behind", strings.TrimSpace(a) + ".x\n" + b, 2},
		{"not closed", "endpoints[\"a\"] := {\"a\": \"b\"\n" + b, 1},
		{"carriage returns", strings.ReplaceAll(a+b, "\n", "\r\n"), 2},
		{"a comment inside", commented, 1},
		{"a comment inside, not UTF-8", strings.Replace(commented, "x", "\xff", 1), 0},
		{"a comment inside with NUL", strings.Replace(commented, "x", "\x00", 1), 0},
		{"a comment inside with a byte order mark", strings.Replace(commented, "x", "\ufeff", 1), 0},
		{"computed", "endpoints[x] := " + entryOf("x") + " if some x in [\"x\"]\n" + b, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, pkg := range packages {
				text := "package " + pkg + "\n\n" + gatewayOpen + tt.in
				if _, cuts := elide([]byte(text)); len(cuts) != tt.cuts {
					t.Errorf("%s: %d cuts, want %d", pkg, len(cuts), tt.cuts)
				}
				sameAsOPA(t, pkg, text)
			}
		})
	}
}

// packages may all have a list of that name, and only the first one's is ours.
var packages = []string{gatewayName, "withheld", "isogate.gateway.lib", "isogate"}

// A list of the same name that withholds endpoints keeps what it holds.
func TestAnotherPackageKeepsItsList(t *testing.T) {
	for name, list := range map[string]string{
		"whole":   "endpoints := {\n\t\"issue.read\": \"until the audit is over\",\n}\n",
		"entries": "endpoints[\"other\"] := {\"why\": \"x\"}\nendpoints[\"issue.read\"] := {\"why\": \"audit\"}\nendpoints[\"more\"] := {\"why\": \"x\"}\n",
	} {
		dir := shippedGateway(t, func(text string) string {
			return text + "forbidden contains \"withheld\" if data.withheld.endpoints[input.endpoint]\n"
		})
		write(t, dir, "withheld.rego", "package withheld\n\n"+list)
		if d, err := mustLoad(t, dir).Cross(t.Context(), crossCall); err != nil || d != (Decision{Reason: "withheld", Rule: gatewayRule}) {
			t.Errorf("%s: Cross = %+v, %v", name, d, err)
		}
	}
}

// sameAsOPA compares what Load makes of `endpoints` with what OPA evaluates.
func sameAsOPA(t *testing.T, pkg, text string) {
	t.Helper()
	ref := ast.MustParseRef("data." + pkg + ".endpoints")
	p, err := compile(t.Context(), []file{{"a.rego", []byte(valid)}, {"gateway.rego", []byte(text)}}, evalLimit)
	m, parseErr := ast.ParseModuleWithOpts("gateway.rego", text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	c := ast.NewCompiler().WithStrict(true).WithDefaultRegoVersion(ast.RegoV1)
	if parseErr == nil {
		c.Compile(map[string]*ast.Module{"gateway.rego": m})
	}
	if failed := parseErr != nil || c.Failed(); failed || err != nil {
		if failed != (err != nil) {
			t.Errorf("ours %v; OPA %v %v", err, parseErr, c.Errors)
		}
		return
	}
	alone := &program{compiler: c, exposed: exposedFunction(ast.NewObject())}
	q, err := alone.prepare(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	want, err := eval(t.Context(), q, nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := p.prepare(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	got, err := eval(t.Context(), ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), got.String()); diff != "" {
		t.Error(diff)
	}
}

func FuzzReadingAsOPADoes(f *testing.F) {
	for i := range packages {
		f.Add(byte(i), exposed("a")+exposed("b"))
		f.Add(byte(i), "endpoints := {\"a\": "+entryOf("a")+"}\n")
		f.Add(byte(i), "endpoints := { # \xff\n\"a\": \"b\"}\n")
	}
	f.Fuzz(func(t *testing.T, pkg byte, text string) {
		text = "package " + packages[int(pkg)%len(packages)] + "\n\n" + gatewayOpen + text
		skeleton, cuts := elide([]byte(text))
		if strings.Count(string(skeleton), "\n") != strings.Count(text, "\n") {
			t.Errorf("%d lines became %d", strings.Count(text, "\n"), strings.Count(string(skeleton), "\n"))
		}
		var x exposure
		opts := ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities()}
		quick, err := x.parseFile(file{"a.rego", []byte(text)}, opts)
		slow, slowErr := ast.ParseModuleWithOpts("a.rego", text, opts)
		if len(cuts) == 0 || err != nil || slowErr != nil || quick == nil {
			if (err == nil) != (slowErr == nil) && !strings.Contains(err.Error(), "second time") {
				t.Errorf("%v, OPA: %v", err, slowErr)
			}
			return
		}
		if !slow.Package.Path.Equal(gatewayPackage) {
			if !quick.Equal(slow) {
				t.Errorf("%v\nOPA: %v", quick, slow)
			}
			return
		}
		plain := 0
		for _, r := range slow.Rules {
			if isPlain(r) {
				plain++
			}
		}
		if len(slow.Rules)-plain != len(quick.Rules) {
			t.Errorf("%d rules, OPA: %d and %d plain", len(quick.Rules), len(slow.Rules), plain)
		}
	})
}

// What a list of ten thousand costs, in both forms, and with a rule that looks the call's endpoint up.
func BenchmarkLoad(b *testing.B) {
	const looks = "\nforbidden contains \"contractors\" if {\n\tendpoints[input.endpoint].owner == \"team-support\"\n\t\"contractors\" in input.user.groups\n}\n"
	for _, bm := range []struct {
		name, more string
		whole      bool
	}{{"rules", "", false}, {"object", "", true}, {"looked up", looks, false}} {
		b.Run(bm.name, func(b *testing.B) {
			dir := dirOf(b, files{"a.rego": valid, "gateway.rego": shipped(b, "gateway.rego") + bm.more, "gateway_test.rego": shipped(b, "gateway_test.rego")})
			write(b, dir, "list.rego", strings.Replace(list(10000, bm.whole), gatewayOpen, "", 1))
			if bm.whole {
				write(b, dir, "gateway.rego", gatewayHead+gatewayOpen)
				write(b, dir, "gateway_test.rego", "package isogate.gateway_test\n")
			}
			for b.Loop() {
				mustLoad(b, dir)
			}
		})
	}
}
