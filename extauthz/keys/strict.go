package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON may nest.
const maxDepth = 16

// b64 refuses padding and stray bits at the end (RFC 4648, 3.5).
var b64 = base64.RawURLEncoding.Strict()

// decode refuses what encoding/base64 skips in any mode: line breaks. A value has one spelling, or a revoked or used one
// could come back in another.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("a line break in base64url")
	}
	return b64.DecodeString(s)
}

// members are those of a JSON object, by their folded names.
type members map[string]member

type member struct {
	name  string
	value json.RawMessage
}

// get returns the value of exactly this name, which must be one that folds to itself; nil: there is none.
func (m members) get(name string) json.RawMessage {
	if found := m[name]; found.name == name {
		return found.value
	}
	return nil
}

// object parses a JSON object and refuses doubled names at any depth (RFC 7519, 4 allows it; which of two a reader takes
// differs). Names that differ in case alone are doubled too: encoding/json, with which callers read claims, takes them
// for one. It scans by hand since it stands before the signature, where strangers' tokens must cost little.
func object(raw []byte) (members, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, errors.New("not JSON")
	}
	s := scanner{raw: raw}
	if s.space() != '{' {
		return nil, errors.New("not a JSON object")
	}
	return s.object(0)
}

// Exact refuses JSON that is no object, in which a name stands twice, or in which one of the given names stands in another spelling:
// encoding/json takes names that differ in case for one, and believes the last. It is for claims whose signature another library verified,
// and looks at the outermost names alone: those are what is read of them.
func Exact(raw []byte, names ...string) error {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return errors.New("not JSON")
	}
	s := scanner{raw: raw, shallow: true}
	if s.space() != '{' {
		return errors.New("not a JSON object")
	}
	found, err := s.object(0)
	if err != nil {
		return err
	}
	for _, name := range names {
		if m, ok := found[fold(name)]; ok && m.name != name {
			return errors.New("a name in JSON that is spelled otherwise than the one it would be taken for")
		}
	}
	return nil
}

// scanner walks over JSON that is known to be valid, and so needs to look only at what tells values apart.
type scanner struct {
	raw     []byte
	at      int
	shallow bool // doubled names count at the outermost level alone
}

// space passes white space and says what comes next.
func (s *scanner) space() byte {
	for s.raw[s.at] == ' ' || s.raw[s.at] == '\t' || s.raw[s.at] == '\n' || s.raw[s.at] == '\r' {
		s.at++
	}
	return s.raw[s.at]
}

func (s *scanner) object(depth int) (members, error) {
	found := make(members)
	s.at++ // the brace
	for s.space() != '}' {
		name, err := s.name()
		if err != nil {
			return nil, err
		}
		s.space()
		s.at++ // the colon
		s.space()
		from := s.at
		if err := s.value(depth + 1); err != nil {
			return nil, err
		}
		folded := fold(name)
		if _, twice := found[folded]; twice && (depth == 0 || !s.shallow) {
			return nil, errors.New("a doubled name in JSON")
		}
		found[folded] = member{name, s.raw[from:s.at]}
		s.comma()
	}
	s.at++
	return found, nil
}

func (s *scanner) comma() {
	if s.space() == ',' {
		s.at++
	}
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return errors.New("JSON nests too deep")
	}
	switch s.raw[s.at] {
	case '{':
		_, err := s.object(depth)
		return err
	case '[':
		return s.array(depth)
	case '"':
		s.text()
	default: // a number, true, false or null: to what ends it
		s.at += bytes.IndexAny(s.raw[s.at:], ",]} \t\r\n")
	}
	return nil
}

func (s *scanner) array(depth int) error {
	s.at++ // the bracket
	for s.space() != ']' {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.comma()
	}
	s.at++
	return nil
}

// text passes a string and returns it as it is written, without its quotes.
func (s *scanner) text() []byte {
	s.at++
	from := s.at
	for ; s.raw[s.at] != '"'; s.at++ {
		if s.raw[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.raw[from : s.at-1]
}

func (s *scanner) name() (name string, err error) {
	from := s.at
	if written := s.text(); bytes.IndexByte(written, '\\') < 0 {
		return string(written), nil
	}
	err = json.Unmarshal(s.raw[from:s.at], &name)
	return name, err
}

// fold maps names that strings.EqualFold takes for equal to one, and lower-case ASCII to itself.
func fold(name string) string {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			return strings.Map(foldRune, name)
		}
	}
	return name
}

// foldRune picks one of the runes that fold to each other, such as K, k and the Kelvin sign.
func foldRune(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	if least >= 'A' && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// text is a JSON string; nothing else is, null included.
func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// date is a NumericDate (RFC 7519, 2) in seconds since 1970: a JSON number, between 1970 and the year 9999.
func date(raw json.RawMessage) (float64, bool) {
	if len(raw) == 0 || raw[0] == '"' {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	return seconds, err == nil && seconds >= 0 && seconds < 253402300800
}
