package check

import (
	"strings"
	"testing"
)

// What Envoy's own normalisation leaves, and what it can leave when something is set up otherwise: everybody reads one path, or it is refused.
// CVE-2019-9901, CVE-2021-29492, CVE-2021-32779.
func TestPath(t *testing.T) {
	passes := []string{
		"/", "/a", "/a/b", "/a/b/", "/A/B", "/a+b", "/a[b]", "/a'b", "/a:b@c", "/a/...", "/a.", "/.a", "/..a", "/a/..b/c", "/a..", "/~b/A", "/a-b_c",
		"/%22%3C%3E", "/%7C%5E%60%7B%7D", "/a%20b", "/%20", "/%C3%A9", "/%c3%a9", "/%F0%9F%98%80", "/%E2%80%A8", "/a%25", "/%25", "/a%25zz", "/a%25%25b", "/100%25/b",
		"/a%23b", "/a%3fb", "/a%3Fb", "/a;x/b", "/a;/b", "/a;x=1;y=2/b", "/a/b;", "/...;/b", "/a%26b=c", "/a,b!$&'()*", "/%7Eb", "/%41", "/a%2Db",
		"/.isogate/enter", "/evil.example/a", "/a%EF%BF%BD", "/a%25%20b", "/a%c2%a0b",
	}
	for _, in := range passes {
		t.Run("pass "+in, func(t *testing.T) {
			if got, err := Path(in); err != nil || got != in {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	for _, tt := range refusals {
		for _, in := range tt.in {
			t.Run(tt.name+" "+in, func(t *testing.T) {
				if got, err := Path(in); err != errPath || got != "" {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
}

var refusals = []struct {
	name string
	in   []string
}{
	{"no path", []string{"", "a/b", "*", "?x", "a", " /a", "http://evil.example/a", "//evil.example", "%2Fa", ".", "./a", "../a"}},
	{"two slashes", []string{"//", "//a//b", "/a//b", "/a//", "///"}},
	{"dot segment", []string{"/.", "/..", "/a/./b", "/a/../b", "/a/.", "/a/..", "/./a", "/../a"}},
	{"dot segment with parameters", []string{"/a/..;/b", "/a/.;/b", "/a/..;x=1/b", "/..;", "/.;x", "/a/..;;/b", "/a/..;..;/b"}},
	{"nothing but parameters", []string{"/;x/b", "/a/;/b", "/;", "/;/denied", "/%20;x/b"}}, // a server that drops them reads //
	{"dot segment with spaces", []string{"/a/.%20/b", "/a/%20../b", "/a/..%20", "/a/..%20;x/b", "/a/%20.%20;/b"}},
	{"escaped dot", []string{"/a/%2e%2e/b", "/a/.%2E/b", "/a/%2e/b", "/%2e%2e;/b", "/a/%2e%2e%3bx/b", "/a%2eb", "/a%2E"}},
	{"escaped slash", []string{"/a%2Fb", "/a%2fb", "/a/..%2fb", "/%2f", "/a%2F"}},
	{"backslash", []string{`/a\b`, `/a/..\b`, `\`, `/\evil.example`, "/a%5Cb", "/a%5cb", "/a/..%5cb"}},
	{"escaped semicolon", []string{"/a/..%3b/b", "/a%3bx/b", "/a%3B", "/a/..%3bx/b"}},
	{"escaped control", []string{"/a%00b", "/a/..%00/b", "/a%0ab", "/a%0d%0ab", "/a%09b", "/a%7fb", "/a%7F", "/a%1f", "/a%1B[31m", "/a%C2%80", "/a%c2%9f", "/a%c2%85b"}},
	{"raw control", []string{"/a\x00b", "/a\x01", "/a\tb", "/a b", "/a\x7f", "/a\r\nb", "/a\n", "/a\x1b[0m"}},
	{"raw non-ASCII", []string{"/é", "/\xff", "/\xc0\xae", "/\u2028", "/a\u00a0", "/a\ufffd"}},
	{"fragment", []string{"/a#frag", "/#", "#"}},
	{"second layer", []string{"/a%252e%252e/b", "/a/%252e%252e/b", "/a%252Fb", "/a%255cb", "/a%2541", "/a%25252f", "/%2525", "/a%25%34%31", "/a%2%35", "/a%25f0", "/%25%30%30"}},
	{"broken escape", []string{"/a%zz", "/a%", "/a%2", "/%", "/a%2g", "/a%%20", "/a%-1", "/a%0x", "/a% 20", "/a%2%30"}},
	{"not UTF-8", []string{"/%ff%fe", "/a%c0%aeb", "/a/%c0%ae%c0%ae/b", "/a%c3", "/a%ed%a0%80", "/a%f4%90%80%80", "/a%e0%80%af", "/%80"}},
	{"too long", []string{"/" + strings.Repeat("a", maxTarget)}},
}

func TestThePathAndTheQueryTogetherAreBounded(t *testing.T) {
	longest := "/" + strings.Repeat("a", maxTarget-1)
	if _, err := Path(longest); err != nil {
		t.Error(err)
	}
	for name, target := range map[string]string{"path": longest + "a", "query": "/?" + strings.Repeat("q", maxTarget), "one more": longest + "?"} {
		in := question("GET", issuesHost, target)
		if _, err := parse(in); err != errPath {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := question("GET", issuesHost, "/?"+strings.Repeat("q", maxTarget-2))
	if _, err := parse(in); err != nil {
		t.Error(err)
	}
}

// An accepted path is canonical under a model that knows nothing of Path: decoded once, every segment is plain, and encoding or decoding it
// again in the ways that servers do changes nothing about where it leads.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a%20b", "/%C3%A9", "/a%25", "/a;x/b", "/a%23b", "/a/.%20/b", "/a%25%34%31", "/%2525"} {
		f.Add(seed)
	}
	for _, tt := range refusals[:len(refusals)-1] {
		for _, seed := range tt.in {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Path(in)
		if err != nil {
			if got != "" {
				t.Fatalf("an error and the path %q", got)
			}
			return
		}
		if got != in {
			t.Fatalf("%q became %q", in, got)
		}
		if why := faultOf(in); why != "" {
			t.Fatalf("%q passes: %s", in, why)
		}
	})
}
