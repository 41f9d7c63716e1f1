package signin

import (
	"slices"

	"isogate/envoy/topology"
)

// Site is what a door guards: the hosts of an isolated cloud, or those of the commercial side.
type Site struct {
	Name      string                   // associated data of its sealed values: none opens at another site
	SignIn    string                   // host where people sign in: the auth host, or the identity host
	Hosts     []string                 // the other guarded hosts; who wants nowhere in particular begins at the first
	Authorize bool                     // whether the OAuth server, on the sign-in host, sends people here and gets them back
	URL       func(host string) string // external address of a host, from configuration and never from a request
}

// OfCloud is the site of an isolated cloud.
func OfCloud(c topology.Cloud) Site {
	return Site{Name: c.ID, SignIn: c.AuthHost(), Hosts: c.Hosts()[1:], Authorize: len(c.Clients) > 0, URL: c.URL}
}

// OfPlatform is the site of the commercial side, which must have services.
func OfPlatform(p topology.Platform) Site {
	return Site{Name: p.IdentityHost, SignIn: p.IdentityHost, Hosts: p.Hosts()[1:], URL: p.URL}
}

// serves tells whether a host is one of those where people want to go.
func (s Site) serves(host string) bool { return slices.Contains(s.Hosts, host) }

// home is a place to begin anew: the start page of the host, or of the first of the others where the host is the one where people sign in.
func (s Site) home(host string) string {
	if host == s.SignIn {
		host = s.Hosts[0]
	}
	return s.URL(host) + "/"
}
