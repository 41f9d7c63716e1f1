package world

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// openIDClient installs the certified client of examples/openid-client into the project's cache, so that nothing of it stands in the tree, and
// gives its folder. What is there of the same lock file already is used again.
func openIDClient(t *testing.T) string {
	t.Helper()
	from, to := filepath.Join(shared.Root, "examples", "openid-client"), filepath.Join(shared.Root, ".cache", "openid-client")
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	lock := must2(t)(os.ReadFile(filepath.Join(from, "package-lock.json")))
	done, _ := os.ReadFile(filepath.Join(to, "installed")) // not there before the first time
	for _, name := range []string{"package.json", "package-lock.json", "flow.mjs"} {
		if err := replaceFile(filepath.Join(to, name), must2(t)(os.ReadFile(filepath.Join(from, name)))); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Equal(done, lock) {
		return to
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = to
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := replaceFile(filepath.Join(to, "installed"), lock); err != nil {
		t.Fatal(err)
	}
	return to
}

// node is the Node.js that NODE names, or the one that .ci/node found or brought.
func node() string {
	own := filepath.Join(shared.Root, ".cache", "node", "node_modules", ".bin", "node")
	if _, err := os.Stat(own); err != nil {
		own = "node"
	}
	return cmp.Or(os.Getenv("NODE"), own)
}

// A client that others wrote and that is certified for FAPI 2.0 signs somebody in.
func TestOpenIDClient(t *testing.T) {
	flow := exec.CommandContext(t.Context(), node(), filepath.Join(openIDClient(t), "flow.mjs"), shared.Manifest(), Client)
	flow.Dir = shared.Root
	var faults bytes.Buffer
	flow.Stderr = &faults
	in, err := flow.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := flow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := flow.Start(); err != nil {
		t.Fatalf("no Node.js: install it, as make test does, or name it in NODE (%v)", err)
	}
	lines := bufio.NewScanner(out)
	read := func(into any) {
		t.Helper()
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), into) != nil {
			_ = in.Close()
			t.Fatalf("the client says %q; %v %s", lines.Text(), flow.Wait(), faults.String())
		}
	}
	var begun struct {
		URL string `json:"authorization_url"`
	}
	read(&begun)
	callback := platform(t).through(watched(t), "alice", Visit{URL: begun.URL})
	fmt.Fprintln(in, callback)
	var seen struct {
		TokenType string         `json:"token_type"`
		Claims    map[string]any `json:"claims"`
		Session   SessionState   `json:"session"`
		Revoked   int            `json:"revoked"` // status of the session resource afterwards
	}
	read(&seen)
	if err := flow.Wait(); err != nil {
		t.Errorf("%v\n%s", err, faults.String())
	}
	want := strings.Fields("aud auth_time exp iat isolated_cloud_id iss nonce session_expiry sid sub")
	if diff := gocmp.Diff(want, names(seen.Claims)); diff != "" {
		t.Errorf("claims: %s", diff)
	}
	if !strings.EqualFold(seen.TokenType, "DPoP") || !seen.Session.Active || seen.Session.Subject != seen.Claims["sub"] || seen.Revoked != 401 {
		t.Errorf("the client says %+v", seen)
	}
}
