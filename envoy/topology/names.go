package topology

import (
	"net/url"
	"regexp"
	"strings"
)

// Role is the place of one Envoy in the picture. The control plane gives each role its own resources and no other's.
type Role string

// The roles that exist so far.
const (
	Edge    Role = "edge"    // sees names and bytes, holds no key
	Ingress Role = "ingress" // browser → product
)

var (
	name   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	opaque = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{15,63}$`)
	label  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

func opaqueID(s string) bool { return opaque.MatchString(s) }

// IsHostName accepts a lower-case DNS name of at least two labels (RFC 1123 section 2.1).
func IsHostName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return false
		}
	}
	return len(labels) >= 2 && len(s) <= 253
}

// hostBelow is true for one more label than the domain: what a certificate for *.domain covers (RFC 6125 section 6.4.3).
func hostBelow(host, domain string) bool {
	first, rest, ok := strings.Cut(host, ".")
	return ok && rest == domain && label.MatchString(first)
}

// isOrigin accepts the serialisation of an https origin (RFC 6454 section 6.2).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && IsHostName(u.Hostname()) && s == "https://"+u.Host
}
