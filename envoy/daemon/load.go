package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file; ours are a few kilobytes.
const maxFile = 1 << 20

// A Validator reports what is wrong with a decoded file. It is pure: it opens no file, dials nothing and changes nothing.
type Validator interface {
	Validate(*Faults)
}

// Load reads one YAML document strictly into the struct that into points to, makes each Path in it absolute (relative ones start at the
// file's own folder) and validates it. Unknown keys, doubled keys and a second document are faults. The error is a *FileError with all
// faults at once, or says that the file cannot be read.
func Load(file string, into Validator) error {
	raw, err := readBounded(file)
	if err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	faults := load(raw, dir, into)
	if len(faults) == 0 {
		return nil
	}
	last := bytes.Count(bytes.TrimRight(raw, "\r\n\t "), []byte("\n")) + 1
	for i := range faults { // what is missing at the end is missing in the last line
		faults[i].Line = min(faults[i].Line, last)
	}
	return &FileError{File: file, Faults: faults}
}

// readBounded reads one byte more than is allowed at most, so that a file without an end costs no memory.
func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

func load(raw []byte, dir string, into Validator) []Fault {
	faults := NewFaults()
	if len(raw) > maxFile {
		faults.Add("", "is larger than %d bytes", maxFile)
		return faults.All()
	}
	tree, unread := decode(raw, into, faults)
	if tree == nil {
		return faults.All()
	}
	resolvePaths(reflect.ValueOf(into), dir)
	validated := NewFaults()
	into.Validate(validated)
	for _, f := range *validated.found {
		// What was not read looks absent to Validate; to call it missing would mislead.
		if !slices.ContainsFunc(unread, func(path string) bool { return below(f.Path, path) }) {
			f.Line = lineAt(tree.Content[0], f.Path)
			*faults.found = append(*faults.found, f)
		}
	}
	return faults.All()
}

// decode fills into and returns the document's tree, or nil where there is none to speak of, and the paths whose values were not read.
func decode(raw []byte, into any, faults *Faults) (tree *yaml.Node, unread []string) {
	tree = new(yaml.Node)
	if err := yaml.Unmarshal(raw, tree); err != nil {
		faults.put(syntaxFault(err))
		return nil, nil
	}
	if len(tree.Content) == 0 {
		faults.Add("", "is empty")
		return nil, nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		for _, text := range wrong.Errors {
			fault, lost := typeFault(text, tree.Content[0])
			faults.put(fault)
			unread = append(unread, lost...)
		}
	} else if err != nil {
		faults.put(syntaxFault(err))
		unread = []string{""}
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		faults.put(Fault{Line: second.Line, Text: "a second document: one file holds one"})
	case !errors.Is(err, io.EOF):
		faults.put(syntaxFault(err))
	}
	return tree, unread
}
