// Package session knows who is signed in: the record of a session, the limits that apply to it, the handles by which the browser names it
// at each host, and the grants by which an OAuth client does.
//
// A session exists only while its record exists. What stands beside the record can end with it but never create one: handles and grants
// point to it, and the time of the last activity is kept under a key of its own, written behind. Ending a session is therefore one deletion,
// and a late write cannot bring it back.
//
// Outside an isolated cloud nothing is stored: there a session is what the cookie of one host seals (Outside, Sealed), with an end that nobody
// can move.
//
// The package does not sign people in, reads no cookie from a request, makes no token, and decides nothing about what a person may reach.
package session

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"isogate/extauthz/keys"
)

// ErrNone means that there is no living session: never opened, ended, expired, or opened for another host. Every other error of this
// package means that it could not be found out, and must not be read as either answer.
var ErrNone = errors.New("session: none")

// Identity is what a sign-in established about a person.
type Identity struct {
	User     string    `json:"user"`     // see UserID
	Provider string    `json:"provider"` // id of the provider's entry
	Email    string    `json:"email"`
	Name     string    `json:"name,omitempty"`
	Groups   []string  `json:"groups,omitempty"`
	AuthTime time.Time `json:"auth_time"`        // when the person proved who they are, as the provider says, else when its answer came
	Stated   bool      `json:"stated,omitempty"` // whether the provider said so: else it may have been long before
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
}

// Session is a person's session, the same one at every host.
type Session struct {
	ID       string    `json:"id"` // 128 random bits, base64url
	Identity           // of the latest sign-in
	SignedIn time.Time `json:"signed_in"` // the latest sign-in; the absolute limit counts from it
	Active   time.Time `json:"-"`         // the latest request of the person's browser
}

// Limits bound a session. A limit that is not positive lets nothing live.
type Limits struct {
	Idle      time.Duration // since the last activity
	Absolute  time.Duration // since the sign-in
	Federated time.Duration // since the sign-in, for what the session grants to commercial services
}

// Policies say whose sessions may live, and within which limits: those of the first policy that names one of the person's groups or their
// provider, else the default.
type Policies struct {
	Believed map[string][]string // the e-mail domains for which each provider is believed; the session of anybody else is over
	Default  Limits
	Special  []Policy
	Managed  []string // the e-mail domains that are verified as the organisation's: nobody else gets or keeps a grant
	Clients  []string // ids of the OAuth clients: no other gets or keeps a grant
}

// Policy is one exception from the default.
type Policy struct {
	Groups    []string
	Providers []string
	Limits
}

// For finds the limits of a person.
func (p Policies) For(who Identity) Limits {
	for _, special := range p.Special {
		if slices.Contains(special.Providers, who.Provider) || slices.ContainsFunc(special.Groups, func(g string) bool { return slices.Contains(who.Groups, g) }) {
			return special.Limits
		}
	}
	return p.Default
}

// admits tells whether the person's provider is still believed for the person's address.
func (p Policies) admits(who Identity) bool {
	return slices.Contains(p.Believed[who.Provider], who.domain())
}

// IsManaged tells whether the person's e-mail domain is a managed one of the organisation. Sub-domains are not implied.
func (p Policies) IsManaged(who Identity) bool {
	return slices.Contains(p.Managed, who.domain())
}

// domain is that of the person's address, in lower case as the sign-in left it.
func (who Identity) domain() string {
	_, domain, _ := strings.Cut(who.Email, "@")
	return domain
}

// Expiry is the moment at which a session ends if nothing more happens.
func (s Session) Expiry(l Limits) time.Time {
	return earlier(s.SignedIn.Add(l.Absolute), s.Active.Add(l.Idle))
}

// FederatedExpiry is the moment at which a session ends for commercial services if nothing more happens. It is never after Expiry.
func (s Session) FederatedExpiry(l Limits) time.Time {
	return earlier(s.Expiry(l), s.SignedIn.Add(l.Federated))
}

// UserID is the opaque and stable id of a person: HMAC-SHA-256 over the length-prefixed provider id and subject, cut to 128 bits,
// base64url. It is keyed by the provider's subject and never by an e-mail address, which can pass from one person to another.
func UserID(key []byte, provider, subject string) string {
	return keys.Pseudonym(key, provider, subject)
}

// ServiceUserID is the opaque and stable id by which one service outside knows a person of an isolated cloud: as UserID, over the service's
// id, the cloud's id and the person's sub there. No two services can compare their people by it.
func ServiceUserID(key []byte, service, cloud, subject string) string {
	return keys.Pseudonym(key, service, cloud, subject)
}

// Handle is the random value by which one host's cookie names a session: 256 bits, base64url. The store holds only its SHA-256, and
// printing it by mistake does not show it.
type Handle string

const redacted = "[redacted]"

// Format says [redacted] for every verb.
func (Handle) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText says [redacted], in JSON and in logs.
func (Handle) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (h Handle) well() bool { return wellFormed(string(h), 32) }

// wellFormed says whether a value has the only form that we ever give out: n bytes, base64url. What has not is looked up nowhere.
func wellFormed(value string, n int) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return err == nil && len(raw) == n && len(value) == base64.RawURLEncoding.EncodedLen(n) // the decoder passes over line ends
}
