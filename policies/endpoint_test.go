package policies

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Pieces of a gateway's policies.
const (
	gatewayHead = "package isogate.gateway\n\n"
	gatewayOpen = `decision := {"allow": true, "reason": "exposed"}` + "\n"
	support     = "spiffe://commercial.example/support"
)

// gatewayOf is a directory whose gateway.rego has text from line 4 on.
func gatewayOf(t testing.TB, text string) string {
	t.Helper()
	return dirOf(t, files{"ingress.rego": valid, "gateway.rego": gatewayHead + gatewayOpen + text})
}

// exposed writes an entry; changes are pairs of a key and its value in Rego, an empty value takes the key away.
func exposed(id string, changes ...string) string {
	keys := []string{"product", "method", "path", "body", "callers"}
	values := map[string]string{"product": `"issues"`, "method": `"GET"`, "path": `"/a"`, "body": `"none"`, "callers": `["` + support + `"]`}
	for i := 0; i < len(changes); i += 2 {
		if !slices.Contains(keys, changes[i]) {
			keys = append(keys, changes[i])
		}
		values[changes[i]] = changes[i+1]
	}
	var members []string
	for _, k := range keys {
		if values[k] != "" {
			members = append(members, fmt.Sprintf("%q: %s", k, values[k]))
		}
	}
	return fmt.Sprintf("endpoints[%q] := {%s}\n", id, strings.Join(members, ", "))
}

func TestEndpoints(t *testing.T) {
	b := mustLoad(t, gatewayOf(t, exposed("z.post", "method", `"POST"`, "body", `"opaque"`, "expires", `"2027-06-30"`, "purpose", `"p"`, "owner", `"o"`)+
		exposed("a.get", "query", `["fields", "expand"]`, "callers", `["spiffe://x.example/b", "spiffe://x.example/a"]`, "expires", `"2027-01-31"`)+
		`endpoints[id] := {"product": product, "method": "GET", "path": "/computed", "body": "none", "callers": {"spiffe://x.example/a"}} if {
	some product in {"wiki"}
	id := sprintf("%s.computed", [product])
}
`))
	want := []Endpoint{
		{ID: "a.get", Product: "issues", Method: "GET", Path: "/a", Query: []string{"expand", "fields"}, Body: BodyNone,
			Callers: []string{"spiffe://x.example/a", "spiffe://x.example/b"}, Expires: date("2027-02-01T00:00:00Z")},
		{ID: "wiki.computed", Product: "wiki", Method: "GET", Path: "/computed", Body: BodyNone, Callers: []string{"spiffe://x.example/a"}},
		{ID: "z.post", Product: "issues", Method: "POST", Path: "/a", Body: BodyOpaque, Callers: []string{support},
			Purpose: "p", Owner: "o", Expires: date("2027-07-01T00:00:00Z")},
	}
	if diff := cmp.Diff(want, b.Endpoints()); diff != "" {
		t.Fatal(diff)
	}
	b.Endpoints()[0].ID = "changed"
	if b.Endpoints()[0].ID != "a.get" {
		t.Error("the bundle changed through its list")
	}
	e := &want[0]
	if !e.Admits("spiffe://x.example/b") || e.Admits("spiffe://x.example/c") || e.Admits("") || (&Endpoint{}).Admits("") {
		t.Error("Admits")
	}
	if !e.Takes("fields") || e.Takes("Fields") || e.Takes("") || want[1].Takes("") {
		t.Error("Takes")
	}
	times := []struct {
		now, next string
		count     int
	}{
		{"2026-01-01T00:00:00Z", "2027-02-01T00:00:00Z", 3},
		{"2027-01-31T23:59:59Z", "2027-02-01T00:00:00Z", 3},
		{"2027-02-01T00:00:00Z", "2027-07-01T00:00:00Z", 2},
		{"2027-07-01T00:00:00Z", "", 1},
	}
	for _, tt := range times {
		var next time.Time
		if tt.next != "" {
			next = date(tt.next)
		}
		if got := b.NextEnd(date(tt.now)); !got.Equal(next) || len(b.EndpointsAt(date(tt.now))) != tt.count {
			t.Errorf("%s: NextEnd %v, %d endpoints; want %v, %d", tt.now, got, len(b.EndpointsAt(date(tt.now))), next, tt.count)
		}
	}
}

