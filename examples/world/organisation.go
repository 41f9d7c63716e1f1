package world

import "isogate/examples/idp"

// organisation is what sets one isolated cloud of a world apart from another.
type organisation struct {
	name     string // of its folder and its parts
	title    string
	domain   string // its guarded hosts stand directly below it
	provider string // host of its identity provider
	managed  string // e-mail domain that is its own
	guests   string // one for whose addresses its provider is believed too, and which is not; none if ""
	people   []idp.User
	products []entry
}

// entry is a product in the isolated file.
type entry struct {
	ID, Name, Claims string
	WebSockets       bool
}

// Domain is the first organisation's.
const Domain = "acme.localhost"

// acme is the organisation of the demo. The passwords are public: the world is for loopback only.
var acme = organisation{
	name: "acme", title: "Acme", domain: Domain, provider: "idp.corp.localhost", managed: "acme.example", guests: "partner.example",
	products: []entry{
		{ID: "issues", Name: "Issue tracker", Claims: "email, name, groups", WebSockets: true},
		{ID: "wiki", Name: "Wiki", Claims: "name"},
	},
	people: []idp.User{
		{Username: "alice", Password: "correct-horse", TOTP: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", Email: "alice@acme.example", EmailVerified: true, Name: "Alice Arden", Groups: []string{"staff", "engineering"}},
		{Username: "bob", Password: "battery-staple", Email: "bob@acme.example", EmailVerified: true, Name: "Bob Birch", Groups: []string{"staff"}},
		{Username: "carol", Password: "carol-of-the-bells", Email: "carol@elsewhere.example", EmailVerified: true, Name: "Carol Cole", Groups: []string{"guests"}},
		{Username: "dave", Password: "dave-unverified", Email: "dave@acme.example", Name: "Dave Dunn"},
		{Username: "erin", Password: "erin-of-partner", Email: "erin@partner.example", EmailVerified: true, Name: "Erin Eld", Groups: []string{"partners"}},
	},
}

// globex is another organisation with a cloud of its own, which shares nothing with the first but the commercial side.
var globex = organisation{
	name: "globex", title: "Globex", domain: "globex.localhost", provider: "idp.globexcorp.localhost", managed: "globex.example",
	products: []entry{{ID: "issues", Name: "Globex issues", Claims: "email, name"}},
	people: []idp.User{
		{Username: "grace", Password: "grace-of-globex", Email: "grace@globex.example", EmailVerified: true, Name: "Grace Gale", Groups: []string{"staff"}},
	},
}
