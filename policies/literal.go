package policies

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A scanner reads the plain objects that endpoints are written as: string keys, and as values strings, lists of strings
// and such objects. It knows less than Rego on purpose: what it does not know, such as an escape in a string, makes it
// give up, and OPA's parser reads the text. Where it reads something, both read the same.
type scanner struct {
	text  []byte
	at    int
	row   int     // of text[at], from 1
	twice *member // a key that an object holds for the second time, where OPA's parser would keep the last one
}

// space skips white space and comments.
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\n':
			s.row++
		case c == ' ' || c == '\t' || c == '\r':
		case c == '#':
			end := bytes.IndexByte(s.text[s.at:], '\n')
			if end < 0 {
				end = len(s.text) - s.at
			}
			s.at += end
			continue
		default:
			return
		}
		s.at++
	}
}

// accept consumes c if it is what comes next.
func (s *scanner) accept(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// str reads a string without escapes.
func (s *scanner) str() (text string, ok bool) {
	if !s.accept('"') {
		return "", false
	}
	end := bytes.IndexByte(s.text[s.at:], '"')
	if end < 0 {
		return "", false
	}
	raw := s.text[s.at : s.at+end]
	if bytes.IndexByte(raw, '\\') >= 0 || bytes.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == utf8.RuneError || r == '\ufeff' }) {
		return "", false
	}
	s.at += end + 1
	return string(raw), true
}

// member is one key of an object and where it stands.
type member struct {
	key   *ast.Term
	value *ast.Term
	row   int
}

// object reads what stands behind an opening brace, to the closing one. An empty object is left to OPA.
func (s *scanner) object(depth int) (members []member, ok bool) {
	members = make([]member, 0, len(endpointKeys))
	for {
		s.space()
		row := s.row
		key, ok := s.str()
		if !ok || !s.accept(':') {
			return nil, false
		}
		value, ok := s.value(depth)
		if !ok {
			return nil, false
		}
		members = append(members, member{keyTerm(key), value, row})
		comma := s.accept(',')
		if s.accept('}') {
			s.noteTwice(members)
			return members, true
		}
		if !comma {
			return nil, false
		}
	}
}

// noteTwice looks for a key that is there twice.
func (s *scanner) noteTwice(members []member) {
	seen := map[string]bool{}
	for i, m := range members {
		key := string(m.key.Value.(ast.String))
		earlier := seen[key]
		if len(members) <= len(endpointKeys) { // an endpoint, where looking is quicker than a map
			earlier = slices.ContainsFunc(members[:i], func(o member) bool { return o.key.Value.Compare(m.key.Value) == 0 })
		} else {
			seen[key] = true
		}
		if earlier {
			s.twice = &m
		}
	}
}

func (s *scanner) value(depth int) (*ast.Term, bool) {
	switch {
	case s.accept('['):
		return s.list()
	case depth > 0 && s.accept('{'):
		members, ok := s.object(depth - 1)
		if !ok {
			return nil, false
		}
		return objectTerm(members), true
	}
	text, ok := s.str()
	return ast.StringTerm(text), ok
}

// list reads the strings behind an opening bracket.
func (s *scanner) list() (*ast.Term, bool) {
	var terms []*ast.Term
	for !s.accept(']') {
		if len(terms) > 0 && !s.accept(',') {
			return nil, false
		}
		if len(terms) > 0 && s.accept(']') {
			break
		}
		text, ok := s.str()
		if !ok {
			return nil, false
		}
		terms = append(terms, ast.StringTerm(text))
	}
	return ast.ArrayTerm(terms...), true
}

func objectTerm(members []member) *ast.Term {
	pairs := make([][2]*ast.Term, len(members))
	for i, m := range members {
		pairs[i] = [2]*ast.Term{m.key, m.value}
	}
	return ast.NewTerm(ast.NewObject(pairs...))
}

// keyTerms are the keys that an endpoint can have. Terms are read-only, so all share them.
var keyTerms = func() map[string]*ast.Term {
	terms := make(map[string]*ast.Term, len(endpointKeys))
	for _, key := range endpointKeys {
		terms[key] = ast.StringTerm(key)
	}
	return terms
}()

func keyTerm(key string) *ast.Term {
	if t := keyTerms[key]; t != nil {
		return t
	}
	return ast.StringTerm(key)
}
