package world

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

func TestAnonymousEntryOfTheREADME(t *testing.T) {
	entries := block(t, "rego")
	if len(entries) != 1 {
		t.Fatalf("the README shows %d entries", len(entries))
	}
	dir := t.TempDir()
	for _, name := range []string{"ingress.rego", "ingress_test.rego"} {
		raw, err := os.ReadFile(filepath.Join(shared.Root, "policies", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "ingress.rego" {
			raw = append(append(raw, '\n'), entries[0]...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle, err := policies.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := bundle.Anonymous("wiki", "GET", "/health", time.Date(2027, 6, 30, 12, 0, 0, 0, time.UTC)); !ok || id != "wiki.health" {
		t.Errorf("%q, %v", id, ok)
	}
}
