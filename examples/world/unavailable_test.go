package world

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"isogate/extauthz/page"
)

// What Envoy says by itself is what extauthz would say, byte for byte: the page where extauthz cannot answer, and the refusals of calls that lead
// nowhere, from which nobody is to learn who refused.
func TestEnvoysWordsAreOurs(t *testing.T) {
	for file, ours := range map[string]page.Answer{
		"unavailable.html": page.Refused(503, "unavailable"),
		"not-exposed.json": page.Denial(403, "not-exposed", false, ""),
		"cloud.json":       page.Denial(403, "cloud", false, ""),
	} {
		envoys := must2(t)(os.ReadFile(filepath.Join(shared.Root, "xds", "snapshot", file)))
		if !bytes.Equal(envoys, ours.Body) {
			t.Errorf("xds/snapshot/%s is not what package page says:\n%s", file, ours.Body)
		}
	}
}
