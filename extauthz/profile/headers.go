package profile

import "strings"

// ownPrefixes begin the names of the headers by which we tell a backend who somebody is. Envoy removes them before it asks us; a name that
// reaches us all the same, in whatever spelling a backend's framework might fold into ours, is removed here.
var ownPrefixes = []string{"x-user-context", "x-isolated-", "x-isogate"}

func ownHeader(name string) bool {
	if name == "" || name[0]|0x20 != 'x' { // each prefix begins so, and fold makes an x of nothing else
		return false
	}
	name = strings.Map(fold, name)
	for _, prefix := range ownPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// fold makes one character of all that some gateway interface turns into the underscore of an environment variable (RFC 3875 section 4.1.18
// names the hyphen; others take every character that is no letter or digit), and one case of both.
func fold(r rune) rune {
	switch {
	case 'A' <= r && r <= 'Z':
		return r | 0x20
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		return r
	}
	return '-'
}
