package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Fault is one thing that is wrong with a file: where it is and what to change.
type Fault struct {
	Line int    // 1-based; 0 where no line can be named
	Path string // YAML path such as cloud.products[1].host; "" for the file as a whole
	Text string // what is wrong and what to write instead
}

// FileError carries every fault of one file. A daemon that meets it at its start exits with status 2.
type FileError struct {
	File   string
	Faults []Fault
}

// Error has one line for each fault: file:line: path: text. What a file holds cannot end a line or colour a terminal.
func (e *FileError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		at := e.File
		if f.Line > 0 {
			at = fmt.Sprintf("%s:%d", e.File, f.Line)
		}
		if f.Path != "" {
			at += ": " + f.Path
		}
		lines[i] = strings.Map(printable, at+": "+f.Text)
	}
	return strings.Join(lines, "\n")
}

func printable(r rune) rune {
	if unicode.IsControl(r) {
		return unicode.ReplacementChar
	}
	return r
}

// Faults collects what Validate methods find. In names the place, so that a method needs to know only its own keys.
type Faults struct {
	prefix string
	found  *[]Fault
}

// NewFaults returns an empty collection at the root of a file.
func NewFaults() *Faults { return &Faults{found: new([]Fault)} }

// In returns the same collection one step deeper: a key, or a list's place as fmt.Sprintf("products[%d]", i).
func (f *Faults) In(format string, args ...any) *Faults {
	return &Faults{prefix: join(f.prefix, fmt.Sprintf(format, args...)), found: f.found}
}

// Add notes a fault at a key below this place; the key "" is the place itself.
func (f *Faults) Add(key, format string, args ...any) {
	f.put(Fault{Path: join(f.prefix, key), Text: fmt.Sprintf(format, args...)})
}

func (f *Faults) put(fault Fault) { *f.found = append(*f.found, fault) }

// All returns what was found, in the order of the file's lines; within a line by path, so that a file gives the same text every time.
func (f *Faults) All() []Fault {
	all := *f.found
	slices.SortStableFunc(all, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
	})
	return all
}

func join(prefix, key string) string {
	if prefix == "" || key == "" {
		return prefix + key
	}
	return prefix + "." + key
}
