package differential

import (
	"strconv"
	"strings"
	"testing"
)

// Outcomes of a table besides a status and a path.
const (
	reset = "reset" // the stream or the connection ended without an answer
	same  = ""      // in HTTP/2 as in HTTP/1.1
)

// matches tells whether an outcome is the wanted one: a path that reached the product, a status of which no product heard, or reset.
func (o outcome) matches(want string) bool {
	if strings.HasPrefix(want, "/") {
		return o.answer.status == 200 && len(o.arrivals) == 1 && o.arrivals[0].target == want
	}
	if len(o.arrivals) != 0 {
		return false
	}
	return want == reset && o.answer.ended && !o.answer.waiting || want == strconv.Itoa(o.answer.status)
}

// try sends a request in both protocols.
func (w *world) try(t *testing.T, name string, r request, want, wantH2 string) {
	t.Helper()
	if wantH2 == same {
		wantH2 = want
	}
	for i, one := range r.inBoth() {
		expected := [2]string{want, wantH2}[i]
		if o := w.check(t, one); !o.matches(expected) {
			t.Errorf("%s: want %s\n%s", name, expected, w.describe(o))
		}
	}
}

// Each target as it is sent, and what the product receives, with the query, or why it receives nothing.
func TestPathsAreOneOrRefused(t *testing.T) {
	w := theWorld(t)
	for _, c := range []struct{ target, want, h2 string }{
		{"/a/b?q=1", "/a/b?q=1", same},
		{"/", "/", same},
		{"//a//b", "/a/b", same},
		{"//evil.example/a", "/evil.example/a", same},
		{"/a/./b/../c", "/a/c", same}, {"/../x", "/x", same}, {"/a/..", "/", same}, {"/a/b/.", "/a/b/", same}, {"/a/b/..", "/a/", same},
		{"/a/%2e%2e/b", "/b", same}, {"/a/.%2E/b", "/b", same}, {"/a/%2e/b", "/a/b", same},
		{`/a\b`, "/a/b", same}, {`/a/..\b`, "/b", same}, {`\\evil.example\a`, "400", reset},
		{"/a%2Fb", "400", same}, {"/a%2fb", "400", same}, {"/a%5Cb", "400", same}, {"/a/..%2fb", "400", same}, {"/a/..%5cb", "400", same},
		{"/a/..;/b", "/b", same}, {"/a/..;x=1/b", "/b", same}, {"/a/.;/b", "/a/b", same},
		{"/a/%2e%2e;/b", "400", same}, {"/a/%2e%2e%3bx/b", "400", same}, {"/a/..%3b/b", "400", same}, {"/a/.%2e;/b", "400", same}, {"/a/%2e;/b", "400", same},
		{"/a%3bx/b", "400", same}, {"/a%3B", "400", same},
		{"/a%00b", "400", same}, {"/a/..%00/b", "400", same},
		{"/a\x00b", "400", reset}, {"/a\x01b", "400", reset}, {"/a\tb", "400", reset}, {"/a b", "400", reset}, {"/a\x7fb", "400", reset},
		{"/a%0ab", "400", same}, {"/a%0d%0ab", "400", same}, {"/a%09b", "400", same}, {"/a%7fb", "400", same}, {"/a%01", "400", same}, {"/%c2%85", "400", same},
		{"/a%252e%252e/b", "400", same}, {"/a/%252e%252e/b", "400", same}, {"/a%252Fb", "400", same}, {"/a%255cb", "400", same}, {"/a%25252fb", "400", same},
		{"/a%25b", "/a%25b", same}, {"/100%25", "/100%25", same}, {"/a%2525", "400", same}, {"/a%252", "/a%252", same}, {"/a%25zz", "/a%25zz", same},
		{"/a%7eb/%41", "/a~b/A", same}, {"/a%2Db", "/a-b", same},
		{"/a%zz", "400", same}, {"/a%", "400", same}, {"/a%2", "400", same}, {"/a%u002fb", "400", same},
		{"/a%20b", "/a%20b", same}, {"/a+b", "/a+b", same},
		{"/é", "400", "/%C3%A9"}, {"/\xff", "400", same},
		{"/%c3%a9", "/%c3%a9", same}, {"/%C3%A9", "/%C3%A9", same},
		{"/%ff%fe", "400", same}, {"/a%c0%aeb", "400", same}, {"/a/%c0%ae%c0%ae/b", "400", same}, {"/a/%e0%80%af/b", "400", same}, {"/%ed%a0%80", "400", same},
		{"/a#frag", "400", same}, {"/a?x#frag", "400", same},
		{"/a%23b", "/a%23b", same}, {"/a%3fb", "/a%3fb", same},
		{"/a?x=/../b", "/a?x=/../b", same}, {"/a?x=%2f..//b", "/a?x=%2f..//b", same}, {"/a??b", "/a??b", same}, {"/?", "/?", same}, {"/a?%zz;%00", "/a?%zz;%00", same},
		{`/a/"<>b`, "/a/%22%3C%3Eb", same}, {"/a|b^c`{}", "/a%7Cb%5Ec%60%7B%7D", same},
		{"/a[b]", "/a[b]", same}, {"/a'b", "/a'b", same}, {"/a:b@c", "/a:b@c", same}, {"/a/...", "/a/...", same}, {"/a.", "/a.", same}, {"/A/B", "/A/B", same}, {"/a/b/", "/a/b/", same},
		{"/a/.%20/b", "400", same}, {"/a/..%20/b", "400", same}, {"/a/%20../b", "400", same},
		{"?x", "400", reset}, {"a/b", "400", reset}, {"*", "400", reset}, {"", "400", reset},
		{"/" + strings.Repeat("a", 8191), "/" + strings.Repeat("a", 8191), same},
		{"/" + strings.Repeat("a", 9000), "400", same}, {"/" + strings.Repeat("a", 40_000), "431", reset},
		{"/.isogate", "404", same}, {"/.isogate/none", "404", same}, {"/%2eisogate/none", "404", same}, {"/a/..;/.isogate/none", "404", same}, {"/.isogate;x/enter", "404", same},
		{"/.ISOGATE/enter", "/.ISOGATE/enter", same},
	} {
		w.try(t, c.target[:min(len(c.target), 60)], w.get("issues", c.target), c.want, c.h2)
	}
}

