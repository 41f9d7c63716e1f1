// Arrows holds the imports of the project against its layout: which folder may import which, and the one importer that each heavy
// dependency has. It is run by make arrows.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const module = "isogate/"

// arrows say what a folder may import of ours, itself included only where it is named. The longest matching folder counts.
var arrows = map[string][]string{
	"policies": {},
	"envoy":    {"envoy"},
	"xds":      {"xds", "policies", "envoy"},
	"extauthz": {"extauthz", "policies", "envoy"},
	"examples": {"policies", "envoy", "xds", "extauthz", "oidcprovider", "examples"},
	"oidcprovider": {"oidcprovider", "envoy", "extauthz/usercontext", "extauthz/keys", "extauthz/kv", "extauthz/dpop", "extauthz/page",
		"extauthz/grant"},

	"envoy/daemon":         {},
	"envoy/topology":       {"envoy/daemon"},
	"envoy/bootstrap":      {"envoy/topology"},
	"xds/snapshot":         {"envoy", "policies"},
	"xds/push":             {"xds/snapshot", "envoy"},
	"xds/doctor":           {},
	"extauthz/kv":          {},
	"extauthz/keys":        {},
	"extauthz/dpop":        {},
	"extauthz/grant":       {},
	"extauthz/page":        {},
	"extauthz/usercontext": {"extauthz/keys"},
	"extauthz/session":     {"extauthz/kv", "extauthz/keys"},
	"extauthz/check":       {"extauthz/page"},
	"extauthz/signin":      {"extauthz/session", "extauthz/kv", "extauthz/keys", "extauthz/dpop", "extauthz/page", "envoy"},
	"extauthz/profile": {"extauthz/check", "extauthz/session", "extauthz/kv", "extauthz/signin", "extauthz/usercontext", "extauthz/page", "extauthz/keys",
		"extauthz/dpop", "policies", "envoy"},
	"oidcprovider/code":     {"extauthz/kv", "extauthz/dpop"},
	"oidcprovider/provider": {"oidcprovider/code", "extauthz/usercontext", "extauthz/keys", "extauthz/dpop", "extauthz/page", "extauthz/grant"},
}

// heavy dependencies and their importers, tests aside.
var heavy = map[string][]string{
	"github.com/open-policy-agent/opa":                          {"policies"},
	"github.com/lestrrat-go/jwx":                                {"extauthz/keys"},
	"go.etcd.io/bbolt":                                          {"extauthz/kv"},
	"github.com/redis":                                          {"extauthz/kv"},
	"github.com/coreos/go-oidc":                                 {"extauthz/signin", "examples/world"},
	"github.com/crewjam/saml":                                   {"extauthz/signin"},
	"github.com/envoyproxy/go-control-plane/pkg/cache":          {"xds/push"},
	"github.com/envoyproxy/go-control-plane/pkg/server":         {"xds/push"},
	"github.com/envoyproxy/go-control-plane/envoy/service/auth": {"examples/bench"},
	"github.com/zitadel/oidc":                                   {"examples/idp"},
}

// top is all that may stand at the top of the tree, beside dot-files; drawers are names that say nothing.
var (
	top     = []string{"extauthz", "xds", "oidcprovider", "policies", "envoy", "examples", "go.mod", "go.sum", "Makefile", "README.md"}
	drawers = []string{"internal", "pkg", "cmd", "util", "utils", "common", "helpers"}
)

type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func main() {
	packages, err := list()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	faults := layout(packages)
	for _, p := range packages {
		faults = append(faults, p.faults()...)
	}
	if len(faults) == 0 {
		fmt.Printf("arrows: %d packages import only what they may\n", len(packages))
	}
	for _, f := range faults {
		fmt.Println(f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

func list() (all []pkg, err error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

func layout(packages []pkg) (faults []string) {
	entries, err := os.ReadDir(".")
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(top, e.Name()) {
			faults = append(faults, "stands at the top but not in the layout: "+e.Name())
		}
	}
	for _, p := range packages {
		for _, part := range strings.Split(p.ImportPath, "/") {
			if slices.Contains(drawers, part) {
				faults = append(faults, "a drawer instead of a room: "+p.ImportPath)
			}
		}
	}
	return faults
}

func (p pkg) faults() (faults []string) {
	from := strings.TrimPrefix(p.ImportPath, module)
	for _, to := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
		if ours, ok := strings.CutPrefix(to, module); ok && ours != from && !allowed(from, ours, slices.Contains(p.Imports, to)) {
			faults = append(faults, fmt.Sprintf("no arrow from %s to %s", from, ours))
		}
	}
	for _, to := range p.Imports {
		for dependency, importers := range heavy {
			if within(to, dependency) && !slices.Contains(importers, from) {
				faults = append(faults, fmt.Sprintf("%s imports %s, which is for %s alone", from, dependency, strings.Join(importers, " and ")))
			}
		}
	}
	return faults
}

// allowed asks the longest folder that the table knows; a test asks the first one, since it may set up more than it tests.
func allowed(from, to string, production bool) bool {
	folder := from
	if !production {
		folder, _, _ = strings.Cut(from, "/")
	}
	for {
		if targets, ok := arrows[folder]; ok {
			return slices.ContainsFunc(targets, func(t string) bool { return within(to, t) })
		}
		cut := strings.LastIndexByte(folder, '/')
		if cut < 0 {
			return false
		}
		folder = folder[:cut]
	}
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
