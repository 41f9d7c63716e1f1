package world

import (
	"path/filepath"
	"testing"
	"time"
)

// What ends a person's calls from outside, and what a call is told then. A sign-out counts for the next call; an edit as soon as it is read.
var callEnds = []struct {
	name   string
	end    func(t *testing.T, b *Browser)
	status int
	reason string
}{
	{"signed out inside", func(t *testing.T, b *Browser) { signOut(t, b, "issues") }, 401, "session-ended"},
	{"idle limit", inFile("idle: 30m", "idle: 1s"), 401, "session-ended"},
	{"absolute limit", inFile("absolute: 12h\n    federated: 24h\n    idle: 30m", "absolute: 1s\n    federated: 24h\n    idle: 1s"), 401, "session-ended"},
	{"federated limit", inFile("federated: 24h", "federated: 1s"), 401, "session-ended"},
	{"client removed", inFile("    - id: commercial\n", "    - id: commercial2\n"), 401, "session-ended"},
	{"domain pending", inFile("    - name: acme.example\n      state: verified\n", "    - name: acme.example\n      state: pending\n"), 401, "session-ended"},
	{"domain removed", inFile("    - name: acme.example\n", "    - name: acme2.example\n"), 401, "session-ended"},
	{"caller struck off", inFile("callers: ["+SPIFFE("support")+"]", "callers: ["+SPIFFE("market")+"]"), 403, "caller"},
	{"gateway closed", closing(func() string { return `"gateway"` }), 403, "policy"},
	{"caller closed", closing(func() string { return `{"caller": "` + SPIFFE("support") + `"}` }), 403, "policy"},
	{"client closed", closing(func() string { return `{"client": "` + Client + `"}` }), 403, "policy"},
	{"cloud closed", closing(func() string { return `{"cloud": "` + shared.ID + `"}` }), 403, "policy"},
}

// inFile edits the isolated file.
func inFile(old, fresh string) func(*testing.T, *Browser) {
	return func(t *testing.T, _ *Browser) { edit(t, shared.File(), old, fresh) }
}

// closing adds one line to the policies.
func closing(what func() string) func(*testing.T, *Browser) {
	return func(t *testing.T, _ *Browser) {
		edit(t, filepath.Join(shared.Policies(), gatewayRego), "closed contains \"nothing\" if false\n", "closed contains "+what()+"\n")
	}
}

// Whatever ends a person's calls does so while what the service was given is still good at its sidecar, and for the gateway's next decision: no answer
// is anything but the product's or that denial. No product hears of a call that is denied. Afterwards the person can sign in, and calls work.
func TestWhatEndsCalls(t *testing.T) {
	for _, c := range callEnds {
		t.Run(c.name, func(t *testing.T) {
			b := member(t, "bob")
			must(t)(b.Open(shared.URL("issues", "/whoami")))
			of := calls(t, b, "support").To("issues", "GET", issueTarget)
			if wrong := fromSupport(of).fault(200, ""); wrong != "" {
				t.Fatal("before:", wrong)
			}
			t.Run("ended", func(t *testing.T) {
				c.end(t, b)
				began, passed := time.Now(), 0
				for wrong := "not yet"; wrong != ""; {
					hits := reached()
					a := fromSupport(of)
					if wrong = a.fault(c.status, c.reason); wrong == "" && reached() != hits {
						t.Error("a product heard of a call that was denied")
					}
					if wrong != "" && a.fault(200, "") != "" || time.Since(began) > editSeen {
						t.Fatalf("after %s: %s", time.Since(began), wrong)
					}
					if passed++; wrong != "" {
						time.Sleep(20 * time.Millisecond) // a caller may make a hundred calls a second
					}
				}
				t.Logf("denied %d ms after the change, by call %d", time.Since(began).Milliseconds(), passed)
				if c.name == "signed out inside" && passed != 1 {
					t.Errorf("%d calls passed after the sign-out", passed-1)
				}
				if again := fromSupport(of).fault(c.status, c.reason); again != "" {
					t.Error("the next one:", again)
				}
			})
			eventually(t, "the person signs in, and calls work", func() bool {
				federate(t, b, shared.Cloud, "bob", at("support", "/whoami"))
				given, err := shared.Given(b, "support")
				return err == nil && fromSupport(given.To("issues", "GET", issueTarget)).fault(200, "") == ""
			})
		})
	}
}
