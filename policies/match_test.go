package policies

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	b := mustLoad(t, gatewayOf(t, exposed("read", "path", `"/issue/{key}"`)+
		exposed("mine", "path", `"/issue/mine"`)+
		exposed("old", "path", `"/issue/old"`, "expires", `"2020-01-31"`)+
		exposed("comment", "path", `"/issue/{key}/comment"`)+
		exposed("mine.votes", "path", `"/issue/mine/votes"`)+
		exposed("slash", "path", `"/issue/"`)+
		exposed("root", "path", `"/"`)+
		exposed("write", "method", `"POST"`, "path", `"/issue/{id}"`)+
		exposed("wiki", "product", `"wiki"`, "path", `"/{a}/{b}"`)))
	tests := []struct{ name, product, method, path, want string }{
		{"variable", "issues", "GET", "/issue/ABC-1", "read"},
		{"literal wins", "issues", "GET", "/issue/mine", "mine"},
		{"an ended literal is not there", "issues", "GET", "/issue/old", "read"},
		{"back from a literal", "issues", "GET", "/issue/mine/comment", "comment"},
		{"literal all along", "issues", "GET", "/issue/mine/votes", "mine.votes"},
		{"method", "issues", "POST", "/issue/mine", "write"},
		{"product", "wiki", "GET", "/issue/mine", "wiki"},
		{"a slash at the end", "issues", "GET", "/issue/", "slash"},
		{"root", "issues", "GET", "/", "root"},
		{"all characters", "issues", "GET", "/issue/aZ0-._~%20!$&'()+,:@=", "read"},
		{"escapes", "issues", "GET", "/issue/%25%33%BF3B%5b%2F", "read"},
		{"a lone percent sign", "issues", "GET", "/issue/a%", ""},
		{"a cut escape", "issues", "GET", "/issue/%2", ""},
		{"an escape of other digits", "issues", "GET", "/issue/%2g", ""},
		{"a path parameter", "issues", "GET", "/issue/mine;x=1", ""},
		{"nothing but a parameter", "issues", "GET", "/issue/;", ""},
		{"a parameter further up", "issues", "GET", "/issue/a;b/comment", ""},
		{"an escaped parameter", "issues", "GET", "/issue/mine%3Bx", ""},
		{"an escaped parameter, lower case", "issues", "GET", "/issue/mine%3bx", ""},
		{"an escaped query", "issues", "GET", "/issue/mine%3Fx", ""},
		{"an escaped query, lower case", "issues", "GET", "/issue/mine%3f", ""},
		{"an escaped fragment", "issues", "GET", "/issue/%23", ""},
		{"an escaped fragment further up", "issues", "GET", "/issue/a%23b/comment", ""},
		{"no slash at the end", "issues", "GET", "/issue", ""},
		{"a slash too much", "issues", "GET", "/issue/x/", ""},
		{"an empty variable", "issues", "GET", "/issue//comment", ""},
		{"HEAD is not GET", "issues", "HEAD", "/issue/mine", ""},
		{"case", "issues", "GET", "/Issue/x", ""},
		{"case of the method", "issues", "get", "/issue/x", ""},
		{"no such product", "vault", "GET", "/issue/x", ""},
		{"deeper", "issues", "GET", "/issue/x/comment/1", ""},
		{"bracket", "issues", "GET", "/issue/[x]", ""},
		{"asterisk", "issues", "GET", "/issue/a*", "read"},
		{"query", "issues", "GET", "/issue/x?y", ""},
		{"not ASCII", "issues", "GET", "/issue/é", ""},
		{"control", "issues", "GET", "/issue/a\x00", ""},
		{"relative", "issues", "GET", "issue/x", ""},
		{"asterisk form", "issues", "OPTIONS", "*", ""},
		{"nothing", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, ok := b.Match(tt.product, tt.method, tt.path, date("2026-01-01T00:00:00Z"))
			if ok != (tt.want != "") || ok && e.ID != tt.want {
				t.Errorf("Match = %v, %v; want %q", e, ok, tt.want)
			}
		})
	}
	if e, ok := b.Match("issues", "GET", "/issue/old", date("2020-01-31T23:59:59Z")); !ok || e.ID != "old" {
		t.Errorf("on the last day: %v", e)
	}
}

