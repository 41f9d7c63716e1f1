package profile

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/page"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

// Checks finds out whether sessions outside their isolated cloud live.
type Checks struct {
	Sealed  session.Sealed
	Clouds  Clouds
	Answers *Answers
	Every   time.Duration // how old the cloud's word may be
}

var _ signin.Grants = Checks{}

// End ends the grant of a session here, at every host.
func (c Checks) End(o session.Outside) { c.Answers.End(o) }

// Living gives a session the newest that its cloud said, after asking if that is older than every; ErrNone if it has ended. Where the cloud does
// not answer, the session goes on as its cookie has it, and ends with that. There is no other error.
func (c Checks) Living(ctx context.Context, o session.Outside, every time.Duration) (session.Outside, error) {
	asking := o
	if o.Checked.After(c.Sealed.Now()) { // by a clock that was wrong, here or at a replica
		asking.Checked = time.Time{}
	}
	known, ended := c.Answers.about(ctx, asking, every, c.Clouds)
	if ended {
		return session.Outside{}, session.ErrNone
	}
	if known.asked.After(asking.Checked) {
		o = o.Until(known.ends)
		o.Checked = known.asked
	}
	if !c.Sealed.Now().Before(o.Ends) {
		return session.Outside{}, session.ErrNone
	}
	return o, nil
}

// renewed is Living, with the cookie that says so too, "" if the one that came does.
func (c Checks) renewed(ctx context.Context, host string, o session.Outside) (session.Outside, string, error) {
	living, err := c.Living(ctx, o, c.Every)
	if err != nil || living.Checked.Equal(o.Checked) {
		return living, "", err
	}
	value, err := c.Sealed.Seal(host, living)
	if err != nil {
		return session.Outside{}, "", err
	}
	return living, session.SetOutside(value, living, c.Sealed.Now()), nil
}

// Federated decides for requests from a browser to a service outside. It knows nobody but by the sealed cookie, writes nothing down, and no
// policy has a say: what a service is for is in the file.
type Federated struct {
	browser
	checks   Checks
	services map[string]topology.Service // by host
	clouds   map[string]bool             // ids of the directory's entries that people come from
	users    []byte                      // key of session.ServiceUserID
	carriers map[string]session.Carrier  // of the services that have a sidecar, by id
}

// platformEndpoints are all endpoints of our own on the commercial side. The door reads the cookies.
var platformEndpoints = []own{
	{methods: []string{"GET", "POST"}, path: signin.PathSignIn, signInOnly: true},
	{methods: []string{"POST"}, path: signin.PathFederatedStart, signInOnly: true},
	{methods: []string{"GET"}, path: signin.PathFederatedCallback, signInOnly: true},
	{methods: []string{"GET"}, path: signin.PathEnter},
	{methods: []string{"GET", "POST"}, path: signin.PathLogout},
}

// NewFederated prepares the rules for one state of the file. users is the key that people's ids at services are derived with; carriers are those of
// the services that have a sidecar, by id.
func NewFederated(
	platform topology.Platform, directory []topology.Directory, flows signin.Flows, checks Checks, users []byte, carriers map[string]session.Carrier,
) *Federated {
	f := &Federated{
		browser: newBrowser(flows, platformEndpoints), checks: checks,
		services: map[string]topology.Service{}, clouds: map[string]bool{}, users: users, carriers: carriers,
	}
	for _, s := range platform.Services {
		f.backends[s.Host], f.services[s.Host] = s.ID, s
	}
	for _, entry := range directory {
		f.clouds[entry.ID] = entry.Federates()
	}
	return f
}

// Decide follows a request from its host to its service.
func (f *Federated) Decide(ctx context.Context, r check.Request) check.Verdict {
	to, refused := f.arrive(r)
	switch {
	case refused.Reason != "":
		return refused
	case to.backend == "":
		_, v := f.endpoint(r)
		return v
	}
	return f.visitor(ctx, r, f.services[r.Host], to.cookies)
}

// visitor finds out who asks. What another site sends in a person's name causes no ask.
func (f *Federated) visitor(ctx context.Context, r check.Request, s topology.Service, cookies session.Cookies) check.Verdict {
	sealed, err := f.checks.Sealed.Open(r.Host, cookies.Outside)
	if err != nil {
		return f.toSignIn(r, cookies)
	}
	if unsafe(r) && !sameSite(r, f.flows.Site.URL(r.Host), nil) {
		return check.Deny(http.StatusForbidden, check.CrossOrigin, isFormPost(r), "")
	}
	o, renewed, err := f.living(ctx, r.Host, sealed)
	switch {
	case errors.Is(err, session.ErrNone):
		return answering(f.toSignIn(r, cookies), session.ClearOutside())
	case err != nil:
		return failed(r, check.Unavailable, err)
	case s.Federation != topology.FederationAllowed:
		return answering(check.Deny(http.StatusForbidden, check.Federation, isNavigation(r) || isFormPost(r), ""), renewed)
	}
	return answering(f.person(r, s, o, cookies), renewed)
}

// living ends the sessions of a cloud that is in the directory no more.
func (f *Federated) living(ctx context.Context, host string, o session.Outside) (session.Outside, string, error) {
	if !f.clouds[o.Cloud] {
		return session.Outside{}, "", session.ErrNone
	}
	return f.checks.renewed(ctx, host, o)
}

// person lets somebody pass, with all that the service may know.
func (f *Federated) person(r check.Request, s topology.Service, o session.Outside, cookies session.Cookies) check.Verdict {
	told, err := f.told(s, o)
	if err != nil {
		return failed(r, check.Unavailable, err)
	}
	set, remove := strip(r, cookies)
	remove = slices.DeleteFunc(remove, func(name string) bool { // Envoy removes after it sets
		return slices.ContainsFunc(told, func(field page.Field) bool { return field.Name == name })
	})
	return check.Verdict{
		Allow: true, Reason: check.Session, Set: append(set, told...), Remove: remove,
		Stream: streamFor(s.Stream(), o.Ends.Sub(f.flows.Now())),
	}
}

// told is what a service is told of a person. Only one with a sidecar can call the person's cloud, so no other gets what that takes.
func (f *Federated) told(s topology.Service, o session.Outside) ([]page.Field, error) {
	told := []page.Field{
		{Name: HeaderCloud, Value: o.Cloud},
		{Name: HeaderUser, Value: session.ServiceUserID(f.users, s.ID, o.Cloud, o.Subject)},
	}
	carrier, calls := f.carriers[s.ID]
	if !calls {
		return told, nil
	}
	carried, err := carrier.Seal(o)
	return append(told, page.Field{Name: HeaderToken, Value: carried}), err
}

// answering adds a cookie to what the browser gets, whoever answers it.
func answering(v check.Verdict, cookie string) check.Verdict {
	switch {
	case cookie == "":
	case v.Allow:
		v.Respond = append(v.Respond, page.Field{Name: "set-cookie", Value: cookie})
	default:
		v.Answer = v.Answer.With("set-cookie", cookie)
	}
	return v
}
