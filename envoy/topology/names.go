package topology

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Role is the place of one Envoy in the picture. The control plane gives each role its own resources and no other's.
type Role string

// The roles of Envoys. Beside them each sidecar has a role of its own, see EgressRole.
const (
	Edge       Role = "edge"       // sees names and bytes, holds no key
	Ingress    Role = "ingress"    // browser → product
	Commercial Role = "commercial" // browser → service
	Gateway    Role = "gateway"    // service → product
)

// EgressRole is the role of a service's sidecar. It is also the name of its check profile's socket: no sidecar gets what another has.
func EgressRole(service string) Role { return Role("egress-" + service) }

var (
	name   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	opaque = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{15,63}$`)
	label  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	spiffe = regexp.MustCompile(`^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`)
)

// IsName accepts what products and providers may be called.
func IsName(s string) bool { return name.MatchString(s) }

func opaqueID(s string) bool { return opaque.MatchString(s) }

// IsHostName accepts a lower-case DNS name of at least two labels, the last of which starts with a letter: an IPv4 address is no name (RFC
// 1123 section 2.1).
func IsHostName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return false
		}
	}
	top := labels[len(labels)-1]
	return len(labels) >= 2 && len(s) <= 253 && top[0] >= 'a'
}

// hostBelow is true for one more label than the domain: what a certificate for *.domain covers (RFC 6125 section 6.4.3).
func hostBelow(host, domain string) bool {
	first, rest, ok := strings.Cut(host, ".")
	return ok && rest == domain && label.MatchString(first) && len(host) <= 253
}

// isOrigin accepts an https origin as browsers write it, so without the default port (RFC 6454 section 6.2): any other text would never be
// equal to an Origin header.
func isOrigin(s string) bool {
	rest, https := strings.CutPrefix(s, "https://")
	host, port, given := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return https && IsHostName(host) && (!given || err == nil && n > 0 && n != 443 && port == strconv.FormatUint(n, 10))
}

// IsSPIFFE accepts a SPIFFE id with a path of whole segments (https://spiffe.io/docs/latest/spiffe-specs/spiffe-id/, section 2).
func IsSPIFFE(id string) bool {
	_, segments, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	return spiffe.MatchString(id) && path.Clean("/"+segments) == "/"+segments && len(id) <= 2048
}
