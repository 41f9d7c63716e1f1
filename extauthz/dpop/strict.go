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
// another. Names are compared as they are, after their escapes; what stands deeper is nobody's to read before it is an
// object here too.
func object(raw []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, errors.New("not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	found := make(map[string]json.RawMessage)
	for decoder.More() {
		token, err := decoder.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, errors.New("not a name in JSON")
		}
		if _, twice := found[name]; twice {
			return nil, errors.New("a doubled name in JSON")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("not a value in JSON")
		}
		found[name] = value
	}
	return found, nil
}

// text is a JSON string; nothing else is, null included.
func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}
