package signin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// Sealed values carry their purpose in the associated data, so that none opens in another's place.
const (
	purposeFlow  = "flow"  // product host → auth host, service host → identity host
	purposeState = "state" // auth host → provider → auth host

	purposeTicket  = "ticket"   // in the store, from the auth host to a product host
	purposeIDToken = "id_token" // in the store, from the sign-in to the sign-out
	purposeLeave   = "leave"    // from the sign-out to the provider's own

	purposeOutsideState  = "outside state"  // identity host → isolated cloud → identity host
	purposeOutsideTicket = "outside ticket" // identity host → a service's host, bound to that host
)

// maxTarget bounds the path and query that a person is brought back to, in bytes; the sealed form must fit into a URL that every provider
// takes. A longer one is brought back to its path alone.
const maxTarget = 2 << 10

// Paths of our own endpoints, on the auth host but for the last two, which every guarded host has.
const (
	PathAuthorize = "/oauth2/authorize" // the OAuth server's, which sends people here and gets them back

	PathSignIn   = "/.isogate/signin"
	PathCallback = "/.isogate/callback"
	PathSession  = "/.isogate/session"
	PathEnter    = "/.isogate/enter"
	PathLogout   = "/.isogate/logout"
)

var errSealed = errors.New("signin: a sealed value is not ours, is too old, or is for something else")

// Flows seals where a person wanted to go before they are sent to sign in.
type Flows struct {
	Site Site
	Seal *keys.Sealers
	Now  func() time.Time
}

// flow is what travels from a product host to the auth host and, inside the state, through the provider.
type flow struct {
	Host    string `json:"h"` // a product's host; inside the state the auth host too, for PathAuthorize alone
	Target  string `json:"t"` // path and query there
	Proof   string `json:"v"` // hash of the flow cookie of that host; none on the auth host
	Expires int64  `json:"e"` // Unix seconds
}

// Begin gives the address of the sign-in for a target, and the flow cookie to set at the host that is left. The target is sealed: it is
// never a parameter that a person can write.
func (f Flows) Begin(host, path, query string) (location string, cookie session.FlowCookie, err error) {
	target := path
	if len(path)+len(query) < maxTarget && query != "" {
		target += "?" + query
	} else if len(path) > maxTarget {
		target = "/"
	}
	cookie = session.NewFlowCookie(f.Now())
	begun := flow{Host: host, Target: target, Proof: proof(cookie.Secret), Expires: f.Now().Add(session.FlowLifetime).Unix()}
	sealed, err := f.seal(purposeFlow, begun)
	if err != nil {
		return "", session.FlowCookie{}, err
	}
	return f.SignInURL() + "?flow=" + sealed, cookie, nil
}

// SignInURL is where a sign-in begins without a target.
func (f Flows) SignInURL() string { return f.Site.URL(f.Site.SignIn) + PathSignIn }

// open gives back a flow that is still in time and leads to a product of ours.
func (f Flows) open(sealed string) (flow, error) {
	var opened flow
	if err := f.unseal(purposeFlow, sealed, &opened); err != nil {
		return flow{}, err
	}
	if f.Now().Unix() >= opened.Expires || !f.Site.serves(opened.Host) || !f.known(opened) {
		return flow{}, errSealed
	}
	return opened, nil
}

// known holds for a path on the host of a product, as the file has them now, and for the OAuth server's authorization endpoint, if there is
// one.
func (f Flows) known(to flow) bool {
	if f.toAuthorize(to) {
		path, _, _ := strings.Cut(to.Target, "?")
		return path == PathAuthorize && f.Site.Authorize
	}
	return f.Site.serves(to.Host) && strings.HasPrefix(to.Target, "/") && !strings.HasPrefix(to.Target, "//")
}

// toAuthorize tells whether a flow leads to the auth host, where it needs no ticket.
func (f Flows) toAuthorize(to flow) bool { return to.Host == f.Site.SignIn }

// url is the address that a flow leads back to.
func (f Flows) url(to flow) string { return f.Site.URL(to.Host) + to.Target }

// seal and unseal are for values that stay at one site, sealFor and unsealFor for those of one host alone.
func (f Flows) seal(purpose string, value any) (string, error) {
	return f.sealFor(purpose, f.Site.Name, value)
}
func (f Flows) unseal(purpose, sealed string, into any) error {
	return f.unsealFor(purpose, f.Site.Name, sealed, into)
}

func (f Flows) sealFor(purpose, bound string, value any) (string, error) {
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false) // it would make six bytes of each & of a query, too many for a URL
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("signin: %w", err)
	}
	return f.Seal.Seal(purpose, bound, raw.Bytes()), nil
}

func (f Flows) unsealFor(purpose, bound, sealed string, into any) error {
	raw, err := f.Seal.Open(purpose, bound, sealed)
	if err != nil {
		return errSealed
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errSealed
	}
	return nil
}

// proof is the public half of a flow cookie.
func proof(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proven finds the flow cookie that a proof was made of.
func proven(cookies session.Cookies, want string) (session.FlowCookie, bool) {
	for _, c := range cookies.Flows {
		if subtle.ConstantTimeCompare([]byte(proof(c.Secret)), []byte(want)) == 1 {
			return c, true
		}
	}
	return session.FlowCookie{}, false
}

// single reads a query in which every parameter stands once; anything else can be read in two ways.
func single(raw string) (map[string]string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("signin: malformed query")
	}
	out := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) != 1 {
			return nil, errors.New("signin: a parameter stands twice")
		}
		out[name] = all[0]
	}
	return out, nil
}
