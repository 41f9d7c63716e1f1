// Package policies turns a directory of Rego files into one immutable Bundle: which endpoints need no sign-in, whether a
// signed-in person's request may pass, which endpoints commercial services may reach through the gateway, and whether a
// call there may pass. It owns the meaning of `package isogate.ingress` and `package isogate.gateway`, and everything that
// must hold before a directory counts: it compiles strictly, its own tests pass, and its lists are well-formed and the same
// for every request.
//
// It does not know who is signed in or calls, which products are deployed or what an answer looks like on the wire, and it
// keeps no state: Load gives a Bundle or an error, Watch calls back with one or the other, and the caller keeps the last
// good one. It is the only importer of Open Policy Agent.
//
// # The directory
//
// The files *.rego that stand directly in the directory are read, in the order of their names, at most 1000 files and
// 8 MB in all. Sub-directories, names that begin with a dot and files of other kinds are not looked at, so a mounted
// Kubernetes ConfigMap, with its hidden ..data directory, works as it is. Files named *_test.rego are run as tests and
// never enforced. Without a package isogate.gateway nothing is exposed.
//
// # Long lists
//
// Ten thousand endpoints load in well under a second, as one object or each as a rule, if they are written out at the beginning
// of a line, `endpoints["id"] := {` or `endpoints := {`, with plain strings. Entries that are computed, or written in
// another way, mean the same and take OPA's time.
//
// What a request is compared with stays short: at most 256 endpoints of a product may have the same path up to the first
// variable, and those of one product, method and number of segments have their variables at no more than 64 different places.
//
// # What a rule can use
//
// A policy is a pure function of its text and its input: no network, environment, clock, randomness or output. The
// list is in capabilities.go. Its input is a closed type, Input at the ingress and CrossInput at the gateway, so a
// misspelt field does not compile.
//
// # What comes out
//
// A decision is a truth value and a word, and the word goes into logs and metrics. It must stand in the rules as a string:
// one that is put together or taken from the input is refused by Load where it shows, and is an error otherwise. An error of
// an evaluation says its kind and place, and nothing of the input.
package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// evalLimit bounds all that one Load evaluates: the tests, the lists and the samples.
const evalLimit = 5 * time.Second

// Bundle is one directory of policies, compiled, tested and validated. It never changes and is safe for concurrent
// use. Only Load and Watch make one; the methods of a nil *Bundle deny.
type Bundle struct {
	digest    string
	anonymous []Anonymous // sorted by ID
	open      map[endpoint]*Anonymous
	endpoints []Endpoint // sorted by ID
	byID      map[string]*Endpoint
	routes    routes

	ingress, gateway decider
	crosses          bool          // there is a package isogate.gateway
	limit            time.Duration // of one evaluation
}

// Digest names the bundle in logs, metrics and decision records: the SHA-256, in hex, over the sorted names and the
// contents of its files, each preceded by its length. The test files count too.
func (b *Bundle) Digest() string {
	if b == nil {
		return ""
	}
	return b.digest
}

// Load reads, compiles, tests and validates the policies in dir. The error joins all the faults that could be found at
// once, each with file and line where they are known, and says what to change.
func Load(ctx context.Context, dir string) (*Bundle, error) {
	return load(ctx, dir, evalLimit)
}

func load(ctx context.Context, dir string, limit time.Duration) (*Bundle, error) {
	src, err := read(dir)
	if err != nil {
		return nil, err
	}
	return src.build(ctx, limit)
}

// build makes the bundle of files that were read. A panic inside OPA's compiler becomes an error: the policy text must
// not be able to stop a daemon that has a good bundle to go on with.
func (s source) build(ctx context.Context, limit time.Duration) (b *Bundle, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("policies: loading %s: the compiler failed: %v", s.dir, p)
		}
	}()
	p, err := compile(ctx, s.files, limit)
	if err != nil {
		return nil, fmt.Errorf("policies: compiling %s:\n%w", s.dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	b = &Bundle{digest: s.digest, limit: decideLimit}
	err = errors.Join(b.loadAnonymous(ctx, p), b.loadIngress(ctx, p), b.loadGateway(ctx, p), p.runTests(ctx, limit))
	if err != nil {
		return nil, fmt.Errorf("policies: checking %s:\n%w", s.dir, err)
	}
	return b, nil
}

func (b *Bundle) loadIngress(ctx context.Context, p *program) (err error) {
	b.ingress, err = p.decider(ctx, ingressName, samples)
	return err
}

// fault is one thing to correct, at a place in a file. The format is that of fmt.Errorf.
func fault(at *ast.Location, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if at == nil || at.File == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place(at), err)
}

// faultAmong is a fault that is at one of several places.
func faultAmong(list []*ast.Location, format string, args ...any) error {
	var places []string
	for _, at := range list {
		places = append(places, place(at))
	}
	slices.Sort(places)
	if places = slices.Compact(places); len(places) != 1 {
		format, args = format+" (one of %s)", append(args, strings.Join(places, ", "))
	}
	return fault(list[0], format, args...)
}

func place(at *ast.Location) string { return fmt.Sprintf("%s:%d", at.File, at.Row) }
