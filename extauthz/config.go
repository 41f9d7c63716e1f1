package main

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/session"
)

// config is the file as extauthz reads it.
type config struct {
	topology.Frame `yaml:",inline"`
	ExtAuthz       section        `yaml:"extauthz"`
	XDS            topology.Other `yaml:"xds"`
	OIDCProvider   topology.Other `yaml:"oidcprovider"`
}

// section is extauthz: of either file. What stands in one and not in the other is said beside it.
type section struct {
	Admin   daemon.Address `yaml:"admin"` // health, metrics and status; loopback
	Keys    keyFiles       `yaml:"keys"`
	CA      daemon.Path    `yaml:"ca"`      // isolated: PEM roots for the providers, beside the system's; may be absent
	Connect daemon.Connect `yaml:"connect"` // where to dial for a name

	// Isolated.
	Store     daemon.Path   `yaml:"store"`    // the file that holds sessions; one process at a time has it
	Policies  daemon.Path   `yaml:"policies"` // the folder of the Rego files
	Providers []provider    `yaml:"providers"`
	Session   sessionPolicy `yaml:"session"`

	// Commercial.
	CheckEvery daemon.Duration `yaml:"check_every"` // how old the isolated cloud's word about a session may be; 60s if absent
}

// keyFiles say where our keys are. Folders hold one file a key and may be rotated; the keys of ids must never change.
type keyFiles struct {
	Sealing daemon.Path `yaml:"sealing"` // folder: keys of sealed values in URLs

	// Isolated.
	UCT    daemon.Path `yaml:"uct"`     // folder: ES256 keys of the User Context Tokens
	UserID daemon.Path `yaml:"user_id"` // file: 32 random bytes or more, kept in the backup

	// Commercial.
	Federated    daemon.Path `yaml:"federated"`     // folder: keys of the sealed sessions
	ServiceUsers daemon.Path `yaml:"service_users"` // file: 32 random bytes or more; what services know people by depends on it
}

func (k keyFiles) folders() (folders []string) {
	for _, folder := range []daemon.Path{k.UCT, k.Sealing, k.Federated} {
		if folder != "" {
			folders = append(folders, string(folder))
		}
	}
	return folders
}

// provider is one identity provider of the organisation.
type provider struct {
	ID           string      `yaml:"id"` // part of every user id of its people: never to be changed
	Name         string      `yaml:"name"`
	Issuer       string      `yaml:"issuer"`
	ClientID     string      `yaml:"client_id"`
	ClientSecret daemon.Path `yaml:"client_secret"` // file
	Domains      []string    `yaml:"domains"`       // e-mail domains for whose addresses it is believed; sub-domains are not implied
	Scopes       []string    `yaml:"scopes"`        // openid email profile groups if absent
	GroupsClaim  string      `yaml:"groups_claim"`  // groups if absent
}

// sessionPolicy bounds sessions: everybody's, and other people's otherwise.
type sessionPolicy struct {
	Idle       daemon.Duration `yaml:"idle"`       // 30m if absent
	Absolute   daemon.Duration `yaml:"absolute"`   // 12h if absent
	Federated  daemon.Duration `yaml:"federated"`  // of sessions at commercial services, from the sign-in here; 24h if absent, and at most
	Exceptions []exception     `yaml:"exceptions"` // the first that names one of a person's groups, or their provider, counts
}

// exception is the limits of some people. A limit that it leaves out is everybody's.
type exception struct {
	Groups    []string        `yaml:"groups"`
	Providers []string        `yaml:"providers"`
	Idle      daemon.Duration `yaml:"idle"`
	Absolute  daemon.Duration `yaml:"absolute"`
	Federated daemon.Duration `yaml:"federated"`
}

// policies are the limits of the file, for the people of its providers, and who may take them outside.
func (c *config) policies() session.Policies {
	all := c.ExtAuthz.Session.limits()
	all.Believed, all.Managed = map[string][]string{}, c.Cloud.Verified()
	for _, p := range c.ExtAuthz.Providers {
		all.Believed[p.ID] = p.Domains
	}
	for _, client := range c.Cloud.Clients {
		all.Clients = append(all.Clients, client.ID)
	}
	return all
}

func (s sessionPolicy) limits() session.Policies {
	all := session.Policies{Default: session.Limits{
		Idle: s.Idle.Or(30 * time.Minute), Absolute: s.Absolute.Or(12 * time.Hour), Federated: s.Federated.Or(longestOutside),
	}}
	for _, e := range s.Exceptions {
		limits := session.Limits{Idle: e.Idle.Or(all.Default.Idle), Absolute: e.Absolute.Or(all.Default.Absolute), Federated: e.Federated.Or(all.Default.Federated)}
		all.Special = append(all.Special, session.Policy{Groups: e.Groups, Providers: e.Providers, Limits: limits})
	}
	return all
}

// defaultCheck is check_every where the file says nothing.
const defaultCheck = time.Minute

const (
	longest        = 366 * 24 * time.Hour // more than anybody means, and far from what overflows
	longestOutside = 24 * time.Hour       // no session at a commercial service lasts longer, whatever the file says
)

