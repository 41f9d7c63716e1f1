package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

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
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	if len(raw) > maxFile {
		return &FileError{File: file, Faults: []Fault{{Text: fmt.Sprintf("is larger than %d bytes", maxFile)}}}
	}
	faults := NewFaults()
	tree := decode(raw, into, faults)
	if tree != nil {
		dir, err := filepath.Abs(filepath.Dir(file))
		if err != nil {
			return fmt.Errorf("daemon: %w", err)
		}
		resolvePaths(reflect.ValueOf(into), dir)
		into.Validate(faults)
	}
	if len(*faults.found) == 0 {
		return nil
	}
	for i := range *faults.found {
		locate(tree, &(*faults.found)[i])
	}
	return &FileError{File: file, Faults: faults.All()}
}

// decode fills into and returns the document's tree, or nil where there is none to speak of.
func decode(raw []byte, into any, faults *Faults) *yaml.Node {
	var tree yaml.Node
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		*faults.found = append(*faults.found, parseFault(strings.TrimPrefix(err.Error(), "yaml: ")))
		return nil
	}
	if len(tree.Content) == 0 {
		faults.Add("", "is empty")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		for _, text := range wrong.Errors {
			*faults.found = append(*faults.found, parseFault(text))
		}
	} else if err != nil {
		faults.Add("", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		*faults.found = append(*faults.found, Fault{Line: second.Line, Text: "a second document: one file holds one"})
	}
	return &tree
}

var (
	lineText  = regexp.MustCompile(`^line (\d+): (?s)(.*)$`)
	unknown   = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	doubled   = regexp.MustCompile(`^mapping key "(.*)" already defined at line (\d+)$`)
	wrongType = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `(.*)`)? into (\\S+)$")
)

// parseFault puts the YAML library's words into ours.
func parseFault(text string) Fault {
	f := Fault{Text: text}
	if m := lineText.FindStringSubmatch(text); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Text = m[2]
	}
	if m := unknown.FindStringSubmatch(f.Text); m != nil {
		f.Text = fmt.Sprintf("unknown key %q", m[1])
	} else if m := doubled.FindStringSubmatch(f.Text); m != nil {
		f.Text = fmt.Sprintf("key %q stands twice, first in line %s", m[1], m[2])
	} else if m := wrongType.FindStringSubmatch(f.Text); m != nil {
		f.Text = fmt.Sprintf("cannot be a %s here: want %s", kind(m[1]), kind(m[3]))
	}
	return f
}

// kind names a YAML tag or a Go type for somebody who writes YAML.
func kind(name string) string {
	switch {
	case name == "str" || name == "string":
		return "text"
	case name == "int" || strings.HasPrefix(name, "int") || strings.HasPrefix(name, "uint"):
		return "whole number"
	case name == "bool":
		return "true or false"
	case name == "seq" || strings.HasPrefix(name, "[]"):
		return "list"
	case name == "null":
		return "empty value"
	default:
		return "mapping"
	}
}

// locate gives a fault its line from its path, or its path from its line.
func locate(tree *yaml.Node, f *Fault) {
	switch {
	case tree == nil:
	case f.Line == 0:
		f.Line = lineAt(tree.Content[0], f.Path)
	case f.Path == "":
		f.Path = pathAt(tree.Content[0], f.Line, "")
	}
}

var step = regexp.MustCompile(`[^.\[\]]+|\[\d+\]`)

// lineAt follows a path as far as the file goes, and gives the line where it ends.
func lineAt(node *yaml.Node, path string) int {
	line := node.Line
	for _, s := range step.FindAllString(path, -1) {
		next, at := child(node, s)
		if next == nil {
			return line
		}
		node, line = next, at
	}
	return line
}

func child(node *yaml.Node, s string) (*yaml.Node, int) {
	if i, err := strconv.Atoi(strings.Trim(s, "[]")); err == nil && node.Kind == yaml.SequenceNode {
		if i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
		return nil, 0
	}
	if node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == s {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	}
	return nil, 0
}

// pathAt is the path of the deepest key or item that starts in a line.
func pathAt(node *yaml.Node, line int, path string) string {
	found := ""
	take := func(n *yaml.Node, at int, here string) {
		if at > line {
			return
		}
		if at == line {
			found = here
		}
		if deeper := pathAt(n, line, here); deeper != "" {
			found = deeper
		}
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			take(node.Content[i+1], node.Content[i].Line, join(path, node.Content[i].Value))
		}
	case yaml.SequenceNode:
		for i, n := range node.Content {
			take(n, n.Line, fmt.Sprintf("%s[%d]", path, i))
		}
	}
	return found
}
