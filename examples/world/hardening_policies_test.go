package world

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// twoRules refuse one path, and cannot decide about another: two values at once are an error that only that path meets.
const twoRules = `forbidden contains "refused-here" if input.path == "/refused"

undecided := 1 if input.path == "/undecided"
undecided := 2 if input.path == "/undecided"

forbidden contains "nothing" if undecided == 3
`

// checks is how often the check gave a reason.
func checks(t *testing.T, reason string) int {
	t.Helper()
	value := metric(t, shared.ports.extauth, `isogate_checks_seconds_count{profile="ingress",reason="`+reason+`"}`)
	n, err := strconv.Atoi(value)
	if err != nil && value != "" {
		t.Fatal(err)
	}
	return n
}

// envoy#14001: a refusal is 403 and what cannot be decided 503; they are two words in the metrics, in the problem and in the access log. The
// record of a refusal holds the digest of the policies, the word of their rule and an id (opa#3141), and nothing personal.
func TestRefusedAndUndecidedAreTwoWords(t *testing.T) {
	b := signedIn(t, "alice")
	edit(t, filepath.Join(shared.Policies(), "ingress.rego"), "forbidden contains \"nothing\" if false\n", twoRules)
	refused := shared.URL("issues", "/refused?canary=query")
	eventually(t, "the rule holds", func() bool { return status(t, b, refused) == 403 })
	for _, c := range []struct {
		path, reason string
		status       int
	}{{"/refused?canary=query", "policy", 403}, {"/undecided?canary=query", "unavailable", 503}} {
		before := map[string]int{"policy": checks(t, "policy"), "unavailable": checks(t, "unavailable"), "session": checks(t, "session")}
		a := must(t)(b.Do("GET", shared.URL("issues", c.path), Fetch, nil, ""))
		if a.Status != c.status || !strings.Contains(a.Body, `"reason":"`+c.reason+`"`) {
			t.Errorf("%s: %d %s", c.path, a.Status, a.Body)
		}
		want := maps.Clone(before)
		want[c.reason]++
		for reason := range want {
			if got := checks(t, reason); got != want[reason] {
				t.Errorf("%s: %q was counted %d times, want %d", c.path, reason, got, want[reason])
			}
		}
		eventually(t, "the record of "+c.path, func() bool { return lastRecord(t, c.reason) != nil })
	}
	record := lastRecord(t, "policy")
	if digest, _ := record["policy"].(string); len(digest) != 64 || record["rule"] != "refused-here" || record["id"] == nil || record["product"] != "issues" {
		t.Errorf("the record of a refusal: %v", record)
	}
	for _, value := range record {
		if text, _ := value.(string); strings.Contains(text, "canary") || strings.Contains(text, "/refused") || strings.Contains(text, "alice") {
			t.Errorf("the record holds %q", text)
		}
	}
}

// gateway#2837, gateway#5366: a policy that is broken, empty, gone, too slow or failing its own tests opens nothing, closes nothing that the
// last good one allowed, and gives way to the next good one.
func TestEmptyOrFailingPolicyChangesNothing(t *testing.T) {
	b := signedIn(t, "bob")
	ingress, added := filepath.Join(shared.Policies(), "ingress.rego"), filepath.Join(shared.Policies(), "zz_test.rego")
	good, err := os.ReadFile(ingress)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		harm  func() error
		undo  func() error
		cause string
	}{
		{"empty file", func() error { return replaceFile(ingress, nil) }, func() error { return replaceFile(ingress, good) }, "empty"},
		{"comments alone", func() error { return replaceFile(ingress, []byte("package isogate.ingress\n")) }, func() error { return replaceFile(ingress, good) }, "no rule decision"},
		{"no folder", func() error { return os.Rename(shared.Policies(), shared.Policies()+".away") }, func() error { return os.Rename(shared.Policies()+".away", shared.Policies()) }, "no such file"},
		{"a failing test", func() error { return replaceFile(added, []byte("package t\n\ntest_no if 1 == 2\n")) }, func() error { return os.Remove(added) }, "test_no failed"},
		{"a decision that is always true", func() error {
			return replaceFile(ingress, []byte("package isogate.ingress\n\nanonymous := {}\n\ndecision := true\n"))
		},
			func() error { return replaceFile(ingress, good) }, "decision"},
		{"a call to the network", func() error {
			return replaceFile(added, []byte("package t\n\nx := http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1/\"})\n"))
		},
			func() error { return os.Remove(added) }, "http.send"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const failed, fine = `isogate_reloads_total{result="failed",what="policies"}`, `isogate_reloads_total{result="ok",what="policies"}`
			wasFailed := metric(t, shared.ports.extauth, failed)
			if err := c.harm(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the fault is counted", func() bool { return metric(t, shared.ports.extauth, failed) != wasFailed })
			for what, held := range map[string]bool{
				"a person still passes":   status(t, b, shared.URL("issues", "/whoami")) == 200,
				"the open path is open":   status(t, shared.Browser(), shared.URL("issues", "/health")) == 200,
				"a stranger stays out":    status(t, shared.Browser(), shared.URL("issues", "/whoami")) == 401,
				"the cause is in the log": strings.Contains(string(shared.tail("extauthz")), c.cause),
			} {
				if !held {
					t.Errorf("broken: %s", what)
				}
			}
			wasFine := metric(t, shared.ports.extauth, fine)
			if err := c.undo(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the next good one is taken", func() bool { return metric(t, shared.ports.extauth, fine) != wasFine })
		})
	}
}