// However far away the input is read, and whatever else is written out.
func TestEndpointsMustNotDependOnInput(t *testing.T) {
	const value = `{"product": "issues", "method": "GET", "path": "/a", "body": "none", "callers": ["` + support + `"]}`
	for name, text := range map[string]string{
		"condition": `endpoints["x"] := ` + value + ` if input.caller == "a"`,
		"value":     strings.Replace(`endpoints["x"] := `+value, `"issues"`, "input.product", 1),
		"key":       `endpoints[input.caller] := ` + value,
		"helper":    `endpoints["x"] := ` + value + " if helper\nhelper if deeper\ndeeper if input.cloud == \"a\"",
		"package":   `endpoints["x"] := ` + value + " if data.lib.p",
		"else":      `endpoints := {"x": ` + value + "} if helper\nelse := {}\nhelper if input.cloud == \"a\"",
	} {
		t.Run(name, func(t *testing.T) {
			dir := gatewayOf(t, exposed("plain")+text+"\n")
			write(t, dir, "lib.rego", "package lib\np if input.method == \"GET\"\n")
			if name == "else" {
				write(t, dir, "gateway.rego", gatewayHead+gatewayOpen+text)
			}
			refused(t, dir, "rego:", "endpoints depends on input")
		})
	}
}

func TestEndpointFaults(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"id", exposed("Issue Read"), []string{"gateway.rego:4", "the id must"}},
		{"empty id", exposed(""), []string{"gateway.rego:4", "the id must"}},
		{"long id", exposed(strings.Repeat("x", 65)), []string{"the id must"}},
		{"id is a number", strings.Replace(exposed("x"), `"x"`, "1", 1), []string{"gateway.rego:4", "the id must"}},
		{"entry is text", `endpoints["x"] := "y"`, []string{"gateway.rego:4", "of type string", "an object with product, method, path, body and callers"}},
		{"no object", `endpoints := ["x"]`, []string{"gateway.rego:4", "of type array"}},
		{"a set", `endpoints contains "x"`, []string{"gateway.rego:4", "of type set"}},
		{"empty", `endpoints["x"] := {}`, []string{"product is missing", "method is missing", "path is missing", "body is missing", "callers is missing"}},
		{"unknown key", exposed("x", "fields", `"a"`), []string{`unknown key "fields"`, "product, method, path, query, body, callers, purpose, owner and expires"}},
		{"wrong types", exposed("x", "product", "1", "callers", `"a"`, "query", "{}"), []string{"product must be a string", "callers must be a list", "query must be a list"}},
		{"method", exposed("x", "method", `"OPTIONS"`), []string{`method "OPTIONS"`}},
		{"lower-case method", exposed("x", "method", `"get"`), []string{`method "get"`}},
		{"no body key", exposed("x", "body", ""), []string{"body is missing"}},
		{"unknown body", exposed("x", "body", `"fields"`), []string{`body "fields"`}},
		{"body is no text", exposed("x", "body", "true"), []string{`gateway.rego:4: endpoints["x"]: body must be "none" or "opaque"`}},
		{"quotes forgotten", exposed("x", "query", "[page]"), []string{"gateway.rego:4", `var page is unsafe; if it is text, write "page"`}},
		{"body of GET", exposed("x", "body", `"opaque"`), []string{`a GET request carries none`}},
		{"body of DELETE", exposed("x", "method", `"DELETE"`, "body", `"opaque"`), []string{`a DELETE request carries none`}},
		{"no callers", exposed("x", "callers", "[]"), []string{"callers is empty"}},
		{"caller twice", exposed("x", "callers", `["`+support+`", "`+support+`"]`), []string{"callers must be a list of strings, each once"}},
		{"query twice", exposed("x", "query", `["a", "a"]`), []string{"query must be a list of strings, each once"}},
		{"query name", exposed("x", "query", `["a b", ""]`), []string{`query lists "a b"`, `query lists ""`}},
		{"query long", exposed("x", "query", `["`+strings.Repeat("x", 65)+`"]`), []string{"query lists"}},
		{"day", exposed("x", "expires", `"2027-02-30"`), []string{"YYYY-MM-DD"}},
		{"conflict", exposed("x") + exposed("x", "path", `"/b"`), []string{"gateway.rego:5", `endpoints["x"]: conflicts with the entry at gateway.rego:4`}},
		{"computed conflict", exposed("x") + strings.TrimSpace(exposed("x", "path", `"/b"`)) + " if 1 == 1\n", []string{"conflicts with"}},
		{"key twice", strings.Replace(exposed("x"), "{", `{"path": "/z", `, 1), []string{"gateway.rego:4", `the key "path" is here for the second time`}},
		{"id twice in one object", "endpoints := {\n\"x\": " + entryOf("x") + ",\n\"x\": " + entryOf("x") + "\n}", []string{"gateway.rego:6", `the key "x" is here for the second time`}},
		{"one object and more", "endpoints := {\"x\": " + entryOf("x") + "}\n" + exposed("y"), []string{"gateway.rego:4", "written as one object"}},
		{"all at once", exposed("a", "method", `"X"`) + exposed("b", "path", `"x"`, "query", `["?"]`), []string{"gateway.rego:4", "gateway.rego:5", "must start with /", `query lists "?"`}},
		{"second line", "endpoints := {\n\t\"a\": " + entryOf("a") + ",\n\t\"b\": {\"product\": \"p\"},\n}", []string{`gateway.rego:6: endpoints["b"]`}},
		{"from below", "endpoints[\"a\"].product := \"x\"\n", []string{"is missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, gatewayOf(t, tt.in), tt.want...) })
	}
	t.Run("from another package", func(t *testing.T) {
		for name, text := range map[string]string{
			"below": "package isogate.gateway.endpoints\nx := " + entryOf("x"),
			"above": "package isogate\ngateway.endpoints[\"x\"] := " + entryOf("x"),
			"test":  gatewayHead + exposed("x"),
		} {
			dir := gatewayOf(t, exposed("y"))
			file := "more.rego"
			if name == "test" {
				file = "more_test.rego"
			}
			write(t, dir, file, text)
			refused(t, dir, "endpoints")
		}
	})
}

