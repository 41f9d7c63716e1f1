package world

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// brokenGateway are edits of the gateway's policies that count for nothing, each with a word of the fault.
var brokenGateway = []struct {
	name  string
	harm  func(folder string) error
	cause string
}{
	{"syntax", adding("this is no rule {{{\n"), "gateway.rego"},
	{"a template that Envoy would refuse", adding(endpoint("x", "GET", "/a/{b}{c}", "none")), "/a/{b}{c}"},
	{"two templates for one path", adding(endpoint("x", "GET", "/a/{b}", "none") + endpoint("y", "GET", "/a/{c}", "none")), "same path"},
	{"a day that is none", adding(strings.Replace(endpoint("x", "GET", "/a", "none"), `"body"`, `"expires": "31.12.2027", "body"`, 1)), "31.12.2027"},
	{"no word on bodies", adding(strings.Replace(endpoint("x", "POST", "/a", "none"), `"body": "none", `, "", 1)), "body"},
	{"a caller that is none", adding(strings.Replace(endpoint("x", "GET", "/a", "none"), "spiffe://", "https://", 1)), "SPIFFE"},
	{"a list that depends on the call", adding(`endpoints["x"] := {} if input.caller == "x"` + "\n"), "input"},
	{"something misspelt is closed", adding("closed contains \"gatway\"\n"), "gatway"},
	{"a failing test", func(folder string) error {
		return replaceFile(filepath.Join(folder, "zz_test.rego"), []byte("package t\n\ntest_no if 1 == 2\n"))
	}, "test_no"},
	{"an empty file", func(folder string) error { return replaceFile(filepath.Join(folder, gatewayRego), nil) }, "empty"},
	{"no such file", func(folder string) error { return os.Remove(filepath.Join(folder, gatewayRego)) }, "gateway"},
	{"no file of the gateway's", func(folder string) error {
		return errors.Join(os.Remove(filepath.Join(folder, "gateway_test.rego")), os.Remove(filepath.Join(folder, gatewayRego)))
	}, "package isogate.gateway"},
	{"an emptied folder", func(folder string) error {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}, "no .rego file"},
	{"no folder", func(folder string) error { return os.Rename(folder, folder+".away") }, "no such file"},
}

// adding writes the gateway's policies with more text.
func adding(text string) func(folder string) error {
	return func(folder string) error {
		file := filepath.Join(folder, gatewayRego)
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return replaceFile(file, []byte(string(raw)+"\n"+text))
	}
}

// A policy that is broken, empty or gone opens nothing at the gateway, and closes nothing that the last good one allowed (gateway#2837, gateway#5366).
// Each daemon says so in its log, its metrics and its status, and takes the next good one by itself.
func TestBrokenGatewayPolicies(t *testing.T) {
	exposes(t, endpoint("kept", "GET", "/kept", "none"))
	of := calls(t, member(t, "bob"), "support")
	digest := noted(t, shared.ports.extauth, "policies")
	good := copyOf(t, shared.Policies())
	daemons := map[string]int{"extauthz": shared.ports.extauth, "xds": shared.ports.xds}
	const counter = `isogate_reloads_total{result="failed",what="policies"}`
	for _, c := range brokenGateway {
		t.Run(c.name, func(t *testing.T) {
			before := map[string]string{}
			for name, admin := range daemons {
				before[name] = metric(t, admin, counter)
			}
			if err := c.harm(shared.Policies()); err != nil {
				t.Fatal(err)
			}
			for name, admin := range daemons {
				eventually(t, name+" counts the fault", func() bool { return metric(t, admin, counter) != before[name] })
				said := noted(t, admin, "reload of policies")
				if !strings.HasPrefix(said, "failed, the last good state stays: ") || !strings.Contains(said, c.cause) {
					t.Errorf("the status of %s does not name %q: %s", name, c.cause, said)
				}
				if log := string(shared.tail(name)); !strings.Contains(log, "reload failed, the last good state stays") || !strings.Contains(log, c.cause) {
					t.Errorf("the log of %s does not name %q", name, c.cause)
				}
				if now := noted(t, admin, "policies"); now != digest {
					t.Errorf("%s has other policies: %s", name, now)
				}
			}
			for target, want := range map[string]struct {
				status int
				reason string
			}{issueTarget: {200, ""}, "/kept": {200, ""}, "/a": {403, "not-exposed"}, "/a/b": {403, "not-exposed"}} {
				if wrong := fromSupport(of.To("issues", "GET", target)).fault(want.status, want.reason); wrong != "" {
					t.Errorf("%s: %s", target, wrong)
				}
			}
			restores(t, shared.Policies(), good)
			for name, admin := range daemons {
				eventually(t, name+" takes the next good one", func() bool { return noted(t, admin, "reload of policies") == "ok" })
			}
		})
	}
}

// copyOf reads the files of a folder.
func copyOf(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		files[e.Name()] = must2(t)(os.ReadFile(filepath.Join(folder, e.Name())))
	}
	return files
}

// restores has a folder hold these files and no other. It is made beside the one that is there, as a deployment does.
func restores(t *testing.T, folder string, files map[string][]byte) {
	t.Helper()
	fresh := folder + ".fresh"
	if err := os.Mkdir(fresh, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, raw := range files {
		if err := replaceFile(filepath.Join(fresh, name), raw); err != nil {
			t.Fatal(err)
		}
	}
	for _, old := range []string{folder + ".away", folder} {
		if err := os.RemoveAll(old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(fresh, folder); err != nil {
		t.Fatal(err)
	}
}
