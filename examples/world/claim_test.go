package world

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A start that cannot be made takes nothing away from a world that runs.
func TestOneWorldInAFolder(t *testing.T) {
	before := must2(t)(os.ReadFile(shared.Manifest()))
	for want, o := range map[string]Options{
		"a world runs in": {Root: shared.Root, Dir: shared.Dir},
		"no such file":    {Root: shared.Root, Dir: shared.Dir, Clients: filepath.Join(t.TempDir(), "absent.yaml")},
	} {
		if w, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || w != nil {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if after := must2(t)(os.ReadFile(shared.Manifest())); string(after) != string(before) {
		t.Error("the world's description changed")
	}
}
