package policies

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An allowlist that depends on the request is found by the dependency graph, however far away the input is read.
func TestAnonymousMustNotDependOnInput(t *testing.T) {
	tests := []struct{ name, in string }{
		{"condition", `anonymous["x"] := ` + entry + ` if input.product == "issues"`},
		{"value", `anonymous["x"] := {"product": input.product, "method": "GET", "path": "/health"}`},
		{"key", `anonymous[input.product] := ` + entry},
		{"whole input", "anonymous[\"x\"] := " + entry + " if {\n\ty := input\n\ty.product == \"issues\"\n}"},
		{"helper", `anonymous["x"] := ` + entry + " if helper\nhelper if deeper\ndeeper if input.method == \"GET\""},
		{"else", `anonymous["x"] := ` + entry + " if helper == 2\nhelper := 1 if 1 == 2\nelse := 2 if input.method == \"GET\""},
		{"else of its own", "anonymous := {} if 1 == 2\nelse := {\"x\": " + entry + "} if helper\nhelper if input.method == \"GET\""},
		{"default", `anonymous["x"] := ` + entry + " if helper\ndefault helper := true\nhelper := false if input.method == \"GET\""},
		{"function", `anonymous["x"] := ` + entry + " if f(\"GET\")\nf(y) if input.method == y"},
		{"comprehension", `anonymous["x"] := ` + entry + ` if count([1 | input.method == "GET"]) == 1`},
		{"every", `anonymous["x"] := ` + entry + " if {\n\tevery y in [1] {\n\t\tinput.method == y\n\t}\n}"},
		{"negation", `anonymous["x"] := ` + entry + ` if not input.method == "GET"`},
		{"object", `anonymous := {"x": {"product": "issues", "method": input.method, "path": "/"}}`},
		{"computed reference", `anonymous["x"] := ` + entry + " if {\n\tsome name in [\"helper\"]\n\tdata.isogate.ingress[name]\n}\nhelper if input.method == \"GET\""},
		{"all data", `anonymous["x"] := ` + entry + " if count(data.lib) > 0"},
		{"replaced input", `anonymous["x"] := ` + entry + ` if helper with input as {"method": "GET"}` + "\nhelper if input.method == \"GET\""},
		{"replaced function", `anonymous["x"] := ` + entry + " if f(\"GET\") with f as g\nf(y) if y == \"PUT\"\ng(y) if input.method == y"},
		{"replaced data", `anonymous["x"] := ` + entry + " if helper with data.isogate.ingress.other as input.user\nhelper if other == 1\nother := 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lib := "package lib\np if input.method == \"GET\"\n"
			refused(t, dirOf(t, files{"a.rego": head + open + tt.in + "\n", "lib.rego": lib}), "rego:", "anonymous depends on input")
		})
	}
}

func TestAnonymousMayBeComputed(t *testing.T) {
	b := mustLoad(t, dirOf(t, files{"a.rego": head + open + `
anonymous[id] := {"product": product, "method": "GET", "path": "/health"} if {
	some product in {"issues", "wiki"}
	id := sprintf("%s.health", [product])
}
anonymous["docs.logo"] := {"product": "docs", "method": "HEAD", "path": "/logo.svg", "purpose": "p", "owner": "o", "expires": "2027-06-30"}
`}))
	want := []Anonymous{
		{ID: "docs.logo", Product: "docs", Method: "HEAD", Path: "/logo.svg", Purpose: "p", Owner: "o", Expires: date("2027-07-01T00:00:00Z")},
		{ID: "issues.health", Product: "issues", Method: "GET", Path: "/health"},
		{ID: "wiki.health", Product: "wiki", Method: "GET", Path: "/health"},
	}
	list := b.AnonymousEndpoints()
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	list[0].ID = "changed"
	if diff := cmp.Diff(want, b.AnonymousEndpoints()); diff != "" {
		t.Error("the bundle changed through its list")
	}
}