func entryOf(id string, changes ...string) string {
	_, value, _ := strings.Cut(strings.TrimSpace(exposed(id, changes...)), ":= ")
	return value
}

func TestCallers(t *testing.T) {
	tests := []struct {
		in   string
		want bool
	}{
		{support, true}, {"spiffe://a.b/c/d-e_f.g/H", true},
		{"", false}, {"support", false}, {"spiffe://a", false}, {"spiffe://a/", false}, {"spiffe:///a", false}, {"spiffe://a/b/", false}, {"spiffe://a//b", false},
		{"spiffe://A/b", false}, {"SPIFFE://a/b", false}, {"spiffe://a/../b", false}, {"spiffe://a/./b", false}, {"spiffe://a:1/b", false}, {"spiffe://u@a/b", false},
		{"spiffe://a/b?c", false}, {"spiffe://a/b#c", false}, {"spiffe://a/%62", false}, {"spiffe://a/b\x00", false}, {"spiffe://a/b,spiffe://a/c", false},
		{"https://a/b", false}, {"spiffe://" + strings.Repeat("a", 256) + "/b", false},
	}
	for _, tt := range tests {
		if got := isSPIFFE(tt.in); got != tt.want {
			t.Errorf("%q: %v", tt.in, got)
		}
	}
}

// What Envoy's matcher refuses, and what readers could take for something else.
func TestTemplates(t *testing.T) {
	tests := []struct{ in, want string }{
		{"/", ""}, {"/a", ""}, {"/a/", ""}, {"/{x}", ""}, {"/{x}/", ""}, {"/a/{x_1}/b/{Y}", ""}, {"/{a}/{b}/{c}/{d}/{e}", ""}, {"/{abcdefghijklmnop}", ""},
		{"/a.b-c_d~e!$&'()+,=:@", ""},
		{"/{a}/{b}/{c}/{d}/{e}/{f}", "more than 5 variables"}, {"/{abcdefghijklmnopq}", "at most 16"},
		{"/{}", "{}"}, {"/{1x}", "{1x}"}, {"/{_x}", "{_x}"}, {"/{x-y}", "{x-y}"}, {"/{x=*}", "{x=*}"}, {"/{x=**}", "{x=**}"}, {"/{x}/{x}", "twice"},
		{"/v{x}", "neither a literal nor exactly one"}, {"/{x}.json", "neither"}, {"/{x}{y}", "neither"}, {"/{x}-{y}", "neither"},
		{"/{x", "neither"}, {"/x}", "neither"}, {"/*", "neither"}, {"/**", "neither"}, {"/a*", "neither"}, {"/{{x}}", "neither"}, {"/a/{x/b}", "neither"},
		{"a", "must start with /"}, {"{x}", "must start with /"}, {"//a", "//"}, {"/a//", "//"}, {"/{x}//", "//"},
		{"/a?b", "query"}, {"/a#b", "fragment"}, {"/a%20", "escape"}, {"/a;b", "semicolon"}, {`/a\b`, "backslash"},
		{"/./a", "dot segment"}, {"/{x}/..", "dot segment"}, {"/a b", "space"}, {"/é", "other character"}, {"/a[b]", "other character"}, {"/a\x00", "control"},
		{"/" + strings.Repeat("x", 255), ""}, {"/{x}" + strings.Repeat("x", 253), "longer than 256"}, {strings.Repeat("/x", 33), "more than 32 segments"},
	}
	for _, tt := range tests {
		if got := templateFault(tt.in); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%q: %q; want %q", tt.in, got, tt.want)
		}
	}
	refused(t, gatewayOf(t, exposed("x", "path", `"/{x}/{x}"`)), "gateway.rego:4", `path "/{x}/{x}" holds the variable {x} twice`)
}

func TestTooManyEndpoints(t *testing.T) {
	refused(t, dirOf(t, files{"a.rego": valid, "g.rego": list(maxEndpoints+1, false)}), "20001 endpoints", "at most 20000")
}
