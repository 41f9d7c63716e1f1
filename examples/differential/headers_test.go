package differential

import (
	"slices"
	"strings"
	"testing"
)

// passes is the target of every row.
const passes = "/a"

// headerRows are header lines of a signed-in person's GET, and what comes of them. What stands in gone must not be in what the product receives,
// not even as a part, and what stands in kept must.
var headerRows = []struct {
	name       string
	lines      []string
	want, h2   string
	gone, kept string
}{
	{"harmless", []string{"X-Harmless: kept"}, passes, same, "forged", "x-harmless: kept"},
	{"ours", []string{"X-User-Context-Token: forged", "X-User-Context: forged", "X-Isolated-Cloud-Id: forged", "X-Isogate-Route: forged"}, passes, same, "forged", ""},
	{"ours twice", []string{"X-User-Context-Token: forged", "X-User-Context-Token: forged"}, passes, same, "forged", ""},
	{"ours, empty", []string{"X-User-Context-Token:"}, passes, same, "", ""},
	{"ours with other separators", []string{"X.User.Context.Token: forged", "X-User.Context~Token: forged", "X!Isolated!Cloud!Id: forged", "X-Isogate: forged"}, passes, same, "forged", ""},
	{"ours with underscores", []string{"X_User_Context_Token: forged"}, "400", reset, "", ""},
	{"a part with an underscore", []string{"X-User-Context_Token: forged"}, "400", reset, "", ""},
	{"any underscore", []string{"Any_Name: x"}, "400", reset, "", ""},
	{"where from", []string{"X-Forwarded-For: forged", "X-Forwarded-Host: forged", "X-Forwarded-Proto: forged", "Forwarded: for=forged", "X-Real-Ip: forged"}, passes, same, "forged", ""},
	{"certificate", []string{"X-Forwarded-Client-Cert: By=forged"}, passes, same, "forged", ""},
	{"where to", []string{"X-Original-Url: forged", "X-Rewrite-Url: forged", "X-Original-Uri: forged", "X-Forwarded-Uri: forged", "X-Forwarded-Path: forged", "X-Forwarded-Prefix: forged"}, passes, same, "forged", ""},
	{"method", []string{"X-Http-Method-Override: forged", "X-Http-Method: forged", "X-Method-Override: forged"}, passes, same, "forged", ""},
	{"Envoy's", []string{"X-Envoy-Original-Path: forged", "X-Envoy-Internal: true", "X-Envoy-External-Address: forged", "X-Envoy-Attempt-Count: forged", "X-Envoy-Any: forged", "X-Envoy-Decorator-Operation: forged"}, passes, same, "forged", ""},
	{"request id", []string{"X-Request-Id: forged"}, passes, same, "forged", ""},
	{"monitor's user agent", []string{"User-Agent: GoogleHC/1.0"}, passes, same, "", "user-agent: GoogleHC/1.0"},
	{"cookies of others", []string{"Cookie: a=1; b=2"}, passes, same, "", "cookie: a=1; b=2"},
	{"flow cookies", []string{"Cookie: a=1; __Host-isogate_flow_1=x; b=2; __host-ISOGATE=y"}, passes, same, "sogate", "cookie: a=1; b=2"},
	{"a second session cookie", []string{"Cookie: __Host-isogate_session=x"}, "400", same, "", ""},
	{"a flow cookie twice", []string{"Cookie: __Host-isogate_flow_1=x; __Host-isogate_flow_1=y"}, "400", same, "", ""},
	{"no UTF-8 in a cookie", []string{"Cookie: a=\xff"}, "400", same, "", ""},
	{"UTF-8", []string{"X-Harmless: é"}, passes, same, "", "x-harmless: é"},
	{"no UTF-8", []string{"X-Harmless: \xe9"}, "400", same, "", ""},
	{"NUL", []string{"X-Harmless: a\x00b"}, "400", reset, "", ""},
	{"control character", []string{"X-Harmless: a\x01b"}, "400", reset, "", ""},
	{"half a line end in a value", []string{"X-Harmless: a\rX-User-Context-Token: kept"}, passes, reset, "", "x-harmless: aX-User-Context-Token: kept"},
	{"space before the colon", []string{"X-User-Context-Token : forged"}, "400", reset, "", ""},
	{"name that is no token", []string{"X-Hé: x"}, "400", reset, "", ""},
	{"no colon", []string{"Nothing"}, "400", same, "", ""},
	{"too large", []string{"X-Harmless: " + strings.Repeat("a", 40_000)}, "431", reset, "", ""},
	{"too many", slices.Repeat([]string{"X-Harmless: a"}, 120), "431", reset, "", ""},
	{"named in connection", []string{"Connection: x-user-context-token, cookie", "X-User-Context-Token: forged"}, "401", reset, "forged", ""},
	{"range of a proxy", []string{"Proxy-Authorization: Basic eA==", "Via: 1.1 forged-by-nobody"}, passes, same, "", ""},
}

