package policies

import (
	"bytes"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// cut is a statement whose object was cut out of a text.
type cut struct {
	id      *ast.Term // nil: the whole list
	members []member
	twice   *member // a key that is there twice
	row     int
	witness bool // the statement still stands in the text, with an empty object

	from, open, end int // in the text: the statement, the object's inside, its closing brace
}

// elide cuts out the objects that a scanner can read; they are most of a long list's text, and OPA's parser is slow. Nothing is
// cut out of a text that OPA refuses as a whole, for a byte that could stand in a comment inside of what would be cut. The
// lines stay, so that all that follows keeps its row. Of statements that follow each other without anything in between, the
// first and the last stay, with an empty object: where those two are statements of their own, so are the ones between.
func elide(text []byte) (skeleton []byte, cuts []cut) {
	if utf8.Valid(text) && !bytes.ContainsAny(text, "\x00\ufeff") {
		cuts = findCuts(text)
	}
	if len(cuts) == 0 {
		return text, nil
	}
	skeleton = make([]byte, 0, len(text)/4)
	copied := 0
	for i := range cuts {
		c := &cuts[i]
		c.witness = i == 0 || i == len(cuts)-1 || !adjoin(text, cuts[i-1], *c) || !adjoin(text, *c, cuts[i+1])
		if c.witness {
			skeleton = append(skeleton, text[copied:c.open]...)
			skeleton = appendLines(skeleton, text[c.open:c.end])
			copied = c.end
			continue
		}
		skeleton = append(skeleton, text[copied:c.from]...)
		skeleton = appendLines(skeleton, text[c.from:c.end])
		copied = c.end + 1
	}
	return append(skeleton, text[copied:]...), cuts
}

// findCuts looks at the beginning of each line for a statement that lists endpoints.
func findCuts(text []byte) (cuts []cut) {
	s := scanner{text: text, row: 1}
	for s.at < len(text) {
		if c, behind, ok := s.statement(); ok {
			cuts = append(cuts, c)
			s = behind
		}
		end := bytes.IndexByte(text[s.at:], '\n')
		if end < 0 {
			break
		}
		s.at += end + 1
		s.row++
	}
	return cuts
}

// statement reads one at the beginning of a line, and tells where the scanner is behind it.
func (s scanner) statement() (c cut, behind scanner, ok bool) {
	id, n := heading(s.text[s.at:])
	if n == 0 {
		return c, s, false
	}
	c = cut{row: s.row, from: s.at, open: s.at + n}
	depth := 1
	if id != nil {
		c.id, depth = ast.StringTerm(string(id)), 0
	}
	s.at = c.open
	c.members, ok = s.object(depth)
	c.end, c.twice = s.at-1, s.twice
	s.twice = nil
	return c, s, ok
}

// heading recognises `endpoints["id"] := {`, and the whole list's `endpoints := {`. n is how long it is, 0 if the line is
// something else; id is nil for the whole list.
func heading(line []byte) (id []byte, n int) {
	rest, ok := bytes.CutPrefix(line, []byte("endpoints"))
	if !ok {
		return nil, 0
	}
	if quoted, ok := bytes.CutPrefix(rest, []byte(`["`)); ok {
		end := bytes.IndexByte(quoted, '"')
		if end < 0 || end > 64 || !isWord(string(quoted[:end]), "._-") {
			return nil, 0
		}
		id = quoted[:end]
		if rest, ok = bytes.CutPrefix(quoted[end:], []byte(`"]`)); !ok {
			return nil, 0
		}
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(" := {")); !ok {
		return nil, 0
	}
	return id, len(line) - len(rest)
}

// adjoin tells whether nothing but space and comments stands between two.
func adjoin(text []byte, a, b cut) bool {
	s := scanner{text: text, at: a.end + 1}
	s.space()
	return s.at == b.from
}

func appendLines(to, text []byte) []byte {
	for range bytes.Count(text, []byte("\n")) {
		to = append(to, '\n')
	}
	return to
}

// fits tells whether each statement that still stands is a plain rule, so that its text meant what the scanner took it for;
// it could have stood inside a raw string, or had a condition behind it.
func fits(m *ast.Module, cuts []cut) bool {
	rules := make(map[int]*ast.Rule, len(m.Rules))
	for _, r := range m.Rules {
		if r.Location.Col == 1 {
			rules[r.Location.Row] = r
		}
	}
	for _, c := range cuts {
		if c.witness && (rules[c.row] == nil || !isPlain(rules[c.row])) {
			return false
		}
	}
	return true
}
