package profile

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// Egress decides for what a service sends to its sidecar. The call leaves with the person's access token and a proof of possession for this very
// call, and with next to nothing of what the service sent. Whether it is exposed to the service is the isolated cloud's own decision; here nothing
// leaves but to the cloud that the person belongs to. A program asks, whatever its headers say, so every refusal is a problem and never a page.
type Egress struct {
	service topology.Service
	clouds  map[string]topology.Directory // those that take calls, by id
	carrier session.Carrier
}

// NewEgress prepares the rules for one state of the file. carrier is the service's own.
func NewEgress(service topology.Service, directory []topology.Directory, carrier session.Carrier) *Egress {
	e := &Egress{service: service, clouds: map[string]topology.Directory{}, carrier: carrier}
	for _, entry := range directory {
		if entry.Crosses() {
			e.clouds[entry.ID] = entry
		}
	}
	return e
}

// maxCalled bounds the path of a call, in bytes. A proof names the path, and nobody takes one over 8 KB.
const maxCalled = 4 << 10

// Headers of a call that leave: what says where it goes, which Envoy reads after the check and then removes, and what the product may see.
var (
	addressing = []string{HeaderCloud, HeaderProduct}
	content    = []string{"accept", "content-type", "if-none-match"}
)

// Decide follows a call from the service to the cloud that it is for.
func (e *Egress) Decide(_ context.Context, r check.Request) check.Verdict {
	v := e.decide(r)
	v.Caller = e.service.Egress.SPIFFE
	return v
}

func (e *Egress) decide(r check.Request) check.Verdict {
	if detail := fault(r); detail != "" {
		p := page.Problem{Status: http.StatusBadRequest, Reason: string(check.BadRequest), Detail: detail}
		return check.Verdict{Reason: check.BadRequest, Answer: p.Answer()}
	}
	carried, err := e.carrier.Open(r.Header.Get(HeaderToken))
	if err != nil {
		return check.Deny(http.StatusUnauthorized, check.Token, false, "").Challenged(e.service.Host)
	}
	cloud, known := e.clouds[carried.Cloud]
	if !known || r.Header.Get(HeaderCloud) != carried.Cloud {
		return check.Deny(http.StatusForbidden, check.Cloud, false, "")
	}
	proof, err := e.prove(r, carried, cloud)
	if err != nil {
		v := check.Deny(http.StatusServiceUnavailable, check.Unavailable, false, "")
		v.Cause = err
		return v
	}
	return check.Verdict{Allow: true, Reason: check.Sent, Remove: surplus(r), Set: []page.Field{
		{Name: "authorization", Value: "DPoP " + carried.Token}, // RFC 9449 section 7.1
		{Name: "dpop", Value: proof},
	}}
}

// fault says, to the developer of a service, why a request cannot be read in one way only, and as a call to a product; nothing if it can. An upgrade
// would be a way to talk on without further checks.
func fault(r check.Request) string {
	for _, name := range []string{HeaderCloud, HeaderToken, HeaderProduct} {
		if len(r.Header[name]) != 1 {
			return HeaderCloud + ", " + HeaderToken + " and " + HeaderProduct + " must each be there once."
		}
	}
	switch {
	case !topology.IsName(r.Header.Get(HeaderProduct)):
		return HeaderProduct + " must be the id of one product."
	case len(r.Header["upgrade"]) > 0:
		return "A call cannot be upgraded."
	case unclear(r.Header):
		return "accept, content-type and if-none-match may each be there only once."
	case len(r.Path) > maxCalled:
		return fmt.Sprintf("The path must not be longer than %d bytes.", maxCalled)
	}
	return ""
}

// prove makes the proof of possession of a call. It names the product's host at the gateway of that cloud alone, so it is good nowhere else.
func (e *Egress) prove(r check.Request, carried session.Carried, cloud topology.Directory) (string, error) {
	key, err := dpop.ParseKey(carried.Key)
	if err != nil {
		return "", fmt.Errorf("profile: the key that a service carries: %w", err)
	}
	return key.Make(dpop.Proof{
		Method: r.Method, URL: "https://" + cloud.GatewayName(r.Header.Get(HeaderProduct)) + r.Path,
		AccessToken: carried.Token, Now: e.carrier.Now(),
	})
}

// surplus are the headers of a call that do not leave: cookies, credentials and users of the service's own, trace context, and whatever else comes
// to somebody's mind. What the verdict sets is not among them, since Envoy removes after it sets.
func surplus(r check.Request) (remove []string) {
	for name := range r.Header {
		if !leaves(name) {
			remove = append(remove, name)
		}
	}
	slices.Sort(remove)
	return remove
}

// leaves keeps, beside what may leave, what frames the message and what steers Envoy. The latter is not the check's to change: Envoy's own route
// removes it.
func leaves(name string) bool {
	switch name {
	case "authorization", "dpop", "host", "content-length", "transfer-encoding":
		return true
	}
	return strings.HasPrefix(name, ":") || strings.HasPrefix(name, "x-envoy-") || slices.Contains(addressing, name) || slices.Contains(content, name)
}
