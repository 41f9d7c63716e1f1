package profile

import "strings"

// ownPrefixes begin the names of the headers by which we tell a backend who somebody is. Envoy removes them before it asks us; a name that
// reaches us all the same, in whatever spelling a backend's framework might fold into ours, is removed here.
var ownPrefixes = []string{"x-user-context", "x-isolated-", "x-isogate"}

func ownHeader(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for _, prefix := range ownPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
