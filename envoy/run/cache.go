package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CacheDir is .cache beside the go.mod of the source tree that the process works in: one installation serves every test and the demo.
// It is an error to ask outside a source tree.
func CacheDir() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("run: finding the source tree: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return filepath.Join(dir, ".cache"), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("run: finding the source tree: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("run: no go.mod in %s or above it: not in a source tree", start)
		}
	}
}
