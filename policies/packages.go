package policies

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// enforced are the names of rules that mean something in the two packages that are known.
var enforced = []string{"decision", "forbidden", "endpoints", "closed", "anonymous"}

// strayPackages refuses what would be ignored for a misspelt package, or fail for a package that is gone.
func strayPackages(modules, tests map[string]*ast.Module) error {
	var faults []error
	for name, m := range modules {
		if tests[name] == nil && isStray(m) && !isUsed(m.Package.Path, modules, tests) {
			faults = append(faults, fault(m.Package.Location, "package %s is not known; the rules for the gateway are package %s, those for the ingress %s",
				packageName(m), gatewayName, ingressName))
		}
	}
	if len(faults) == 0 {
		faults = lostPackages(modules, tests)
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

func packageName(m *ast.Module) string { return strings.TrimPrefix(m.Package.Path.String(), "data.") }

// isStray tells whether a file looks like rules for the ingress or the gateway, and is of neither package, but of one beside them.
func isStray(m *ast.Module) bool {
	name := packageName(m)
	if len(m.Package.Path) != 3 || !strings.HasPrefix(name, "isogate.") || strings.HasSuffix(name, "_test") || name == ingressName || name == gatewayName {
		return false
	}
	return slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return slices.Contains(enforced, r.Head.Ref()[0].String()) })
}

// isUsed tells whether a rule of another package looks at this one, as a person's own helpers are looked at.
func isUsed(pkg ast.Ref, modules, tests map[string]*ast.Module) (used bool) {
	for name, m := range modules {
		if tests[name] != nil || m.Package.Path.Equal(pkg) {
			continue
		}
		ast.WalkRefs(m, func(r ast.Ref) bool {
			used = used || r.HasPrefix(pkg)
			return used
		})
	}
	return used
}

// lostPackages are those that have tests, and no file: each test would fail.
func lostPackages(modules, tests map[string]*ast.Module) (faults []error) {
	for file, m := range tests {
		name, ok := strings.CutSuffix(packageName(m), "_test")
		if !ok || len(m.Rules) == 0 || name != ingressName && name != gatewayName {
			continue
		}
		there := false
		for other, of := range modules {
			there = there || tests[other] == nil && packageName(of) == name
		}
		rules := strings.TrimPrefix(name, "isogate.") + ".rego"
		what := "put " + rules + " there"
		if name == gatewayName { // the ingress's is needed
			what += " or remove " + file
		}
		if !there {
			faults = append(faults, fmt.Errorf("no file is of package %s, and there are tests of it; %s", name, what))
		}
	}
	return faults
}
