package dpop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// b64 refuses padding and stray bits at the end (RFC 4648, 3.5).
var b64 = base64.RawURLEncoding.Strict()

// decode refuses an empty value, and what encoding/base64 skips in any mode: line breaks.
func decode(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("empty or not base64url")
	}
	raw, err := b64.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return raw, nil
}

// object parses a JSON object and refuses doubled names (RFC 7515, 4; RFC 7519, 4), of which each reader could take
// another. Names are compared as they are, after their escapes. A value is not looked into: who reads one parses it here too.
func object(raw []byte) (map[string]json.RawMessage, error) {
	var found map[string]json.RawMessage
	if !utf8.Valid(raw) || json.Unmarshal(raw, &found) != nil || found == nil {
		return nil, errors.New("not a JSON object")
	}
	if len(found) != countMembers(raw) {
		return nil, errors.New("a doubled name in JSON")
	}
	return found, nil
}

// countMembers counts a valid object's members, doubled or not: each has one colon that is in no text and no deeper value.
func countMembers(raw []byte) (n int) {
	depth, inText := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			n++
		}
	}
	return n
}

// text is a value of object that is a JSON string; nothing else is, null included. One without escapes is what stands between its quotes.
func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	return s, json.Unmarshal(raw, &s) == nil
}
