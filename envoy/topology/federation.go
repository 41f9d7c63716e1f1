package topology

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"isogate/envoy/daemon"
)

// Managed is an e-mail domain of the organisation. Sub-domains are not implied.
type Managed struct {
	Name  string `yaml:"name"`
	State string `yaml:"state"` // verified or pending: whether the organisation has shown that the domain is its own
}

// The states of a managed domain.
const (
	Verified = "verified" // its people may use commercial services
	Pending  = "pending"  // it counts for nothing yet
)

// Client is an OAuth client of oidcprovider: a commercial platform that may recognise people.
type Client struct {
	ID           string      `yaml:"id"`            // client_id: 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -
	Name         string      `yaml:"name"`          // for people, on the page where they confirm
	JWKS         daemon.Path `yaml:"jwks"`          // file with its public keys (RFC 7517); or else
	JWKSURI      string      `yaml:"jwks_uri"`      // https:// address where it publishes them
	RedirectURIs []string    `yaml:"redirect_uris"` // compared byte for byte (RFC 9700 section 2.1)
	Sector       string      `yaml:"sector"`        // clients of one sector know a person by the same sub; the host of the redirect URIs if absent
	Callers      []string    `yaml:"callers"`       // spiffe:// ids of the services that may call the gateway with its tokens
}

// OAuthAudience is the audience of the User Context Tokens for oidcprovider. No product may have this id.
const OAuthAudience = "oidcprovider"

// Audience is the audience of the access tokens for this cloud: its gateway and its session resource accept no other.
func (c Cloud) Audience() string { return "urn:isogate:cloud:" + c.ID }

// Issuer names the OAuth server, and everything else that is signed at the auth host.
func (c Cloud) Issuer() string { return c.URL(c.AuthHost()) }

// Verified are the domains whose people may use commercial services.
func (c Cloud) Verified() (domains []string) {
	for _, d := range c.ManagedDomains {
		if d.State == Verified {
			domains = append(domains, d.Name)
		}
	}
	return domains
}

// SectorOf is the sector of a client (OpenID Connect Core 1.0 section 8.1).
func (c Client) SectorOf() string {
	if c.Sector != "" || len(c.RedirectURIs) == 0 {
		return c.Sector
	}
	return hostOf(c.RedirectURIs[0])
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (c Cloud) validateManaged(f *daemon.Faults) {
	seen := map[string]bool{}
	for i, d := range c.ManagedDomains {
		at := f.In("managed_domains[%d]", i)
		switch {
		case !IsHostName(d.Name):
			at.Add("name", "must be a lower-case e-mail domain, such as acme.example")
		case isPublicMail(d.Name):
			at.Add("name", "%s belongs to a provider where anybody can have an address, so it is no organisation's own", d.Name)
		case seen[d.Name]:
			at.Add("name", "%q stands here twice", d.Name)
		}
		seen[d.Name] = true
		if d.State != Verified && d.State != Pending {
			at.Add("state", "must be %s or %s", Verified, Pending)
		}
	}
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (c Cloud) validateClients(f *daemon.Faults) {
	seen := map[string]bool{}
	for i, client := range c.Clients {
		at := f.In("clients[%d]", i)
		if !clientID.MatchString(client.ID) {
			at.Add("id", "must be 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -")
		}
		if client.ID != "" && seen[client.ID] {
			at.Add("id", "%q names another client already", client.ID)
		}
		seen[client.ID] = true
		client.validate(at)
	}
}

func (c Client) validate(f *daemon.Faults) {
	if strings.TrimSpace(c.Name) == "" || len(c.Name) > 64 || !isPrintable(c.Name) {
		f.Add("name", "is required, at most 64 bytes of printable characters: people see it when they confirm")
	}
	if (c.JWKS == "") == (c.JWKSURI == "") {
		f.Add("jwks", "needs a file with the client's public keys here, or their address in jwks_uri, and not both")
	}
	if c.JWKSURI != "" && !isAddress(c.JWKSURI) {
		f.Add("jwks_uri", "must be "+anAddress)
	}
	hosts := c.validateRedirects(f)
	if c.Sector == "" && hosts > 1 {
		f.Add("sector", "is required where the redirect URIs have several hosts: it decides the sub that the client gets, so it must never change")
	}
	if c.Sector != "" && !IsHostName(c.Sector) {
		f.Add("sector", "must be a lower-case host name of the client's")
	}
	for i, caller := range c.Callers {
		key := fmt.Sprintf("callers[%d]", i)
		if !IsSPIFFE(caller) {
			f.Add(key, "must be a SPIFFE id with a path, such as spiffe://commercial.example/support")
		} else if slices.Contains(c.Callers[:i], caller) {
			f.Add(key, "%q stands here twice", caller)
		}
	}
}

// validateRedirects counts the hosts of the good ones.
func (c Client) validateRedirects(f *daemon.Faults) int {
	if len(c.RedirectURIs) == 0 {
		f.Add("redirect_uris", "needs at least one")
	}
	hosts := map[string]bool{}
	for i, address := range c.RedirectURIs {
		key := fmt.Sprintf("redirect_uris[%d]", i)
		switch {
		case !isAddress(address):
			f.Add(key, "must be "+anAddress)
			continue
		case answersItself(address):
			f.Add(key, "must hold none of %s in its query: the answer adds its own", strings.Join(answerParameters, ", "))
		case slices.Contains(c.RedirectURIs[:i], address):
			f.Add(key, "%q stands here twice", address)
		}
		hosts[hostOf(address)] = true
	}
	return len(hosts)
}

const anAddress = "an https:// address: a lower-case host name or an IP address, no user information, no fragment, no wildcard"

// isAddress accepts an absolute https URL without a fragment (RFC 6749 section 3.1.2) that every browser and every URL library reads in one
// way: no user information in front of the host, nothing that browsers repair, such as a backslash or a line end. A wildcard would match only
// itself, so whoever writes one means something else.
func isAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && strings.HasPrefix(s, "https://") && u.User == nil && isHost(u) && len(s) <= 1024 &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"#*<>\\^`{|}", r) })
}

// isHost accepts a name in lower case, one of a single label too, or an IP address, and a port if any.
func isHost(u *url.URL) bool {
	if port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16); err != nil || port == 0 || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return true
	}
	labels := strings.Split(u.Hostname(), ".")
	last := labels[len(labels)-1] // a number there makes browsers read the whole as an IPv4 address
	return last >= "a" && !slices.ContainsFunc(labels, func(l string) bool { return !label.MatchString(l) })
}

// answerParameters are what an authorization response adds to a redirect URI (RFC 6749 section 4.1.2, RFC 9207 section 2). One that stands there
// already would stand there twice, and the client might read the wrong one.
var answerParameters = []string{"code", "error", "error_description", "error_uri", "iss", "state"}

func answersItself(address string) bool {
	_, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	return err != nil || slices.ContainsFunc(answerParameters, values.Has)
}

// isPrintable refuses what ends a line, and what turns the direction of the text after it.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
