package session

import (
	"strings"
	"testing"
)

// Whatever a client sends: none of ours is left in what the product gets, nothing else is lost, and a second reading finds the same.
func FuzzParseCookies(f *testing.F) {
	for _, seed := range []string{
		"", ";", "a=1", ours + "=H", ours + "=H; a=1", "a=1;" + ours, "__Host-isogate_flow_1=x; __Host-isogate_flow_0=y",
		ours + "=1; " + ours + "=2", federated + "=S; c", "__HOST-isogate=1; b", "\t" + ours + " = x", "\u2000" + ours + "=x", "=;=;;", "a=\xff\x00",
	} {
		f.Add(seed, "")
		f.Add("b=2", seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		got, err := ParseCookies([]string{first, second})
		if err != nil {
			return
		}
		again, err := ParseCookies([]string{got.Rest})
		if err != nil || again.Ours || again.Session != "" || again.Outside != "" || len(again.Flows) != 0 || again.Rest != got.Rest {
			t.Fatalf("reading %q again: %q, %v", got.Rest, again.Rest, err)
		}
		if !got.Ours && (got.Session != "" || got.Outside != "" || len(got.Flows) > 0) {
			t.Fatal("a cookie of ours that is not ours")
		}
		if want := keptBy(first + ";" + second); want != got.Rest {
			t.Fatalf("%q is left, not %q", got.Rest, want)
		}
	})
}

// keptBy says in another way what is left.
func keptBy(header string) string {
	var kept []string
	for _, crumb := range strings.FieldsFunc(header, func(r rune) bool { return r == ';' }) {
		crumb = strings.Trim(crumb, "\t ")
		if crumb != "" && !strings.HasPrefix(strings.ToLower(crumb), "__host-isogate") {
			kept = append(kept, crumb)
		}
	}
	return strings.Join(kept, "; ")
}
