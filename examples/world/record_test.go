package world

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Each decision leaves one line: which policies decided, by which of their rules, under an id; and nothing that tells who or what.
func TestDecisionRecord(t *testing.T) {
	b := signedIn(t, "alice")
	const secretPath = "/browse/canary-path?canary=query"
	must(t)(b.Do("GET", shared.URL("issues", secretPath), Fetch, map[string]string{"User-Agent": "canary-agent"}, ""))
	must(t)(shared.Browser().Get(shared.URL("issues", "/health")))
	var session, anonymous map[string]any
	eventually(t, "both lines are in the log", func() bool {
		session, anonymous = lastRecord(t, "session"), lastRecord(t, "anonymous")
		return session != nil && anonymous != nil
	})
	for _, record := range []map[string]any{session, anonymous} {
		policy, _ := record["policy"].(string)
		rule, _ := record["rule"].(string)
		id, _ := record["id"].(string)
		if len(policy) != 64 || rule == "" || id == "" || record["product"] != "issues" || record["route"] != "issues" {
			t.Errorf("record: %v", record)
		}
	}
	raw, err := os.ReadFile(shared.logFile("envoy-ingress"))
	if err != nil {
		t.Fatal(err)
	}
	for _, personal := range []string{"canary", "alice", "Alice", "acme.example", "127.0.0.1:"} {
		for line := range strings.Lines(string(raw)) {
			if strings.HasPrefix(line, "{") && strings.Contains(line, personal) {
				t.Errorf("the access log holds %q: %s", personal, line)
				break
			}
		}
	}
}

// lastRecord is the last line of the ingress's access log with a reason.
func lastRecord(t *testing.T, reason string) (last map[string]any) {
	t.Helper()
	file, err := os.Open(shared.logFile("envoy-ingress"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record map[string]any
		if json.Unmarshal(lines.Bytes(), &record) == nil && record["reason"] == reason {
			last = record
		}
	}
	return last
}
