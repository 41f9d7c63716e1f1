package signin

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/extauthz/kv"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// Sessions is what the door needs of the sessions.
type Sessions interface {
	Living(ctx context.Context, host string, h session.Handle, p session.Policies) (session.Session, error)
	ByID(ctx context.Context, id string, p session.Policies) (session.Session, error)
	Open(ctx context.Context, who session.Identity, l session.Limits) (session.Session, error)
	Renew(ctx context.Context, id string, who session.Identity, l session.Limits) (session.Session, error)
	Handle(ctx context.Context, s session.Session, host string, l session.Limits) (session.Handle, error)
	Drop(ctx context.Context, h session.Handle) error
	End(ctx context.Context, id string) error
}

// Tickets is where a ticket waits for the browser that it was made for.
type Tickets interface {
	Put(ctx context.Context, items ...kv.Item) error
	Take(ctx context.Context, keys ...string) ([]byte, error)
}

// Door answers our own endpoints below /.isogate/ on every guarded host. Requests reach it only from Envoy, over a unix socket, after a
// check.
type Door struct {
	Flows
	Sessions  Sessions
	Policies  session.Policies
	Tickets   Tickets
	Providers []*Provider
	Fits      func(session.Session) error // whether the person's claims fit into a User Context Token
	JWKS      func() []byte               // the public keys of the User Context Tokens
	Log       *slog.Logger
	SignIns   *prometheus.CounterVec // by provider and result

	joining sync.Mutex // see joined
}

// Metrics makes the counter isogate_signins_total{provider,result}.
func Metrics(registry prometheus.Registerer) *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "isogate_signins_total", Help: "Sign-ins that came back from a provider, by provider and result.",
	}, []string{"provider", "result"})
	registry.MustRegister(counter)
	return counter
}

// visit is one request at the door.
type visit struct {
	*http.Request
	host    string          // one of ours
	cookies session.Cookies // ours, each once
	query   map[string]string
}

// newVisit reads what every endpoint needs. What can be read in two ways is refused.
func newVisit(r *http.Request, host string) (visit, error) {
	cookies, err := session.ParseCookies(r.Header.Values("Cookie"))
	if err != nil {
		return visit{}, err
	}
	query, err := single(r.URL.RawQuery)
	return visit{Request: r, host: host, cookies: cookies, query: query}, err
}

// handler answers a visit. An error is the private cause of an answer that says less.
type handler func(*Door, visit) (page.Answer, error)

// endpoints are the door's own paths. The check passes only what stands in the table of package profile too.
var endpoints = map[string]struct {
	authOnly bool
	answer   handler
}{
	"GET " + PathSignIn:   {true, (*Door).signIn},
	"POST " + PathSignIn:  {true, (*Door).chooseProvider},
	"GET " + PathCallback: {true, (*Door).callback},
	"GET " + PathSession:  {true, (*Door).showSession},
	"GET " + PathEnter:    {false, (*Door).enter},
	"GET " + PathLogout:   {false, (*Door).askSignOut},
	"POST " + PathLogout:  {false, (*Door).signOut},
}

// Handler is the door as an http.Handler. An error that a handler returns is logged here, once.
func (d *Door) Handler(jwksPath string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == jwksPath {
			d.jwks(w)
			return
		}
		answer, err := d.answer(r)
		if err != nil {
			d.Log.ErrorContext(r.Context(), "the door could not do what was asked", "endpoint", r.URL.Path, "status", answer.Status, "cause", err.Error())
		}
		answer.ServeHTTP(w, r)
	})
}

func (d *Door) answer(r *http.Request) (page.Answer, error) {
	endpoint, ok := endpoints[r.Method+" "+r.URL.Path]
	host := hostName(r.Host)
	auth := host == d.Site.SignIn
	if !ok || endpoint.authOnly && !auth || !auth && !d.Site.serves(host) {
		return page.Refused(http.StatusNotFound, "not-found"), nil
	}
	v, err := newVisit(r, host)
	if err != nil {
		return page.Refused(http.StatusBadRequest, "bad-request"), nil
	}
	return endpoint.answer(d, v)
}

func (d *Door) jwks(w http.ResponseWriter) {
	w.Header().Set("content-type", "application/jwk-set+json")
	w.Header().Set("cache-control", "public, max-age=60")
	_, _ = w.Write(d.JWKS())
}

// living is the visitor's session at this host, or session.ErrNone.
func (d *Door) living(v visit) (session.Session, error) {
	return d.Sessions.Living(v.Context(), v.host, v.cookies.Session, d.Policies)
}

func (d *Door) navigates(v visit) bool { return IsNavigation(v.Method, v.Header.Get) }

// failed is the answer when something of ours does not work.
func failed(err error) (page.Answer, error) {
	return page.Refused(http.StatusServiceUnavailable, "unavailable"), err
}

func hostName(authority string) string {
	for i := range len(authority) {
		if authority[i] == ':' {
			return authority[:i]
		}
	}
	return authority
}

// RunProviders asks each provider every few seconds whether it answers, so that the state of all is known and shown before a person needs it.
func RunProviders(ctx context.Context, providers func() []*Provider, state func(id string, err error)) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		for _, p := range providers() {
			state(p.ID, p.Check(ctx))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
