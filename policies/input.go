package policies

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
)

var (
	ingressPackage = ast.MustParseRef("data." + ingressName)
	gatewayPackage = ast.MustParseRef("data." + gatewayName)
)

// schemas are the types of `input` as JSON schemas: exactly the fields of Input in package isogate.ingress, of CrossInput in
// package isogate.gateway, and what both have anywhere else, since a rule there may be asked by either. OPA's type checker
// then refuses a misspelt field, which would otherwise be undefined and make a rule that forbids something never apply.
func schemas() *ast.SchemaSet {
	text := map[string]any{"type": "string"}
	list := map[string]any{"type": "array", "items": text}
	user := closedObject(map[string]any{"provider": text, "groups": list, "acr": text, "amr": list})
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, closedObject(map[string]any{"product": text, "method": text, "path": text, "user": user}))
	set.Put(ast.MustParseRef("schema.ingress"), closedObject(map[string]any{
		"product": text, "method": text, "path": text, "address": text, "user": user,
	}))
	set.Put(ast.MustParseRef("schema.gateway"), closedObject(map[string]any{
		"endpoint": text, "product": text, "method": text, "path": text, "query": list,
		"caller": text, "client": text, "cloud": text, "user": user,
	}))
	return set
}

func closedObject(properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// stubFile names the module through which the rules see the endpoints. No file has a name that begins with a dot.
const stubFile = ".endpoints"

// builtIn are modules of our own beside those of the directory: for each package and its tests, which schema its input has,
// and the stub.
func builtIn() map[string]*ast.Module {
	modules := map[string]*ast.Module{
		stubFile: ast.MustParseModule("package isogate.gateway\nendpoints := isogate.endpoints()"),
	}
	for _, name := range []string{"ingress", "gateway"} {
		for _, suffix := range []string{"", "_test"} {
			text := "# METADATA\n# scope: subpackages\n# schemas:\n# - input: schema." + name + "\npackage isogate." + name + suffix
			modules[".schema."+name+suffix] = ast.MustParseModuleWithOpts(text, ast.ParserOptions{ProcessAnnotation: true})
		}
	}
	return modules
}

// exposedDecl is a function without arguments whose result is all endpoints. It is typed, so that a misspelt key of an
// endpoint does not compile.
func exposedDecl() *ast.Builtin {
	text := types.Type(types.S)
	list := types.Type(types.NewArray(nil, types.S))
	var properties []*types.StaticProperty
	for _, key := range endpointKeys {
		t := text
		if key == "query" || key == "callers" {
			t = list
		}
		properties = append(properties, types.NewStaticProperty(key, t))
	}
	entry := types.NewObject(properties, nil)
	return &ast.Builtin{Name: "isogate.endpoints", Decl: types.NewFunction(nil, types.NewObject(nil, types.NewDynamicProperty(types.S, entry)))}
}

// exposedFunction is the function itself, for one list.
func exposedFunction(table ast.Object) func(*rego.Rego) {
	decl := exposedDecl()
	result := ast.NewTerm(table)
	return rego.FunctionDyn(&rego.Function{Name: decl.Name, Decl: decl.Decl}, func(rego.BuiltinContext, []*ast.Term) (*ast.Term, error) {
		return result, nil
	})
}
