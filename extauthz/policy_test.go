package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const policyCaller = "spiffe://commercial.example/support"

// policyDir is a directory with one endpoint, of which nobody says who owns it.
func policyDir(t *testing.T, more string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ingress.rego": "package isogate.ingress\nanonymous := {}\ndecision := {\"allow\": true, \"reason\": \"signed-in\"}\n",
		"gateway.rego": `package isogate.gateway
endpoints["issue.read"] := {
	"product": "issues", "method": "GET", "path": "/issue/{key}", "query": ["fields"],
	"body": "none", "callers": ["` + policyCaller + `"], "purpose": "tickets",
}
decision := {"allow": true, "reason": "exposed"} if not "guests" in input.user.groups
decision := {"allow": false, "reason": "guest"} if "guests" in input.user.groups
` + more,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPolicy(t *testing.T) {
	good, bad := policyDir(t, ""), policyDir(t, "test_no if false\n")
	ingress := policyDir(t, "")
	if err := os.Remove(filepath.Join(ingress, "gateway.rego")); err != nil {
		t.Fatal(err)
	}
	explain := func(dir, method, target string, flags ...string) []string {
		return append(append([]string{"explain", "-caller", policyCaller}, flags...), dir, "issues", method, target)
	}
	tests := []struct {
		name string
		args []string
		code int
		out  string // a piece of what is printed
	}{
		{"check", []string{"check", good}, 0, `warning: endpoints["issue.read"] has no owner`},
		{"check, no gateway", []string{"check", ingress}, 0,
			"warning: no file is of package isogate.gateway: a cloud with a gateway refuses this folder; put gateway.rego there\nthe policies hold, 1 warnings\n"},
		{"help", []string{"-h"}, policyUsage, "usage:"},
		{"help of check", []string{"check", "-h"}, policyUsage, "usage:"},
		{"help of explain", []string{"explain", "-h"}, policyUsage, "usage:"},
		{"semicolon", explain(good, "GET", "/issue/A;a"), policyDenied, "endpoint issue.read: {key} takes no ; ? or # in any spelling\ndenied\n"},
		{"check, failing test", []string{"check", bad}, policyFault, "test_no failed"},
		{"check, nothing there", []string{"check", filepath.Join(good, "x")}, policyFault, "no such file"},
		{"allowed", explain(good, "GET", "/issue/A?fields=x", "-groups", "staff", "-amr", "pwd,otp"), 0, "says allowed: exposed\nallowed\n"},
		{"denied by a rule", explain(good, "GET", "/issue/A", "-groups", "staff,guests"), policyDenied, "says denied: guest\ndenied\n"},
		{"method", explain(good, "POST", "/issue/A"), policyDenied, "endpoint issue.read is for GET\ndenied\n"},
		{"query", explain(good, "GET", "/issue/A?fields&admin=1"), policyDenied, `query parameter "admin" is not listed`},
		{"body", explain(good, "GET", "/issue/A", "-body"), policyDenied, "a body is not taken"},
		{"nobody calls", []string{"explain", good, "issues", "GET", "/issue/A"}, policyDenied, `caller "" is not listed`},
		{"explain, failing test", explain(bad, "GET", "/issue/A"), policyFault, "test_no failed"},
		{"no path", explain(good, "GET", "issue"), policyUsage, "is no path"},
		{"path that everybody reads differently", explain(good, "GET", "/issue/%2fA"), policyUsage, "is no path"},
		{"escaped name", explain(good, "GET", "/issue/A?%66ields=x"), policyDenied, `query parameter "%66ields" is not listed`},
		{"two separators", explain(good, "GET", "/issue/A?fields=x;admin=1"), policyUsage, "is no path"},
		{"bad query", explain(good, "GET", "/issue/A?%zz"), policyUsage, "is no path"},
		{"nothing", nil, policyUsage, "usage:"},
		{"another word", []string{"chek", good}, policyUsage, "usage:"},
		{"too much", []string{"check", good, good}, policyUsage, "usage:"},
		{"too little", []string{"explain", good}, policyUsage, "-caller"},
		{"unknown flag", explain(good, "GET", "/issue/A", "-x"), policyUsage, "usage:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := policy(tt.args, &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String()+stderr.String(), tt.out) {
				t.Errorf("%d, want %d and %q\n%s%s", code, tt.code, tt.out, &stdout, &stderr)
			}
			if fault := code == policyFault || code == policyUsage; fault != (stderr.Len() > 0) {
				t.Errorf("on the two outputs: %q, %q", &stdout, &stderr)
			}
		})
	}
}
