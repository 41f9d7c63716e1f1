package topology

import (
	"fmt"

	"isogate/envoy/daemon"
)

// Directory is one entry of clouds: what the commercial side knows of an isolated cloud. Without domains, issuer and client its people cannot sign in
// there, and the edge forwards its names all the same.
type Directory struct {
	ID      string          `yaml:"id"`      // the isolated cloud's id
	Name    string          `yaml:"name"`    // of the organisation, on its button; the domain if absent
	Domain  string          `yaml:"domain"`  // its hosts stand directly below it; the edge routes them by SNI
	Ingress daemon.Address  `yaml:"ingress"` // where its ingress takes connections from the edge
	Domains []string        `yaml:"domains"` // e-mail domains whose people it signs in; sub-domains are not implied
	Issuer  string          `yaml:"issuer"`  // its OAuth server, https://auth.<domain>[:port]: fixed here, so that no answer can name another
	CA      daemon.Path     `yaml:"ca"`      // PEM: authorities for it, beside the system's; none if absent
	Client  DirectoryClient `yaml:"client"`  // who we are there
	Gateway daemon.Address  `yaml:"gateway"` // where its gateway takes calls of our services; none if absent
}

// DirectoryClient is what an isolated cloud's file has among its clients.
type DirectoryClient struct {
	ID  string      `yaml:"id"`  // client_id
	Key daemon.Path `yaml:"key"` // folder with the private ES256 keys of private_key_jwt (RFC 7523); the cloud's file has the public ones
}

// Title is the organisation's name for people.
func (d Directory) Title() string {
	if d.Name != "" {
		return d.Name
	}
	return d.Domain
}

// Federates is true where people of this cloud can sign in on the commercial side.
func (d Directory) Federates() bool {
	return len(d.Domains) > 0 || d.Issuer != "" || d.CA != "" || d.Client != DirectoryClient{}
}

func validateDirectory(clouds []Directory, faults *daemon.Faults) {
	if len(clouds) == 0 {
		faults.Add("clouds", "needs at least one isolated cloud")
	}
	ids, domains, mail := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, c := range clouds {
		f := faults.In("clouds[%d]", i)
		c.validate(f)
		if c.Federates() {
			c.validateFederation(f, mail)
		}
		c.validateGateway(f)
		if c.ID != "" && ids[c.ID] || c.Domain != "" && domains[c.Domain] {
			f.Add("", "names an id or a domain that another entry has")
		}
		ids[c.ID], domains[c.Domain] = true, true
	}
}

func (d Directory) validate(f *daemon.Faults) {
	if !opaqueID(d.ID) {
		f.Add("id", "must be the isolated cloud's id: 16 to 64 characters of a-z, 0-9 and -")
	}
	if d.Name != "" {
		validateTitle(f, d.Name)
	}
	if !IsHostName(d.Domain) {
		f.Add("domain", "must be a lower-case domain name, such as acme.example")
	}
	validateTarget(f, "ingress", "of the cloud's ingress", d.Ingress)
}

// validateFederation notes the e-mail domains in seen, of all entries: one that two had would let one organisation's people in as the other's.
func (d Directory) validateFederation(f *daemon.Faults, seen map[string]bool) {
	const together = "is required: an entry has domains, issuer and client, or none of them"
	if len(d.Domains) == 0 {
		f.Add("domains", together)
	}
	for i, domain := range d.Domains {
		key := fmt.Sprintf("domains[%d]", i)
		switch {
		case !IsHostName(domain):
			f.Add(key, "must be a lower-case e-mail domain, such as acme.example")
		case isPublicMail(domain):
			f.Add(key, "%s belongs to a provider where anybody can have an address, so it is no organisation's own", domain)
		case seen[domain]:
			f.Add(key, "%q stands in an entry already", domain)
		}
		seen[domain] = true
	}
	switch {
	case d.Issuer == "":
		f.Add("issuer", together)
	case !isOrigin(d.Issuer) || hostOf(d.Issuer) != "auth."+d.Domain:
		f.Add("issuer", "must be https://auth.%s, and its port where that is not 443", d.Domain)
	}
	if d.Client == (DirectoryClient{}) {
		f.Add("client", together)
		return
	}
	d.Client.validate(f.In("client"))
}

func (c DirectoryClient) validate(f *daemon.Faults) {
	if !clientID.MatchString(c.ID) {
		f.Add("id", "must be 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -")
	}
	if c.Key == "" {
		f.Add("key", "is required: a folder with ES256 keys")
	}
}
