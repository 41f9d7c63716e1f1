package policies

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of a directory; more is a mistake or an attack on memory.
const (
	maxFiles = 1000
	maxBytes = 8 << 20
)

// source is a directory as it was read at one moment.
type source struct {
	dir    string
	files  []file // sorted by name
	digest string
}

type file struct {
	name string // without the directory
	text []byte
}

func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.rego") }

// read takes all of dir into memory, so that everything after it works on one state.
func read(dir string) (source, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return source{}, fmt.Errorf("policies: listing the directory: %w", err)
	}
	s := source{dir: dir}
	left := maxBytes
	for _, e := range entries {
		if !isPolicy(e.Name()) {
			continue
		}
		if len(s.files) == maxFiles {
			return source{}, fmt.Errorf("policies: %s holds more than %d .rego files; merge or remove some", dir, maxFiles)
		}
		text, err := readFile(filepath.Join(dir, e.Name()), left)
		if err != nil {
			return source{}, err
		}
		if left -= len(text); left < 0 {
			return source{}, fmt.Errorf("policies: the .rego files in %s are larger than %d bytes in all; remove some", dir, maxBytes)
		}
		s.files = append(s.files, file{e.Name(), text})
	}
	if len(s.files) == 0 {
		return source{}, fmt.Errorf("policies: no .rego file in %s; put ingress.rego there", dir)
	}
	s.digest = digest(s.files)
	return s, nil
}

func isPolicy(name string) bool {
	return !strings.HasPrefix(name, ".") && filepath.Ext(name) == ".rego"
}

// readFile follows symbolic links, since that is how a ConfigMap is mounted. It reads at most one byte more than limit.
func readFile(path string, limit int) ([]byte, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would wait for a writer
	if err != nil {
		return nil, fmt.Errorf("policies: reading a file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("policies: %s is not a regular file; rename or remove it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("policies: reading a file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("policies: reading a file: %w", err)
	}
	return text, nil
}

// digest covers names and contents. The lengths keep one file's end from being read as the next one's beginning.
func digest(files []file) string {
	h := sha256.New()
	add := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for _, f := range files {
		add([]byte(f.name))
		add(f.text)
	}
	return hex.EncodeToString(h.Sum(nil))
}
