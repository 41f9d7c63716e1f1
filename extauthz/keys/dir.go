package keys

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	maxKeyFile = 16 << 10
	// firstName is the name of the key that opening an empty directory makes. It is fixed, so that of two starters only
	// one can make it, and it sorts before dates.
	firstName = "0-first"
)

// dated is a key and when its file was written.
type dated[K any] struct {
	key     K
	written time.Time
}

// settled picks the key to sign or seal with from keys in order of age, oldest first; there is at least one.
func settled[K any](keys []dated[K], now time.Time) K {
	for i := len(keys) - 1; i > 0; i-- {
		if now.Sub(keys[i].written) >= Settle {
			return keys[i].key
		}
	}
	return keys[0].key
}

// loadDir reads all keys of a directory, oldest first. Errors name the file and never hold its content.
func loadDir[K any](dir, ext string, parse func([]byte) (K, error)) ([]dated[K], error) {
	names, err := keyFiles(dir, ext)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 || len(names) > maxKeys {
		return nil, fmt.Errorf("keys: %s holds %d files *%s, not 1 to %d", dir, len(names), ext, maxKeys)
	}
	var keys []dated[K]
	for _, name := range names {
		body, written, err := readKeyFile(name)
		if err != nil {
			return nil, err
		}
		key, err := parse(body)
		if err != nil {
			return nil, fmt.Errorf("keys: reading %s: %w", name, err)
		}
		keys = append(keys, dated[K]{key, written.Truncate(time.Second)})
	}
	// The names are in order already, so a stable sort leaves them so where times are equal.
	slices.SortStableFunc(keys, func(a, b dated[K]) int { return a.written.Compare(b.written) })
	return keys, nil
}

// keyFiles lists the paths of a directory's key files in the order of their names.
func keyFiles(dir, ext string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("keys: listing %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); filepath.Ext(name) == ext && !strings.HasPrefix(name, ".") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, nil
}

// readKeyFile refuses a file that others than its owner may touch: such a key must be taken for known.
func readKeyFile(path string) ([]byte, time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("keys: reading %w", err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, time.Time{}, fmt.Errorf("keys: %s is not a file", path)
	case mode.Perm()&0o077 != 0:
		return nil, time.Time{}, fmt.Errorf("keys: %s is open to others (mode %04o): chmod 600 %s", path, mode.Perm(), path)
	case info.Size() > maxKeyFile:
		return nil, time.Time{}, fmt.Errorf("keys: %s is too large for a key", path)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("keys: reading %w", err)
	}
	return body, info.ModTime(), nil
}

// ensureKey makes the first key where a directory has none. Another starter may be faster: then its key is the first.
func ensureKey(dir, ext string, generate func() ([]byte, error)) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keys: making %w", err)
	}
	paths, err := keyFiles(dir, ext)
	if err != nil || len(paths) > 0 {
		return err
	}
	if err := addKey(dir, firstName+ext, generate); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// addKey writes a new key file, which appears whole or not at all and never replaces another.
func addKey(dir, name string, generate func() ([]byte, error)) error {
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("keys: %q cannot name a key file", name)
	}
	body, err := generate()
	if err != nil {
		return fmt.Errorf("keys: generating a key: %w", err)
	}
	temp, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keys: writing %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(body)
	if err := cmp.Or(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("keys: writing %w", err)
	}
	if err := os.Link(temp.Name(), filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("keys: adding %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a new name outlast a crash: what was signed or sealed with a lost key is lost with it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keys: syncing %w", err)
	}
	if err := cmp.Or(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("keys: syncing %w", err)
	}
	return nil
}