func TestOverlaps(t *testing.T) {
	tests := []struct {
		name  string
		paths []string
		want  bool
	}{
		{"crossing", []string{"/a/{x}/c", "/{y}/b/c"}, true},
		{"crossing at the ends", []string{"/a/{x}", "/{x}/b"}, true},
		{"the same", []string{"/a/b", "/a/b"}, true},
		{"the same shape", []string{"/a/{x}", "/a/{y}"}, true},
		{"crossing through a third", []string{"/a/{x}/c/{z}", "/a/b/c/d", "/{a}/b/{c}/d"}, true},
		{"special case", []string{"/a/{x}", "/a/b"}, false},
		{"special cases in a row", []string{"/{x}/{y}/{z}", "/a/{y}/{z}", "/a/b/{z}", "/a/b/c"}, false},
		{"another literal", []string{"/a/{x}/c", "/{y}/b/d"}, false},
		{"another length", []string{"/a/{x}", "/a/{x}/"}, false},
		{"two specials of one", []string{"/{x}/{y}", "/a/{y}", "/b/{y}"}, false},
		{"two specials that cross", []string{"/{x}/{y}", "/a/{y}", "/{x}/b"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := ""
			for i, p := range tt.paths {
				text += exposed(fmt.Sprint("e", i), "path", regoString(p))
			}
			if tt.want {
				refused(t, gatewayOf(t, text), "gateway.rego:", "remove one")
				return
			}
			mustLoad(t, gatewayOf(t, text))
		})
	}
	refused(t, gatewayOf(t, exposed("b", "path", `"/a/{x}"`)+"\n"+exposed("a", "path", `"/{y}/b"`)),
		`gateway.rego:4: endpoints["b"]: GET /a/{x} could match the same path as "a" at gateway.rego:6, /{y}/b,`, "write a segment of one out, or remove one")
	for _, path := range []string{"/a/{y}", "/a/{x}"} {
		refused(t, gatewayOf(t, exposed("b", "path", `"/a/{x}"`)+"\n"+exposed("a", "path", regoString(path))),
			`gateway.rego:4: endpoints["b"]: GET /a/{x} and `+path+` of "a" at gateway.rego:6 are the same path twice: merge them or remove one`)
	}
	mustLoad(t, gatewayOf(t, exposed("a", "path", `"/a/{x}"`)+exposed("b", "path", `"/{x}/b"`, "method", `"HEAD"`)+exposed("c", "path", `"/{x}/b"`, "product", `"wiki"`)))
}

// Over random lists and paths: a list passes if and only if an order of regular expressions, which is what Envoy makes of
// it, is right for all paths, and then Match finds what that order finds.
func TestMatchAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kept := 0
	for range 2000 {
		list := randomList(r)
		crossing := slices.ContainsFunc(list, func(a Endpoint) bool {
			return slices.ContainsFunc(list, func(b Endpoint) bool { return a.ID < b.ID && crosses(a, b) })
		})
		if found, err := conflicts(t.Context(), list); err != nil || len(found) > 0 != crossing {
			t.Fatalf("conflicts of %v: %v, %v", list, found, err)
		}
		if crossing {
			continue
		}
		kept++
		b := &Bundle{routes: routes{}}
		for i := range list {
			b.routes.add(&list[i])
		}
		find := reference(list)
		for range 50 {
			path := randomPath(r, []string{"a", "b", "c", "", "[", "%20", "*", "a;b", "%3f"})
			want := find(path)
			e, ok := b.Match("p", "GET", path, time.Time{})
			if ok != (want != "") || ok && e.ID != want {
				t.Fatalf("%s in %v: %v, want %q", path, list, e, want)
			}
		}
	}
	if kept < 200 {
		t.Errorf("only %d lists passed", kept)
	}
}

func randomList(r *rand.Rand) (list []Endpoint) {
	for i := range 1 + r.IntN(6) {
		path := randomPath(r, []string{"a", "b", "{x}", "{x}"})
		for n := 0; strings.Contains(path, "{x}"); n++ {
			path = strings.Replace(path, "{x}", fmt.Sprintf("{v%d}", n), 1)
		}
		list = append(list, Endpoint{ID: fmt.Sprint(i), Product: "p", Method: "GET", Path: path})
	}
	return list
}

func randomPath(r *rand.Rand, segments []string) string {
	var path strings.Builder
	for range 1 + r.IntN(4) {
		path.WriteString("/" + segments[r.IntN(len(segments))])
	}
	return path.String()
}