// A path parameter (RFC 3986 section 3.3) is part of its segment and passes; but a segment that is nothing else vanishes at those who cut
// parameters off, and with it the slash before it.
func TestSemicolons(t *testing.T) {
	w := theWorld(t)
	for _, c := range []struct{ target, want string }{
		{"/a;x/b", "/a;x/b"}, {"/a;jsessionid=1?q", "/a;jsessionid=1?q"},
		{"/;x/b", "400"}, {"/;/b", "400"}, {"/a/;/b", "400"}, {"/a/;x", "400"}, {"/;x" + denied + "/y", "400"}, {"/;" + denied, "400"},
	} {
		w.try(t, c.target, w.get("issues", c.target), c.want, same)
	}
}

// The place that the policy denies has one name. Whatever else some server takes for that name is either made that name by Envoy, and denied,
// or refused.
func TestDeniedInEverySpelling(t *testing.T) {
	w := theWorld(t)
	for _, c := range []struct{ target, want, h2 string }{
		{denied, "403", same}, {denied + "/x", "403", same}, {denied + "?/open/health", "403", same}, {"/%64enied/x", "403", same}, {"/%64%65%6E%69%65%64", "403", same},
		{"//denied//x", "403", same}, {"/./denied/x", "403", same}, {"/open/../denied/x", "403", same}, {"/open/health/../../denied", "403", same},
		{"/open/%2e%2e/denied/x", "403", same}, {"/open/..;/denied/x", "403", same}, {"/open/..;a=b/denied/x", "403", same}, {`/open\..\denied\x`, "403", same},
		{"/denied;x/y", "403", same}, {"/denied/./", "403", same}, {"/denied%20/x", "403", same}, {"/denied/x%2520", "400", same},
		{"/%2564enied/x", "400", same}, {"/open/%2e%2e;/denied/x", "400", same}, {"/open/..%2fdenied/x", "400", same}, {"/open%2f..%2fdenied", "400", same},
		{"/%2fdenied/x", "400", same}, {"/%5cdenied", "400", same}, {"/open/%c0%ae%c0%ae/denied", "400", same}, {"/open/..%00/denied", "400", same},
		{"/open/..%3b/denied", "400", same}, {"/open/.%2e%3b/denied", "400", same}, {"/x/..%09/denied", "400", same}, {"/x/..%0d/denied", "400", same},
		{"http://issues." + domain + denied + "/x", "403", "reset"}, {"https://issues." + domain + "//denied", "403", "reset"},
	} {
		w.try(t, c.target, w.get("issues", c.target), c.want, c.h2)
	}
}

// What is open to everybody is one path of one product, by GET, whatever the query; another spelling is that path to all four, or it is closed.
func TestStrangersReachOnlyWhatIsListed(t *testing.T) {
	w := theWorld(t)
	for _, c := range []struct{ product, target, want string }{
		{"issues", "/open/health", "/open/health"}, {"issues", "/open/health?a=/../b#", "400"}, {"issues", "/open/health?a=/../b", "/open/health?a=/../b"},
		{"issues", "/open/%68ealth", "/open/health"}, {"issues", "//open/./health", "/open/health"}, {"issues", "/x/..;/open/health", "/open/health"},
		{"wiki", "/open/a.b~c", "/open/a.b~c"}, {"wiki", "/open/a%2eb%7ec", "/open/a.b~c"},
		{"wiki", "/open/health", "401"}, {"issues", "/open/a.b~c", "401"},
		{"issues", "/open/health/", "401"}, {"issues", "/open/health;x", "401"}, {"issues", "/open;x/health", "401"}, {"issues", "/Open/health", "401"},
		{"issues", "/open/health%20", "401"}, {"issues", "/open/health.", "401"}, {"issues", "/open", "401"}, {"issues", "/open/health%3f", "401"},
		{"issues", "/open/health%23/../../x", "401"}, {"issues", "/x%23/../open/health", "/open/health"}, {"issues", "/open/health%3fx", "401"}, {"issues", "/x?/open/health", "401"},
		{"issues", "/open/health%2f", "400"}, {"issues", "/open%2fhealth", "400"}, {"issues", "/open/health%00", "400"}, {"issues", "/open/health%0a", "400"},
		{"issues", "/open/health%3b", "400"}, {"issues", "/open/healt%2568", "400"}, {"issues", "/open/health%ff", "400"}, {"issues", "/x/%2e%2e;/open/health", "400"},
		{"issues", "/open/health/../../x", "401"}, {"issues", "/open/health%23/%2e%2e/y", "401"},
	} {
		w.try(t, c.target, w.stranger(c.product, c.target), c.want, same)
	}
	for _, method := range []string{"HEAD", "POST", "PUT", "OPTIONS", "DELETE"} {
		r := w.stranger("issues", "/open/health")
		r.method = method
		w.try(t, method, r, "401", same)
	}
}
