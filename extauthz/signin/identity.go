package signin

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/topology"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// Endpoints of the identity host beside PathSignIn. Every guarded host has PathEnter and PathLogout.
const (
	PathFederatedStart    = "/.isogate/federated/start"
	PathFederatedCallback = "/.isogate/federated/callback"
)

// Grants remembers which grants are over, and what their clouds said of the others, for the checks and the door alike. If only one of them knew,
// each would send people to the other for ever while their cloud does not answer; and each would ask the cloud as often as people come.
type Grants interface {
	// End ends the grant of a session here, whatever its cloud says.
	End(o session.Outside)
	// Living gives a session the newest that its cloud said, after asking if that is older than every, and within a second. session.ErrNone, the
	// only error, means that it is over; one of which nothing can be found out goes on.
	Living(ctx context.Context, o session.Outside, every time.Duration) (session.Outside, error)
}

// Identity is the door of the commercial side: it finds out from the domain of an address which isolated cloud signs a person in, sends them
// there, and hands the session over from the identity host to the service that was first asked for.
//
// Nothing is stored, and nothing personal is kept: an address is looked at in the request that brings it, and what has to be remembered
// travels with the browser, sealed. Requests reach it only from Envoy, over a unix socket, after a check.
type Identity struct {
	Flows
	Platform topology.Platform
	Sealed   session.Sealed
	Clouds   Federations
	Grants   Grants
	Within   time.Duration // how long other services may take to notice a sign-out
	Log      *slog.Logger
	Faults   *CloudLog              // what goes wrong with isolated clouds; outlives a reload of the file
	SignIns  *prometheus.CounterVec // by result
}

// Results of sign-ins that came back from an isolated cloud, or did not get there.
const (
	resultOK          = "ok"
	resultCancelled   = "cancelled"
	resultStartAgain  = "start-again"
	resultUnavailable = "cloud-unavailable"
)

// FederatedMetrics makes the counter isogate_federated_signins_total{result}. It does not tell clouds apart: how many people each of them has
// outside is its own business.
func FederatedMetrics(registry prometheus.Registerer) *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "isogate_federated_signins_total", Help: "Sign-ins at isolated clouds, by result.",
	}, []string{"result"})
	registry.MustRegister(counter)
	for _, result := range []string{resultOK, resultCancelled, resultStartAgain, resultUnavailable} {
		counter.WithLabelValues(result)
	}
	return counter
}

// identityEndpoints are the door's own paths. The check passes only what stands in the table of package profile too.
var identityEndpoints = map[string]struct {
	signInOnly bool // on the identity host alone
	answer     func(*Identity, visit) (page.Answer, error)
}{
	"GET " + PathSignIn:            {true, (*Identity).askAddress},
	"POST " + PathSignIn:           {true, (*Identity).choose},
	"POST " + PathFederatedStart:   {true, (*Identity).start},
	"GET " + PathFederatedCallback: {true, (*Identity).callback},
	"GET " + PathEnter:             {false, (*Identity).enter},
	"GET " + PathLogout:            {false, (*Identity).askSignOut},
	"POST " + PathLogout:           {false, (*Identity).signOut},
}

// Handler is the door as an http.Handler. An error that an endpoint returns is logged here, once.
func (d *Identity) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := d.answer(r)
		if err != nil {
			d.Log.ErrorContext(r.Context(), "the door could not do what was asked", "endpoint", r.URL.Path, "status", answer.Status, "cause", err.Error())
		}
		answer.ServeHTTP(w, r)
	})
}

func (d *Identity) answer(r *http.Request) (page.Answer, error) {
	endpoint, ok := identityEndpoints[r.Method+" "+r.URL.Path]
	host := hostName(r.Host)
	if !ok || host != d.Site.SignIn && (endpoint.signInOnly || !d.Site.serves(host)) {
		return page.Refused(http.StatusNotFound, "not-found"), nil
	}
	v, err := newVisit(r, host)
	if err != nil {
		return page.Refused(http.StatusBadRequest, "bad-request"), nil
	}
	return endpoint.answer(d, v)
}

// home is a place to begin anew: the start page of the host or, on the identity host, of the first service that is open to people of isolated
// clouds.
func (d *Identity) home(host string) string {
	for _, s := range d.Platform.Services {
		if host == d.Site.SignIn && s.Federation == topology.FederationAllowed {
			return d.Site.URL(s.Host) + "/"
		}
	}
	return d.Site.home(host)
}

// federates tells whether a host's service is open to people of isolated clouds.
func (d *Identity) federates(host string) bool {
	for _, s := range d.Platform.Services {
		if s.Host == host {
			return s.Federation == topology.FederationAllowed
		}
	}
	return false
}

// askEvery is how old a cloud's word may be for a hand-over. It is short: a session that is over inside would else go from here to a service,
// which would send the person back here, and so on. It is not nothing: a person can come here as often as they like, and the cloud would have to
// answer each time.
const askEvery = 2 * time.Second

// living is the visitor's session at this host, or session.ErrNone. A cloud that left the directory has none.
func (d *Identity) living(v visit) (session.Outside, error) {
	o, err := d.Sealed.Open(v.host, v.cookies.Outside)
	if err != nil || d.Clouds.byID[o.Cloud] == nil {
		return session.Outside{}, session.ErrNone
	}
	return d.Grants.Living(v.Context(), o, askEvery)
}

// hold sets a session's cookie at the host of a visit.
func (d *Identity) hold(v visit, o session.Outside, answer page.Answer) (page.Answer, error) {
	value, err := d.Sealed.Seal(v.host, o)
	if err != nil {
		return failed(err)
	}
	return answer.With("set-cookie", session.SetOutside(value, o, d.Now())), nil
}

// drop removes the session's cookie of a visitor who brought one.
func drop(v visit, answer page.Answer) page.Answer {
	if v.cookies.Outside == "" {
		return answer
	}
	return answer.With("set-cookie", session.ClearOutside())
}
