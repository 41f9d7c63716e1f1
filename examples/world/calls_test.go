package world

import (
	"strings"
	"testing"
)

// The page of the Support Centre, the call of its sidecar, and the call that the sidecar makes: each brings the issue of the person's own cloud.
func TestServiceCallsTheCloud(t *testing.T) {
	b := member(t, "bob")
	of, err := shared.Given(b, "support")
	if err != nil {
		t.Fatal(err)
	}
	call := of.To("issues", "GET", "/rest/api/issue/OPS-1?fields=summary")
	opened, err := shared.Opened("support", call)
	if err != nil {
		t.Fatal(err)
	}
	for what, a := range map[string]Answer{
		"page": must(t)(b.Open(at("support", "/issue/OPS-1"))), "sidecar": must(t)(shared.CallSidecar("support", call)),
		"gateway": must(t)(shared.CallGateway("support", opened)),
	} {
		if a.Status != 200 || !strings.Contains(a.Body, "Backups of the wiki take longer than a night") {
			t.Errorf("%s: %d\n%.300s", what, a.Status, a.Body)
		}
	}
	if a := must(t)(shared.CallGateway("support", opened)); a.Status != 401 || a.Reason() != "proof" {
		t.Errorf("the same proof again: %d %q", a.Status, a.Reason())
	}
	if err := shared.IssueCaller("no-uri", nil, []string{"support.commercial.example"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "no-uri"} {
		if a, err := shared.CallGateway(name, opened); err == nil {
			t.Errorf("with the certificate %q: %d", name, a.Status)
		}
	}
}
