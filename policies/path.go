package policies

import (
	"slices"
	"strings"
)

// pathCharacters are those of RFC 3986 section 3.3 that a canonical path can hold besides letters and digits, less the
// ones that pathFault refuses by name.
const pathCharacters = "/-._~!$&'()+,=:@"

// pathFault says why a path cannot be matched exactly, and what to change; empty if it can. The proxy, the check and the
// product must see one and the same path, so nothing is accepted that any of them may decode, merge, cut or resolve
// (Envoy CVE-2019-9901, CVE-2021-29492). What the proxy would always escape could never match, and is refused too.
func pathFault(path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "must start with /"
	case strings.ContainsAny(path, "?#"):
		return "holds a query or fragment; remove it, the query is no part of the match"
	case strings.Contains(path, "%"):
		return "holds an escape; only paths that need none can be listed"
	case strings.Contains(path, "//"):
		return "holds //; write one slash"
	case strings.ContainsAny(path, `;\`):
		return "holds a semicolon or backslash, which products read in different ways; remove it"
	case strings.ContainsAny(path, "{}*"):
		return "looks like a pattern; it is matched exactly, so write one entry for each path"
	case slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." }):
		return "holds a dot segment; write the path that it leads to"
	case strings.IndexFunc(path, isForeign) >= 0:
		return "holds a space, control character or other character that a request would have to escape; remove it"
	}
	return ""
}

func isForeign(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(pathCharacters, r))
}
