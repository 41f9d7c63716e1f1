package topology

import (
	"strings"
	"testing"
)

func TestIsHostName(t *testing.T) {
	long := strings.Repeat("a.", 123) + "example" // 253 characters
	for s, want := range map[string]bool{
		"a.b": true, "acme.localhost": true, "xn--bcher-kva.example": true, "1.2.example": true, long: true,
		"a" + long: false, "": false, ".": false, "a": false, ".a.b": false, "a.b.": false, "a.b\n": false, "a b.c": false, "a.1": false, "1.2.3.4": false, "a.0x1": false,
		"ä.example": false, "a.b:80": false, "a/b.c": false,
	} {
		if got := IsHostName(s); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

func TestIsSPIFFE(t *testing.T) {
	domain, segment := strings.Repeat("a", 255), "/"+strings.Repeat("a", 2048-len("spiffe://a.example/"))
	for id, want := range map[string]bool{
		"spiffe://acme.example/a": true, "spiffe://acme.example/ns/x/sa/A_b-c.1": true, "spiffe://a_b/x": true, "spiffe://" + domain + "/a": true,
		"spiffe://a.example/..a": true, "spiffe://a.example" + segment: true,
		"spiffe://a.example" + segment + "a": false, "spiffe://a" + domain + "/a": false, "": false, "spiffe://": false, "spiffe:///a": false,
		"spiffe://acme.example": false, "spiffe://acme.example/": false, "spiffe://acme.example/a/": false, "spiffe://acme.example//a": false,
		"spiffe://acme.example/a/../b": false, "spiffe://acme.example/./a": false, "spiffe://../../a": false, "spiffe://a/..": false,
		"spiffe://ACME.example/a": false, "SPIFFE://acme.example/a": false, "https://acme.example/a": false, "acme.example/a": false,
		"spiffe://acme.example:80/a": false, "spiffe://u@acme.example/a": false, "spiffe://acme.example/a?b": false, "spiffe://acme.example/a#b": false,
		"spiffe://acme.example/a,b": false, "spiffe://acme.example/a%2fb": false, "spiffe://acme.example/é": false, "spiffe://acme.example/a\n": false,
		"spiffe://acme.example/a\x00": false, " spiffe://acme.example/a": false, "spiffe://acme.example/*": false,
	} {
		if got := IsSPIFFE(id); got != want {
			t.Errorf("%q: %t", id, got)
		}
	}
}
