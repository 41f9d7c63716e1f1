package policies

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const entry = `{"product": "issues", "method": "GET", "path": "/health"}`

// gateway#2837, gateway#5366: whatever is wrong with a directory, there is no bundle that could open or close anything, and the error says where
// and what.
func TestABrokenOrEmptyPolicyIsNoBundle(t *testing.T) {
	tests := []struct {
		name string
		in   files
		want []string // pieces of the error
	}{
		{"no file", files{}, []string{"no .rego file"}},
		{"only other files", files{"notes.txt": "x", ".hidden.rego": valid}, []string{"no .rego file"}},
		{"an empty file", files{"a.rego": valid, "b.rego": ""}, []string{"b.rego", "empty"}},
		{"only tests", files{"a_test.rego": valid}, []string{"no rule anonymous", "no rule decision"}},
		{"syntax", files{"a.rego": head + "decision := {\n"}, []string{"a.rego:", "rego_parse_error"}},
		{"syntax in two files", files{"a.rego": head + "x :=\n", "b.rego": head + "y :=\n"}, []string{"a.rego:4", "b.rego:4"}},
		{"old syntax", files{"a.rego": valid + "x { true }\n"}, []string{"a.rego:5", "`if` keyword is required"}},
		{"type", files{"a.rego": valid + `x := 1 + "1"` + "\n"}, []string{"a.rego:5", "rego_type_error"}},
		{"unused variable", files{"a.rego": valid + "x if {\n\ty := 1\n}\n"}, []string{"a.rego:6", "assigned var y unused"}},
		{"unused import", files{"a.rego": head + "import data.lib\n" + nothing + open}, []string{"a.rego:3", "unused"}},
		{"unsafe variable", files{"a.rego": valid + "x := y\n"}, []string{`a.rego:5: rego_unsafe_var_error: var y is unsafe; if it is text, write "y"`}},
		{"recursion", files{"a.rego": valid + "x if y\ny if x\n"}, []string{"a.rego:5", "recursi"}},
		{"misspelt input", files{"a.rego": valid + `x if input.user.arc == "mfa"` + "\n"}, []string{"a.rego:5", "undefined ref: input.user.arc", "acr"}},
		{"input of another type", files{"a.rego": valid + "x if input.user.acr == 2\n"}, []string{"a.rego:5", "match error"}},
		{"two faults", files{"a.rego": valid + "x if input.adress == \"\"\ny if input.pat == \"\"\n"}, []string{"a.rego:5", "a.rego:6"}},
		{"no decision", files{"a.rego": head + nothing}, []string{"no rule decision"}},
		{"no anonymous", files{"a.rego": head + open}, []string{"no rule anonymous", "anonymous := {}"}},
		{"another package", files{"a.rego": "package isogate.ingres\n" + nothing + open}, []string{"a.rego:1: package isogate.ingres is not known", "the ingress isogate.ingress"}},
		{"a rule in a test file", files{"a.rego": valid, "a_test.rego": head + `anonymous["x"] := ` + entry},
			[]string{"a_test.rego:3", "data.isogate.ingress.anonymous.x", "never enforced"}},
		{"a word in a test file", files{"a.rego": valid + "forbidden contains \"a\" if false\n", "a_test.rego": head + `forbidden contains "b"`},
			[]string{"a_test.rego:3", "data.isogate.ingress.forbidden", "never enforced"}},
		{"leaning on a test file", files{"a.rego": valid + "x := helper(1)\n", "a_test.rego": head + "helper(y) := y"},
			[]string{"a.rego:5", "undefined function"}},
		{"failing test", files{"a.rego": valid, "a_test.rego": "package t\ntest_no if 1 == 2\ntest_yes if 1 == 1\n"},
			[]string{"a_test.rego:2", "data.t.test_no failed"}},
		{"failing test elsewhere", files{"a.rego": valid + "test_no if 1 == 2\n"}, []string{"a.rego:5", "test_no failed"}},
		{"failing case", files{"a.rego": valid, "a_test.rego": "package t\ntest_no[n] if {\n\tsome n, x in {\"one\": 1, \"two\": 2}\n\tx == 1\n}\n"},
			[]string{"a_test.rego:2", "test_no (two) failed"}},
		{"test with an error", files{"a.rego": valid, "a_test.rego": "package t\ntest_no if not net.cidr_contains(\"10.0.0.0/8\", \"x\")\n"},
			[]string{"a_test.rego:2", "test_no", "net.cidr_contains"}},
		{"faults of three kinds", files{"a.rego": head + `anonymous["x"] := 1` + "\ndecision := 1\ntest_no if false\n"},
			[]string{"a.rego:3", "a.rego:4", "a.rego:5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, dirOf(t, tt.in), tt.want...) })
	}
}

// CVE-2022-36085: a policy cannot reach the network, the environment, a clock or chance, and there is no option that would allow one of them. A
// call is refused wherever it stands, in a test too.
func TestNoNetworkNoEnvironmentNoClockInAPolicy(t *testing.T) {
	calls := []string{
		`http.send({"method": "get", "url": "http://127.0.0.1/"})`, `net.lookup_ip_addr("localhost")`, `opa.runtime()`,
		`time.now_ns()`, `rand.intn("x", 9)`, `uuid.rfc4122("x")`, `rego.parse_module("a", "package a")`, `trace("x")`,
		`io.jwt.decode_verify("x", {})`, `json.match_schema({}, {})`, `crypto.x509.parse_and_verify_certificates("x")`,
	}
	for _, call := range calls {
		name, _, _ := strings.Cut(call, "(")
		t.Run(name, func(t *testing.T) {
			refused(t, dirOf(t, files{"a.rego": valid + "x := " + call + "\n"}), "a.rego:5", name, "remove the call")
			refused(t, dirOf(t, files{"a.rego": valid, "a_test.rego": "package t\ntest_x if " + call}), "a_test.rego:2", name)
		})
	}
	t.Run("remote schema", func(t *testing.T) {
		mustLoad(t, dirOf(t, files{"a.rego": valid + "# METADATA\n# schemas:\n#   - input: {$ref: \"http://127.0.0.1:1/\"}\nx if input.path == \"/\"\n"}))
	})
}

// What is left must be enough to write rules with.
func TestLoadAcceptsFunctions(t *testing.T) {
	exprs := []string{
		`net.cidr_contains("10.0.0.0/8", input.address)`, `startswith(input.path, "/a")`, `"hr" in input.user.groups`,
		`regex.match("^a", input.path)`, `glob.match("a*", [], input.product)`, `count({"a"} & {g | some g in input.user.groups}) > 0`,
		`object.get({}, "a", 1) == 1`, `strings.any_prefix_match(input.path, ["/a"])`, `sprintf("%s", [input.path]) == "/a"`,
		`every m in input.user.amr { m != "sms" }`, `walk({}, [[], {}])`, `input.path == $"/{input.product}"`,
	}
	for _, e := range exprs {
		mustLoad(t, dirOf(t, files{"a.rego": valid + "x if " + e + "\n"}))
	}
}

func TestLoadBoundsTime(t *testing.T) {
	slow := "count([1 | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); a == b + 10000]) == 0"
	tests := []struct {
		name string
		in   files
		want []string
	}{
		{"test", files{"a.rego": valid, "a_test.rego": "package t\ntest_slow if " + slow}, []string{"test_slow", "did not end within 100ms"}},
		{"list", files{"a.rego": head + open + `anonymous["x"] := ` + entry + " if " + slow}, []string{"a.rego:4", "cancel"}},
		{"constant", files{"a.rego": head + nothing + `decision := {"allow": true, "reason": "x"} if ` + slow}, []string{"a.rego:4", "cancel"}},
		{"sample", files{"a.rego": head + nothing + `decision := {"allow": input.path == "/", "reason": "x"} if ` + slow}, []string{"a.rego:4", "cancel"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := load(t.Context(), dirOf(t, tt.in), 100*time.Millisecond)
			wantPieces(t, err, tt.want...)
			if d := time.Since(begin); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestLoadBoundsSize(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		half := "# " + strings.Repeat("x", maxBytes/2) + "\n"
		mustLoad(t, dirOf(t, files{"a.rego": valid + half}))
		refused(t, dirOf(t, files{"a.rego": valid + half, "b.rego": head + half}), "larger than")
	})
	t.Run("files", func(t *testing.T) {
		fs := files{}
		for i := range maxFiles + 1 {
			fs[fmt.Sprintf("%d.rego", i)] = "package a"
		}
		refused(t, dirOf(t, fs), "more than 1000")
	})
}

func TestLoadRefusesStrangeFiles(t *testing.T) {
	t.Run("no directory", func(t *testing.T) { refused(t, filepath.Join(t.TempDir(), "gone"), "no such file") })
	t.Run("directory as file", func(t *testing.T) {
		dir := dirOf(t, files{"a.rego": valid})
		if err := os.Mkdir(filepath.Join(dir, "b.rego"), 0o700); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "b.rego", "not a regular file")
	})
	t.Run("pipe", func(t *testing.T) {
		dir := dirOf(t, files{"a.rego": valid})
		if err := syscall.Mkfifo(filepath.Join(dir, "b.rego"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "b.rego", "not a regular file")
	})
	t.Run("dangling link", func(t *testing.T) {
		dir := dirOf(t, files{"a.rego": valid})
		if err := os.Symlink("gone", filepath.Join(dir, "b.rego")); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "b.rego", "no such file")
	})
	t.Run("ended context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b, err := Load(ctx, dirOf(t, files{"a.rego": valid})); err == nil || b != nil {
			t.Errorf("Load = %v, %v; want an error", b, err)
		}
	})
}

func TestDigest(t *testing.T) {
	base := mustLoad(t, dirOf(t, files{"a.rego": valid, "b.rego": "package b"})).Digest()
	if len(base) != 64 {
		t.Errorf("digest %q is not SHA-256 in hex", base)
	}
	tests := []struct {
		name string
		in   files
		same bool
	}{
		{"the same", files{"b.rego": "package b", "a.rego": valid}, true},
		{"with what is not read", files{"a.rego": valid, "b.rego": "package b", "c.txt": "x", ".c.rego": "x"}, true},
		{"one byte more", files{"a.rego": valid, "b.rego": "package b\n"}, false},
		{"another name", files{"a.rego": valid, "c.rego": "package b"}, false},
		{"one file more", files{"a.rego": valid, "b.rego": "package b", "c.rego": "package c"}, false},
		{"a test more", files{"a.rego": valid, "b.rego": "package b", "b_test.rego": "package b_test"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustLoad(t, dirOf(t, tt.in)).Digest(); (got == base) != tt.same {
				t.Errorf("digest %s, before %s", got, base)
			}
		})
	}
	if digest([]file{{"a", []byte("bc")}}) == digest([]file{{"ab", []byte("c")}}) {
		t.Error("a byte that moves from content to name does not change the digest")
	}
}

func refused(t *testing.T, dir string, want ...string) {
	t.Helper()
	b, err := Load(t.Context(), dir)
	if b != nil {
		t.Error("Load gave a bundle")
	}
	wantPieces(t, err, want...)
}

func wantPieces(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error lacks %q:\n%v", w, err)
		}
	}
}
