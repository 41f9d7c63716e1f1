package policies

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// files is a directory: name to content.
type files map[string]string

func dirOf(t testing.TB, fs files) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range fs {
		write(t, dir, name, text)
	}
	return dir
}

// write replaces a file as an operator should: whole, by renaming.
func write(t testing.TB, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(dir, ".new")
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// mustLoad gives a bundle that waits for a slow machine; TestDecideErrors keeps the real limit.
func mustLoad(t testing.TB, dir string) *Bundle {
	t.Helper()
	b, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	b.limit = time.Minute
	return b
}

// Pieces of policies.
const (
	head    = "package isogate.ingress\n\n"
	nothing = "anonymous := {}\n"
	open    = `decision := {"allow": true, "reason": "signed-in"}` + "\n"
	valid   = head + nothing + open
)

const ingressRule = "isogate.ingress.decision"

var pass = Decision{Allow: true, Reason: "signed-in", Rule: ingressRule}

func denied(reason string) Decision { return Decision{Reason: reason, Rule: ingressRule} }
