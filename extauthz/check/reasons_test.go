package check

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"isogate/extauthz/page"
)

// general are the reasons that people are told no more about than their status says, each with the cause of that.
var general = map[Reason]string{
	SignIn: "a redirect has no text",
	Skew:   "to a person it is a service that cannot answer; the word is for the one who runs it",
}

// The words of the metrics and the texts for people agree: each denial has a text of its own or is left out here by name.
func TestEveryDenialHasAText(t *testing.T) {
	texts := page.Reasons()
	for _, reason := range declared(t) {
		_, isGeneral := general[reason]
		if has := slices.Contains(texts, string(reason)); has == (isGeneral || passes[reason]) {
			t.Errorf("%q: a text: %v, general: %v, a pass: %v", reason, has, isGeneral, passes[reason])
		}
	}
}

func TestEveryPassIsDeclared(t *testing.T) {
	for reason := range passes {
		if !slices.Contains(declared(t), reason) {
			t.Errorf("%q passes and is no constant", reason)
		}
	}
	if len(passes) != 5 {
		t.Errorf("%d reasons pass: is the new one meant to?", len(passes))
	}
}

// declared gives every constant of type Reason in the source, so that a new one cannot be forgotten here.
func declared(t *testing.T) []Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Reason" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, Reason(word))
		}
		return true
	})
	if len(found) < 14 {
		t.Fatalf("only %d reasons were found", len(found))
	}
	return found
}