func TestAnonymousEntryFaults(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"no object", `anonymous := ["x"]`, []string{"a.rego:4", "of type array"}},
		{"a set", `anonymous contains "x"`, []string{"a.rego:4", "of type set"}},
		{"entry is text", `anonymous["x"] := "y"`, []string{"a.rego:4", `anonymous["x"]`, "of type string"}},
		{"id is no word", `anonymous["Issues health"] := ` + entry, []string{"a.rego:4", "the id must"}},
		{"id is a number", `anonymous[1] := ` + entry, []string{"a.rego:4", "the id must"}},
		{"id too long", `anonymous["` + strings.Repeat("x", 65) + `"] := ` + entry, []string{"the id must"}},
		{"empty", `anonymous["x"] := {}`, []string{"product is missing", "method is missing", "path is missing"}},
		{"unknown key", with(`"query": ["a"]`), []string{"a.rego:4", `unknown key "query"`}},
		{"key is a number", with(`1: "a"`), []string{"unknown key 1"}},
		{"wrong type", `anonymous["x"] := {"product": 1, "method": ["GET"], "path": null}`, []string{"product must be a string", "method must be a string", "path must be a string"}},
		{"empty text", with(`"owner": ""`), []string{"owner must be a string that is not empty"}},
		{"unknown method", `anonymous["x"] := {"product": "issues", "method": "TRACE", "path": "/"}`, []string{`method "TRACE"`, "GET, HEAD"}},
		{"lower-case method", `anonymous["x"] := {"product": "issues", "method": "get", "path": "/"}`, []string{`method "get"`}},
		{"no such day", with(`"expires": "2027-02-30"`), []string{`expires "2027-02-30"`, "YYYY-MM-DD"}},
		{"a time", with(`"expires": "2027-02-20T00:00:00Z"`), []string{"YYYY-MM-DD"}},
		{"a number as day", with(`"expires": 20270101`), []string{"expires must be a string"}},
		{"conflict", `anonymous["x"] := ` + entry + "\n" + `anonymous["x"] := {"product": "wiki", "method": "GET", "path": "/"}`, []string{"a.rego:", "conflict"}},
		{"twice", `anonymous["x"] := ` + entry + "\n" + `anonymous["y"] := ` + entry, []string{"a.rego:5", `anonymous["y"]`, `the same endpoint as "x"`}},
		{"second line", "anonymous := {\n\t\"a\": " + entry + ",\n\t\"b\": {},\n}", []string{`a.rego:6: anonymous["b"]`}},
		{"all at once", `anonymous["a"] := {}` + "\n" + `anonymous["b"] := 1`, []string{`a.rego:4: anonymous["a"]`, `a.rego:5: anonymous["b"]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, dirOf(t, files{"a.rego": head + open + tt.in + "\n"}), tt.want...) })
	}
}

func with(member string) string {
	return `anonymous["x"] := {"product": "issues", "method": "GET", "path": "/health", ` + member + `}`
}

// CVE-2019-9901, CVE-2021-29492 and their kin: a path that anybody on the way may read differently cannot be listed.
func TestAnonymousPaths(t *testing.T) {
	tests := []struct{ path, want string }{
		{"", "not empty"}, {"health", "must start with /"}, {"http://a/b", "must start with /"}, {"*", "must start with /"},
		{"/a?x=1", "query"}, {"/a?", "query"}, {"/a#b", "fragment"},
		{"/a%20b", "escape"}, {"/a%2fb", "escape"}, {"/a%23", "escape"}, {"/%2e%2e/a", "escape"}, {"/a%", "escape"}, {"/%C3%A9", "escape"},
		{"//a", "holds //"}, {"/a//b", "holds //"}, {"/a//", "holds //"},
		{"/a;b", "semicolon"}, {"/..;/a", "semicolon"}, {`/a\b`, "backslash"},
		{"/a/{key}", "pattern"}, {"/a/*", "pattern"}, {"/a}", "pattern"},
		{"/.", "dot segment"}, {"/..", "dot segment"}, {"/a/./b", "dot segment"}, {"/a/../b", "dot segment"}, {"/a/..", "dot segment"},
		{"/a b", "space"}, {"/a\tb", "control"}, {"/a\x00", "control"}, {"/a\r\nb", "control"}, {"/a\x7f", "control"},
		{"/é", "escape"}, {`/a"b`, "escape"}, {"/a<b", "escape"}, {"/a|b", "escape"}, {"/a`b", "escape"}, {"/a^b", "escape"}, {"/[a]", "escape"},
		{"/", ""}, {"/health", ""}, {"/health/", ""}, {"/a/b.c/d-e_f~g", ""}, {"/.well-known/x", ""}, {"/a/...", ""}, {"/a..b", ""},
		{"/a+b,c=d&e:f@g!h$i'(j)", ""}, {"/Health", ""},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			text := fmt.Sprintf("anonymous[\"x\"] := {\"product\": \"issues\", \"method\": \"GET\", \"path\": %s}\n", regoString(tt.path))
			dir := dirOf(t, files{"a.rego": head + open + text})
			if tt.want != "" {
				refused(t, dir, "a.rego:4", tt.want)
				return
			}
			if _, ok := mustLoad(t, dir).Anonymous("issues", "GET", tt.path, time.Now()); !ok {
				t.Error("the listed path does not match")
			}
		})
	}
}

// GHSA-pxq7, GHSA-7rh7: product, method and path to the byte.
func TestAnonymousMatchesExactly(t *testing.T) {
	b := mustLoad(t, dirOf(t, files{"a.rego": head + open + `anonymous["issues.health"] := ` + entry + "\n"}))
	tests := []struct {
		product, method, path string
		want                  bool
	}{
		{"issues", "GET", "/health", true},
		{"issues", "HEAD", "/health", false}, {"issues", "get", "/health", false}, {"issues", "", "/health", false}, {"issues", "POST", "/health", false},
		{"wiki", "GET", "/health", false}, {"Issues", "GET", "/health", false}, {"", "GET", "/health", false},
		{"issues", "GET", "/health?x=1", false}, {"issues", "GET", "/health?", false}, {"issues", "GET", "/health%23", false},
		{"issues", "GET", "/health#", false}, {"issues", "GET", "/health%3f", false}, {"issues", "GET", "/health%00", false},
		{"issues", "GET", "/Health", false}, {"issues", "GET", "/health/", false}, {"issues", "GET", "health", false},
		{"issues", "GET", "/healt%68", false}, {"issues", "GET", "/./health", false}, {"issues", "GET", "//health", false},
		{"issues", "GET", "/health;x", false}, {"issues", "GET", "/health/x", false}, {"issues", "GET", "", false}, {"", "", "", false},
	}
	for _, tt := range tests {
		id, ok := b.Anonymous(tt.product, tt.method, tt.path, time.Now())
		if ok != tt.want || ok != (id == "issues.health") {
			t.Errorf("Anonymous(%q, %q, %q) = %q, %v", tt.product, tt.method, tt.path, id, ok)
		}
	}
}

// An entry ends by itself, at the end of its last day in UTC.
func TestAnonymousExpires(t *testing.T) {
	b := mustLoad(t, dirOf(t, files{"a.rego": head + open + with(`"expires": "2028-02-29"`) + "\n"}))
	tests := []struct {
		now  string
		want bool
	}{
		{"2027-01-01T00:00:00Z", true},
		{"2028-02-29T23:59:59.999999999Z", true},
		{"2028-02-29T23:00:00-01:00", false}, // midnight in UTC
		{"2028-03-01T00:00:00Z", false},
		{"2028-03-01T01:00:00+02:00", true}, // still the day before in UTC
		{"2099-01-01T00:00:00Z", false},
	}
	for _, tt := range tests {
		if _, ok := b.Anonymous("issues", "GET", "/health", date(tt.now)); ok != tt.want {
			t.Errorf("at %s: %v", tt.now, ok)
		}
	}
	if n := len(b.AnonymousEndpoints()); n != 1 {
		t.Errorf("%d entries listed; one that has ended stays in the list", n)
	}
}

func date(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return at
}

// regoString writes s as a Rego string: JSON's escapes.
func regoString(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}