// crosses compares two templates segment by segment.
func crosses(a, b Endpoint) bool {
	s, t := strings.Split(a.Path, "/"), strings.Split(b.Path, "/")
	if len(s) != len(t) {
		return false
	}
	more, less := false, false
	for i := range s {
		switch v, w := strings.HasPrefix(s[i], "{"), strings.HasPrefix(t[i], "{"); {
		case v && !w:
			less = true
		case !v && w:
			more = true
		case !v && s[i] != t[i]:
			return false
		}
	}
	return more == less
}

// reference tries the templates as Envoy does, those with the first literal first.
func reference(list []Endpoint) func(path string) (id string) {
	ordered := slices.SortedFunc(slices.Values(list), func(a, b Endpoint) int {
		return strings.Compare(variables.ReplaceAllString(a.Path, "\x7f"), variables.ReplaceAllString(b.Path, "\x7f"))
	})
	var patterns []*regexp.Regexp
	for _, e := range ordered {
		patterns = append(patterns, regexp.MustCompile("^"+variables.ReplaceAllString(e.Path, "[a-zA-Z0-9-._~%!$$&'()*+,;:@=]+")+"$"))
	}
	return func(path string) string {
		for i, p := range patterns {
			if p.MatchString(path) && !cuts.MatchString(path) {
				return ordered[i].ID
			}
		}
		return ""
	}
}

var (
	variables = regexp.MustCompile(`\{\w+\}`)
	cuts      = regexp.MustCompile(`(?i);|%3b|%3f|%23`) // what Envoy takes and a product may cut a path at
)

// The time does not grow with the list, and nothing is allocated.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bundle := mustLoad(b, dirOf(b, files{"a.rego": valid, "g.rego": list(n, false)}))
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := bundle.Match("product-7", "GET", "/rest/api/7/issue/ABC-1", now); !ok {
					b.Fatal("no match")
				}
			}
		})
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	b := mustLoad(t, dirOf(t, files{"a.rego": valid, "g.rego": list(100, true)}))
	if n := testing.AllocsPerRun(100, func() { b.Match("product-7", "GET", "/rest/api/7/issue/ABC-1", time.Time{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A variable takes no other spelling of a literal beside it, and any other value.
func TestAnEscapedLiteralIsNoVariable(t *testing.T) {
	b := mustLoad(t, gatewayOf(t, exposed("read", "path", `"/issue/{key}"`)+exposed("marked", "path", `"/issue/m:x"`)+
		exposed("votes", "path", `"/issue/{key}/votes"`)+exposed("marked.votes", "path", `"/issue/m:x/votes"`)+
		exposed("old", "path", `"/issue/o:x"`, "expires", `"2020-01-31"`)))
	for path, want := range map[string]string{
		"/issue/A-1": "read", "/issue/A%201": "read", "/issue/m:x": "marked", "/issue/m:y%3A": "read", "/issue/m:x%20": "read", "/issue/o%3Ax": "read",
		"/issue/m%3Ax": "", "/issue/m%3ax": "", "/issue/m%3Ax/votes": "", "/issue/m:x/votes": "marked.votes", "/issue/%20/votes": "votes",
	} {
		e, ok := b.Match("issues", "GET", path, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
		if ok != (want != "") || ok && e.ID != want {
			t.Errorf("%s: %v, want %q", path, e, want)
		}
	}
}

// What a variable takes and what Envoy is told that it takes are the same, byte for byte.
func TestSegmentIsWhatAVariableTakes(t *testing.T) {
	pattern, random := regexp.MustCompile("^"+Segment+"$"), rand.New(rand.NewPCG(5, 6))
	taken := 0
	compare := func(segment string) {
		got := isValue(segment)
		if want := pattern.MatchString(segment) && !strings.HasSuffix(segment, "\n"); got != want {
			t.Errorf("%q: a variable takes it: %t, Envoy: %t", segment, got, want)
		}
		if got {
			taken++
		}
	}
	for a := range 256 {
		compare(string([]byte{byte(a)}))
		compare("x" + string([]byte{byte(a)}))
		for b := range 256 {
			compare("%" + string([]byte{byte(a), byte(b)}))
		}
	}
	const signs = "aZ09-._~%%%%%!$&'()*+,:@=;?#/{}23BbFfé"
	for range 10_000 {
		segment := make([]byte, random.IntN(6))
		for i := range segment {
			segment[i] = signs[random.IntN(len(signs))]
		}
		compare(string(segment))
	}
	if taken < 1000 {
		t.Errorf("only %d were taken", taken)
	}
}
