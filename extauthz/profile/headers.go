package profile

import (
	"strings"

	"isogate/extauthz/check"
)

// What a service outside is told of a person of an isolated cloud, and all that it is told.
const (
	HeaderCloud = "x-isolated-cloud-id"    // the cloud's id
	HeaderUser  = "x-isolated-cloud-user"  // see session.ServiceUserID
	HeaderToken = "x-isolated-cloud-token" // see session.Carried; for services with a sidecar alone
)

// HeaderProduct is the id of the product that a service calls. With it the service sends its sidecar HeaderCloud and HeaderToken, as they were given.
const HeaderProduct = "x-isolated-cloud-product"

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

// namesHopByHop finds an upgrade whose Connection header names more than it needs. Envoy hands that header on with an upgrade, and whatever
// stands between it and the product drops the headers that are named there (RFC 9110 section 7.6.1): our token, if a client names it.
func namesHopByHop(r check.Request) bool {
	if len(r.Header["upgrade"]) == 0 {
		return false
	}
	for _, name := range strings.Split(strings.Join(r.Header["connection"], ","), ",") {
		switch strings.ToLower(strings.Trim(name, " \t")) {
		case "", "upgrade", "keep-alive":
		default:
			return true
		}
	}
	return false
}
