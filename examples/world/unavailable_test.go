package world

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"isogate/extauthz/page"
)

// The page that Envoy shows where extauthz cannot answer is the one that extauthz would show.
func TestUnavailablePageIsOne(t *testing.T) {
	envoys := must2(t)(os.ReadFile(filepath.Join(shared.Root, "xds", "snapshot", "unavailable.html")))
	if ours := page.Refused(503, "unavailable").Body; !bytes.Equal(envoys, ours) {
		t.Errorf("xds/snapshot/unavailable.html is not what package page says:\n%s", ours)
	}
}
