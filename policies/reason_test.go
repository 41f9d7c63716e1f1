package policies

import (
	"fmt"
	"strings"
	"testing"
)

// words is a decision by what is forbidden, of either package.
const words = `
decision := {"allow": true, "reason": "passed"} if count(forbidden) == 0
decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0
forbidden contains "never" if false
`

// alice is whom neither a log line nor a metric may name.
var alice = User{Groups: []string{"(of-alice"}, ACR: "alice"}

// refuses gives the error of both enforcement points, for a request of alice below a path that names her.
func refuses(t *testing.T, rule string) map[string]error {
	t.Helper()
	b := mustLoad(t, dirOf(t, files{"a.rego": head + nothing + words + rule + "\n", "g.rego": gatewayHead + exposed("x") + words + rule + "\n"}))
	in, call := Input{Path: "/x/alice", User: alice}, CrossInput{Endpoint: "x", Path: "/x/alice", User: alice}
	d, atIngress := b.Decide(t.Context(), in)
	c, atGateway := b.Cross(t.Context(), call)
	if d != (Decision{}) || c != (Decision{}) {
		t.Errorf("%s: decided %+v, %+v", rule, d, c)
	}
	return map[string]error{"a.rego": atIngress, "g.rego": atGateway}
}

// What a request brings gets into no reason and no error: both are logged.
func TestNothingOfTheInputGetsOut(t *testing.T) {
	tests := []struct{ name, rule, want string }{
		{"a segment as reason", `forbidden contains split(input.path, "/")[2]`, "reason that the rules do not hold"},
		{"a changed segment as reason", `forbidden contains concat("-", ["for", split(input.path, "/")[2]])`, "reason that the rules do not hold"},
		{"a group as reason", `forbidden contains trim_left(input.user.groups[0], "(") if input.path == "/x/alice"`, "reason that the rules do not hold"},
		{"no number", `forbidden contains "x" if to_number(split(input.path, "/")[2]) > 5`, "eval_builtin_error"},
		{"no network", `forbidden contains "x" if { startswith(input.path, "/x"); net.cidr_contains("10.0.0.0/8", input.user.acr) }`, "eval_builtin_error"},
		{"no expression", `forbidden contains "x" if { startswith(input.path, "/x"); regex.match(input.user.groups[0], input.path) }`, "eval_builtin_error"},
		{"no base64", `forbidden contains "x" if base64.decode(concat("", [split(input.path, "/")[2], "?"])) == "x"`, "eval_builtin_error"},
		{"two values", "who := input.user.acr if startswith(input.path, \"/x\")\nwho := input.user.groups[0] if startswith(input.path, \"/x\")\n" +
			`forbidden contains "x" if who == "x"`, "eval_conflict_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for file, err := range refuses(t, tt.rule) {
				wantPieces(t, err, tt.want)
				if strings.Contains(err.Error(), "alice") {
					t.Errorf("the error names her: %v", err)
				}
				if strings.HasPrefix(tt.want, "eval_") && !strings.Contains(err.Error(), file+":") {
					t.Errorf("the error has no place: %v", err)
				}
			}
		})
	}
}

// Where a sample brings it out, Load refuses a computed reason, also one that comes out the same each time.
func TestLoadRefusesAComputedReason(t *testing.T) {
	for name, rule := range map[string]string{
		"a group":    `forbidden contains input.user.groups[0]`,
		"a method":   `forbidden contains concat("", ["a", lower(input.method)])`,
		"a sum":      `forbidden contains concat("-", ["a", "b"])`,
		"of nothing": "forbidden contains concat(\"-\", [\"a\", \"b\"]) if input.product == \"payroll\"",
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, dirOf(t, files{"a.rego": head + nothing + words + rule}), "a.rego:5", "reason that the rules do not hold")
			refused(t, dirOf(t, files{"a.rego": valid, "g.rego": gatewayHead + words + rule}), "g.rego:4", "reason that the rules do not hold")
		})
	}
}

// However a rule comes to a word, it is one of the rules as long as it stands in them.
func TestReasonsThatStandInTheRules(t *testing.T) {
	for name, rule := range map[string]string{
		"a rule":         `forbidden contains "word"`,
		"a default":      "default w := \"word\"\nforbidden contains w",
		"an else":        "w := \"other\" if input.path == \"/none\"\nelse := \"word\"\nforbidden contains w",
		"a function":     "f(x) := \"word\" if x != \"\"\nforbidden contains f(\"x\")",
		"a table":        "table := {\"/\": {\"w\": \"word\"}}\nforbidden contains table[\"/\"].w",
		"another module": `forbidden contains data.lib.w`,
		"a list":         `forbidden contains w if some w in ["word"]`,
		"the input's":    `forbidden contains input.product if input.product in {"word"}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := mustLoad(t, dirOf(t, files{"a.rego": head + nothing + words + rule, "lib.rego": "package lib\nw := \"word\""}))
			if d, err := b.Decide(t.Context(), Input{Product: "word", Path: "/"}); err != nil || d != denied("word") {
				t.Errorf("Decide = %+v, %v", d, err)
			}
		})
	}
}

// An error that is none of OPA's kinds is not passed on either.
func TestAnUnknownErrorIsNotQuoted(t *testing.T) {
	if err := unquoted(fmt.Errorf("of alice")); err != errEvaluation {
		t.Error(err)
	}
}
