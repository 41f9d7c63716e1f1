package policies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
)

// runTests runs every test_ rule with OPA's own runner. One test at a time: the daemon is serving requests meanwhile.
func (p *program) runTests(ctx context.Context, limit time.Duration) error {
	results, err := tester.NewRunner().
		SetCompiler(newCompiler()).
		SetModules(p.modules).
		AddCustomBuiltins([]*tester.Builtin{{Decl: exposedDecl(), Func: p.exposed}}).
		CapturePrintOutput(false).
		RaiseBuiltinErrors(true). // as Decide does
		SetParallel(1).
		SetTimeout(limit).
		RunTests(ctx, nil)
	if list := (ast.Errors)(nil); errors.As(err, &list) {
		return compileFaults(list)
	}
	if err != nil {
		return fmt.Errorf("running the tests: %w", err)
	}
	var faults []error
	for r := range results { // to the end: the runner waits for its reader
		if !r.Pass() && !r.Skip {
			faults = append(faults, testFault(r))
		}
	}
	if ctx.Err() != nil { // tests that had not begun have no result
		faults = append(faults, fmt.Errorf("the tests did not end within %v in all; make them quicker: %w", limit, ctx.Err()))
	}
	return errors.Join(faults...)
}

func testFault(r *tester.Result) error {
	name := r.Package + "." + r.Name
	if r.Error != nil {
		return fault(r.Location, "test %s: %v", name, r.Error)
	}
	var cases []string
	for path, sub := range r.SubResults.Iter {
		if sub.Fail {
			cases = append(cases, strings.Join(path, "/"))
		}
	}
	if len(cases) > 0 {
		name += " (" + strings.Join(cases, ", ") + ")"
	}
	return fault(r.Location, "test %s failed; correct the rule or the test", name)
}
