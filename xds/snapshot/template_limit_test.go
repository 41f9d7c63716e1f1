package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isogate/policies"
)

// longestTemplate is the number of characters that the policies and Envoy's own validation accept.
const longestTemplate = 256

// loaded is what the policies make of one endpoint with this path.
func loaded(t *testing.T, path string) ([]policies.Endpoint, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ingress.rego": "package isogate.ingress\n\nanonymous := {}\n\ndecision := {\"allow\": true, \"reason\": \"signed-in\"}\n",
		"gateway.rego": "package isogate.gateway\n\ndecision := {\"allow\": true, \"reason\": \"exposed\"}\n" + fmt.Sprintf(
			"endpoints[\"x\"] := {\"product\": \"issues\", \"method\": \"GET\", \"path\": %q, \"body\": \"none\", \"callers\": [\"spiffe://a/b\"]}\n", path),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := policies.Load(t.Context(), dir)
	return b.Endpoints(), err
}

// The longest template that the policies accept is one that Envoy takes, and neither takes one more: a template that Envoy refuses would cost the gateway
// every route.
func TestPoliciesAcceptNoTemplateThatEnvoyRefuses(t *testing.T) {
	c, _ := crossingCloud()
	certificates := []Certificate{{Name: "a", Chain: []byte("chain")}}
	for _, beginning := range []string{"/{x}/", "/{a}/{b}/{c}/{d}/{e}/"} {
		path := beginning + strings.Repeat("x", longestTemplate-len(beginning))
		endpoints, err := loaded(t, path)
		if err != nil || len(endpoints) != 1 {
			t.Fatalf("the policies refuse %d characters: %v", len(path), err)
		}
		if _, err := Gateway(c, endpoints, certificates, []byte("callers")); err != nil {
			t.Errorf("Envoy refuses what the policies accept: %v", err)
		}
		if _, err := loaded(t, path+"x"); err == nil || !strings.Contains(err.Error(), "is longer than") {
			t.Errorf("the policies accept %d characters: %v", len(path)+1, err)
		}
		endpoints[0].Path += "x"
		if _, err := Gateway(c, endpoints, certificates, []byte("callers")); err == nil {
			t.Errorf("Envoy would take %d characters: the policies could too", len(path)+1)
		}
	}
}
