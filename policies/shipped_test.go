package policies

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

func TestShippedFilesAreFormatted(t *testing.T) {
	for _, name := range []string{"ingress.rego", "ingress_test.rego"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(want) {
			t.Errorf("%s is not formatted; want\n%s", name, want)
		}
	}
}

func TestShippedBundle(t *testing.T) {
	b, err := Load(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := b.Anonymous("issues", "GET", "/health", time.Now()); !ok || id != "issues.health" {
		t.Errorf("Anonymous(GET /health) = %q, %v", id, ok)
	}
	if n := len(b.AnonymousEndpoints()); n != 1 {
		t.Errorf("%d anonymous endpoints; the shipped rules open one", n)
	}
	if b.ingress.query != nil {
		t.Error("the shipped decision looks at its input; it should be a constant")
	}
	want := Decision{Allow: true, Reason: "signed-in", Rule: "isogate.ingress.decision"}
	if got, err := b.Decide(context.Background(), Input{}); err != nil || got != want {
		t.Errorf("Decide = %+v, %v; want %+v", got, err, want)
	}
}

// The list can be emptied by removing its entry: withdrawing an endpoint is one edit.
func TestShippedListCanBeEmptied(t *testing.T) {
	text := shipped(t, "ingress.rego")
	begin := strings.Index(text, `anonymous["issues.health"]`)
	end := begin + strings.Index(text[begin:], "}\n") + 2
	b := mustLoad(t, dirOf(t, files{"ingress.rego": text[:begin] + text[end:], "ingress_test.rego": shipped(t, "ingress_test.rego")}))
	if n := len(b.AnonymousEndpoints()); n != 0 {
		t.Errorf("%d anonymous endpoints after the entry was removed", n)
	}
}

// The rules that the comment shows work when their comment signs are taken away, and that is all there is to do.
func TestShippedExamplesNarrow(t *testing.T) {
	text := strings.ReplaceAll(shipped(t, "ingress.rego"), "\n#\t", "\n")
	b := mustLoad(t, dirOf(t, files{"ingress.rego": text, "ingress_test.rego": shipped(t, "ingress_test.rego")}))
	tests := []struct {
		name string
		in   Input
		want Decision
	}{
		{"another product", Input{Product: "issues", Address: "192.0.2.1"}, pass},
		{"payroll without hr", Input{Product: "payroll", Address: "192.0.2.1"}, denied("payroll-needs-hr")},
		{"payroll with hr", Input{Product: "payroll", Address: "192.0.2.1", User: User{Groups: []string{"staff", "hr"}}}, pass},
		{"admin from outside", Input{Product: "wiki", Path: "/admin/x", Address: "192.0.2.1"}, denied("admin-from-office-only")},
		{"admin from the office", Input{Product: "wiki", Path: "/admin/x", Address: "10.1.2.3"}, pass},
		{"both", Input{Product: "payroll", Path: "/admin", Address: "192.0.2.1"}, denied("admin-from-office-only")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := b.Decide(t.Context(), tt.in); err != nil || got != tt.want {
				t.Errorf("Decide = %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	if d, err := b.Decide(t.Context(), Input{Path: "/admin"}); err == nil {
		t.Errorf("Decide without an address where a rule needs one = %+v; want an error", d)
	}
}

func shipped(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
