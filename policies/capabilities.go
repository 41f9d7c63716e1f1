package policies

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// families are the built-in functions with a dot in their name that a policy may call: pure, and of use to a rule about
// a request. A family that OPA adds later is out until it is listed here.
//
// Left out with a reason each:
//   - http.*, net.lookup_ip_addr, providers.*: network. A rule would send a person's request data away and make every
//     request wait (CVE-2022-36085 is what remains of forbidding such calls by name afterwards).
//   - opa.runtime: environment variables, which hold secrets.
//   - time.*: time.now_ns is a clock that differs between daemons; without it the rest has nothing to work on.
//   - rand.*, uuid.*: two answers to one question.
//   - io.jwt.*, crypto.*: verification belongs to the keys package; some of these also read the clock.
//   - rego.*, graphql.*, json.match_schema, json.verify_schema: parse languages at request time or fetch schemas.
var families = []string{
	"array.", "base64.", "base64url.", "bits.", "glob.", "graph.", "hex.", "internal.", "json.", "net.cidr_", "numbers.",
	"object.", "regex.", "semver.", "strings.", "units.", "uri.", "urlquery.", "yaml.",
}

// silenced are functions that only produce output; what they would write is a person's request. Calls of print itself are
// taken out by the compiler, so a line that helped with `opa test` may stay.
var silenced = []string{"internal.print", "trace"}

// capabilities is what a policy may use: the operators and plain functions of the language, and the families above.
// Whatever OPA itself marks as not deterministic is out everywhere.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(ast.RegoV1))
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool { return !allowed(b) })
	c.Builtins = append(c.Builtins, exposedDecl())
	c.AllowNet = []string{} // empty, not nil: no host may be asked for a schema
	return c
}

func allowed(b *ast.Builtin) bool {
	if b.Nondeterministic || slices.Contains(silenced, b.Name) {
		return false
	}
	return !strings.Contains(b.Name, ".") || slices.ContainsFunc(families, func(f string) bool {
		return strings.HasPrefix(b.Name, f)
	})
}
