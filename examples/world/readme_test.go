package world

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"isogate/policies"
)

// block gives the README's code blocks of a language, in order.
func block(t *testing.T, language string) (blocks []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(shared.Root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// What the README shows is what the daemons take.
func TestFilesOfTheREADME(t *testing.T) {
	files := block(t, "yaml")
	if len(files) != 2 {
		t.Fatalf("the README shows %d files, not the isolated and the commercial one", len(files))
	}
	for i, daemons := range [][]string{{"extauthz", "xds", "oidcprovider"}, {"xds"}} {
		file := filepath.Join(t.TempDir(), "file.yaml")
		if err := os.WriteFile(file, []byte(files[i]), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, daemon := range daemons {
			if out, err := exec.Command(filepath.Join(shared.binaries(), daemon), "-config", file, "-check").CombinedOutput(); err != nil {
				t.Errorf("%s refuses the README's file %d: %v\n%s", daemon, i+1, err, out)
			}
		}
	}
}

// The entries that the README shows can be put into the shipped files as they are.
func TestEntriesOfTheREADME(t *testing.T) {
	entries := block(t, "rego")
	if len(entries) != 2 {
		t.Fatalf("the README shows %d entries, not one without sign-in and one that crosses", len(entries))
	}
	dir := t.TempDir()
	for name, added := range map[string]string{"ingress.rego": entries[0], "ingress_test.rego": "", "gateway.rego": entries[1], "gateway_test.rego": ""} {
		raw := must2(t)(os.ReadFile(filepath.Join(shared.Root, "policies", name)))
		raw = append(append(raw, '\n'), added...)
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle, err := policies.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	lastDay := time.Date(2027, 6, 30, 12, 0, 0, 0, time.UTC)
	if id, ok := bundle.Anonymous("wiki", "GET", "/health", lastDay); !ok || id != "wiki.health" {
		t.Errorf("%q, %v", id, ok)
	}
	if e, ok := bundle.Match("issues", "GET", "/rest/api/issue/OPS-1/comments", lastDay); !ok || e.ID != "issue.comments" {
		t.Errorf("%v, %v", e, ok)
	}
}

// The endpoint that the README exposes is one of the demo's product: refused before, answered after.
func TestEndpointOfTheREADME(t *testing.T) {
	b := member(t, "bob")
	call := calls(t, b, "support").To("issues", "GET", "/rest/api/issue/OPS-1/comments?page=1")
	if a := must(t)(shared.CallSidecar("support", call)); a.Status != 403 || a.Reason() != "not-exposed" {
		t.Errorf("before: %d %q", a.Status, a.Reason())
	}
	exposes(t, strings.Replace(block(t, "rego")[1], `"expires": "2027-06-30",`, "", 1)) // whatever day it is
	eventually(t, "the product answers with comments", func() bool {
		a := must(t)(shared.CallSidecar("support", call))
		return a.Status == 200 && strings.Contains(a.Body, `"comments":[{`)
	})
}
