package privacy

import (
	"bytes"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxEscaped is how often escapes may be wrapped in each other.
const maxEscaped = 4

// unescape undoes the escapes of URLs (%40), of JSON and its like (\u0040, \x40) and of HTML (&#64;), all of them at once.
func unescape(in []byte) (out []byte, changed bool) {
	for {
		at := bytes.IndexAny(in, `%\&`)
		if at < 0 {
			return append(out, in...), changed
		}
		meant, length := escaped(in[at:])
		if length == 0 {
			meant, length = in[at:at+1], 1
		} else {
			changed = true
		}
		out = append(append(out, in[:at]...), meant...)
		in = in[at+length:]
	}
}

// maxReference is longer than any HTML character reference that matters here, in bytes.
const maxReference = 12

// escaped reads the one escape that some bytes begin with. Its length is 0 if they begin with none.
func escaped(in []byte) (meant []byte, length int) {
	switch {
	case in[0] == '%':
		return hexadecimal(in, 1, 2)
	case len(in) > 1 && in[0] == '\\' && in[1] == 'x':
		return hexadecimal(in, 2, 2)
	case len(in) > 1 && in[0] == '\\' && in[1] == 'u':
		return hexadecimal(in, 2, 4)
	case in[0] != '&':
		return nil, 0
	}
	end := bytes.IndexByte(in[:min(len(in), maxReference)], ';')
	if end < 0 {
		return nil, 0
	}
	reference := string(in[:end+1])
	if text := html.UnescapeString(reference); text != reference && !strings.HasSuffix(text, ";") {
		return []byte(text), end + 1
	}
	return nil, 0
}

// hexadecimal reads digits after a sign: two are a byte, four a character.
func hexadecimal(in []byte, sign, digits int) (meant []byte, length int) {
	if len(in) < sign+digits {
		return nil, 0
	}
	n, err := strconv.ParseUint(string(in[sign:sign+digits]), 16, 16)
	switch {
	case err != nil:
		return nil, 0
	case digits == 2:
		return []byte{byte(n)}, sign + digits
	}
	return utf8.AppendRune(nil, rune(n)), sign + digits
}