func (s sessionPolicy) validate(f *daemon.Faults, providers []provider) {
	all := s.limits()
	tooLong := func(at *daemon.Faults, l session.Limits) {
		if l.Absolute > longest {
			at.Add("absolute", "is longer than a year")
		}
		if l.Idle > l.Absolute {
			at.Add("idle", "is longer than absolute (%s): a session would never be idle too long", l.Absolute)
		}
		if l.Federated > longestOutside {
			at.Add("federated", "is longer than %s, which no session at a commercial service may be", longestOutside)
		}
	}
	tooLong(f, all.Default)
	for i, e := range s.Exceptions {
		at := f.In("exceptions[%d]", i)
		tooLong(at, all.Special[i].Limits)
		if len(e.Groups)+len(e.Providers) == 0 {
			at.Add("", "needs groups or providers: it is for nobody")
		}
		for j, id := range e.Providers {
			if !slices.ContainsFunc(providers, func(p provider) bool { return p.ID == id }) {
				at.Add(fmt.Sprintf("providers[%d]", j), "%q is none of the providers", id)
			}
		}
	}
}

func loadConfig(file string) (*config, error) {
	c := &config{}
	return c, daemon.Load(file, c)
}

// Validate reports every fault of what extauthz reads.
func (c *config) Validate(f *daemon.Faults) {
	c.Frame.Validate(f)
	at := f.In("extauthz")
	c.ExtAuthz.Connect.Validate(at.In("connect"))
	if c.Isolated() {
		c.ExtAuthz.validateInside(at)
		return
	}
	c.ExtAuthz.validateOutside(at)
	if c.Platform != nil && !c.Platform.Serves() {
		f.In("platform").Add("services", "is required: extauthz guards the services of the commercial side")
	}
}

// insideKeys and outsideKeys are what one side alone may hold.
func (s section) insideKeys() map[string]bool {
	return map[string]bool{
		"store": s.Store != "", "policies": s.Policies != "", "keys.uct": s.Keys.UCT != "", "keys.user_id": s.Keys.UserID != "",
		"providers": len(s.Providers) > 0, "session": !reflect.DeepEqual(s.Session, sessionPolicy{}),
	}
}

func (s section) outsideKeys() map[string]bool {
	return map[string]bool{"keys.federated": s.Keys.Federated != "", "keys.service_users": s.Keys.ServiceUsers != "", "check_every": s.CheckEvery != 0}
}

func needs(f *daemon.Faults, values map[string]string) {
	for key, value := range values {
		if value == "" {
			f.Add(key, "is required")
		}
	}
}

// validateOutside refuses whatever could identify a person or mint a token for a product: none of it may be on the commercial side.
func (s section) validateOutside(f *daemon.Faults) {
	needs(f, map[string]string{
		"admin": string(s.Admin), "keys.sealing": string(s.Keys.Sealing),
		"keys.federated": string(s.Keys.Federated), "keys.service_users": string(s.Keys.ServiceUsers),
	})
	for key, there := range s.insideKeys() {
		if there {
			f.Add(key, "belongs to the isolated side: here nobody's identity is kept, and no token for a product is made")
		}
	}
	if every := s.CheckEvery.Or(defaultCheck); every < time.Second || every > time.Hour {
		f.Add("check_every", "must be from 1s to 1h: for so long a session that has ended inside may go on here")
	}
}

func (s section) validateInside(f *daemon.Faults) {
	needs(f, map[string]string{
		"admin": string(s.Admin), "store": string(s.Store), "policies": string(s.Policies),
		"keys.uct": string(s.Keys.UCT), "keys.sealing": string(s.Keys.Sealing), "keys.user_id": string(s.Keys.UserID),
	})
	for key, there := range s.outsideKeys() {
		if there {
			f.Add(key, "belongs to the commercial side")
		}
	}
	s.Session.validate(f.In("session"), s.Providers)
	if len(s.Providers) == 0 {
		f.Add("providers", "needs at least one identity provider")
	}
	seen := map[string]bool{}
	for i, p := range s.Providers {
		at := f.In("providers[%d]", i)
		if !topology.IsName(p.ID) || seen[p.ID] {
			at.Add("id", "must be 1 to 32 characters of a-z, 0-9 and -, starting with a letter, and no two providers may share one")
		}
		seen[p.ID] = true
		p.validate(at)
	}
}

func (p provider) validate(f *daemon.Faults) {
	if u, err := url.Parse(p.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		f.Add("issuer", "must be the provider's https:// issuer, exactly as its own discovery document has it")
	}
	if p.ClientID == "" {
		f.Add("client_id", "is required")
	}
	if p.ClientSecret == "" {
		f.Add("client_secret", "is required: the file that holds it")
	}
	if len(p.Domains) == 0 {
		f.Add("domains", "needs at least one e-mail domain: the provider is believed for no other address")
	}
	for i, d := range p.Domains {
		if !topology.IsHostName(d) {
			f.Add(fmt.Sprintf("domains[%d]", i), "must be a lower-case e-mail domain, such as acme.example")
		}
	}
	if len(p.Scopes) > 0 && !slices.Contains(p.Scopes, "openid") {
		f.Add("scopes", "must hold openid")
	}
}