func TestHeaderLines(t *testing.T) {
	w := theWorld(t)
	for _, c := range headerRows {
		if c.name == "no colon" {
			c.h2 = passes // there a name with an empty value
		}
		for i, r := range w.get("issues", "/a", c.lines...).inBoth() {
			want := c.want
			if i == 1 && c.h2 != same {
				want = c.h2
			}
			o := w.check(t, r)
			if !o.matches(want) {
				t.Errorf("%s: want %s\n%s", c.name, want, w.describe(o))
				continue
			}
			for _, a := range o.arrivals {
				if c.gone != "" && strings.Contains(string(a.head), c.gone) || !strings.Contains(string(a.head), c.kept) {
					t.Errorf("%s: %q must be gone and %q kept\n%s", c.name, c.gone, c.kept, w.describe(o))
				}
			}
		}
	}
}

// A folded line (RFC 9112 section 5.2) is one value to everybody, or nobody reads it.
func TestFoldedLines(t *testing.T) {
	w := theWorld(t)
	for _, lines := range [][]string{
		{"X-Harmless: a", " X-User-Context-Token: forged"},
		{"X-Harmless: a", "\tX-User-Context-Token: forged"},
		{"Cookie: a=1;", " __Host-isogate_flow_1=x"},
		{" X-User-Context-Token: forged"},
	} {
		w.check(t, w.get("issues", "/a", lines...))
		r := w.get("issues", "/a")
		r.lines = append(slices.Clone(lines), r.lines...) // right after the host
		w.check(t, r)
	}
}

// Who has no session gets none by a header.
func TestHeadersOpenNothing(t *testing.T) {
	w := theWorld(t)
	handle := string(w.handles[hostOf("issues")])
	for _, lines := range [][]string{
		{"X-User-Context-Token: x"}, {"X-Forwarded-For: 127.0.0.1"}, {"X-Forwarded-Uri: /open/health"}, {"X-Original-Url: /open/health"}, {"X-Rewrite-Url: /open/health"},
		{"X-Envoy-Original-Path: /open/health"}, {"X-Envoy-Internal: true"}, {"User-Agent: kube-probe/1.30"}, {"User-Agent: GoogleHC/1.0"}, {"X-Forwarded-Method: OPTIONS"},
		{"X-Http-Method-Override: GET", "X-Forwarded-Host: auth." + domain}, {"X-Forwarded-Client-Cert: URI=spiffe://acme.example/issues"}, {"Authorization: Bearer x"},
		{"Cookie: __Host-isogate_session=" + string(w.handles[hostOf("wiki")])}, {"Cookie: __host-isogate_session=" + handle}, {"Cookie: __Host-isogate_session=\"" + handle + "\""},
		{"Cookie: a=1, __Host-isogate_session=" + handle}, {"Cookie: __Host-isogate_session=" + handle + "x"}, {"Authorization: Bearer " + handle}, {"X-Cookie: __Host-isogate_session=" + handle},
	} {
		w.try(t, strings.Join(lines, ", "), w.stranger("issues", "/a", lines...), "401", same)
	}
}
