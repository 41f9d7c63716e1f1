package provider

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/extauthz/page"
)

// handler answers one request. Beside an error its answer may be zero: what is said then follows from the error.
type handler func(*Provider, *http.Request) (page.Answer, error)

// endpoint is one method of one path.
type endpoint struct {
	name   string // in the counter
	people bool   // a browser shows what comes back; else a program reads it
	answer handler
}

// endpoints are all that there is. Which of them see a User Context Token, and that a form comes from a page of ours, the ingress decides.
var endpoints = map[string]endpoint{
	"GET " + PathOpenID:    {"discovery", false, (*Provider).discovery},
	"HEAD " + PathOpenID:   {"discovery", false, (*Provider).discovery},
	"GET " + PathOAuth:     {"discovery", false, (*Provider).discovery},
	"HEAD " + PathOAuth:    {"discovery", false, (*Provider).discovery},
	"GET " + PathJWKS:      {"jwks", false, (*Provider).jwks},
	"HEAD " + PathJWKS:     {"jwks", false, (*Provider).jwks},
	"POST " + PathPAR:      {"par", false, (*Provider).push},
	"GET " + PathAuthorize: {"authorize", true, (*Provider).authorize},
	"POST " + PathDecision: {"decision", true, (*Provider).decide},
	"POST " + PathToken:    {"token", false, (*Provider).exchange},
	"POST " + PathRevoke:   {"revoke", false, (*Provider).revoke},
}

// Metrics makes the counter isogate_oauth_requests_total{endpoint,result}: the result is ok, or the code of the error that was told.
func Metrics(registry prometheus.Registerer) *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "isogate_oauth_requests_total", Help: "Requests to the OAuth server, by endpoint and result.",
	}, []string{"endpoint", "result"})
	registry.MustRegister(counter)
	return counter
}

// ServeHTTP answers a request. Every error is logged here, once. The host of the request means nothing: all addresses are the issuer's.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, ok := endpoints[r.Method+" "+r.URL.Path]
	if !ok {
		elsewhere(r.URL.Path).ServeHTTP(w, r)
		return
	}
	answer, err := e.answer(p, r)
	if err == nil && (answer.Status == 0 || answer.Status >= http.StatusInternalServerError) {
		err = errNoAnswer
	}
	if answer.Status == 0 {
		answer = e.refuse(p, err)
	}
	p.record(r.Context(), e.name, answer.Status, err)
	answer.ServeHTTP(w, r)
}

// errNoAnswer is what is wrong when a handler has nothing to say, or when a page could not be made.
var errNoAnswer = errors.New("provider: no answer could be made")

// refuse makes the answer to an error.
func (e endpoint) refuse(p *Provider, err error) page.Answer {
	if e.people {
		return refusedPage(err)
	}
	return p.refuse(err)
}

// elsewhere answers what is no endpoint.
func elsewhere(path string) page.Answer {
	var methods []string
	for at := range endpoints {
		if method, ok := strings.CutSuffix(at, " "+path); ok {
			methods = append(methods, method)
		}
	}
	if len(methods) == 0 {
		return page.Denial(http.StatusNotFound, "not-found", false, "")
	}
	slices.Sort(methods)
	return page.Denial(http.StatusMethodNotAllowed, "method", false, "").With("allow", strings.Join(methods, ", ")) // RFC 9110 section 15.5.6
}

// refusedPage is what a person sees of an error that must not be brought to a client, because nothing shows that the client asked.
func refusedPage(err error) page.Answer {
	var f fault
	if errors.As(err, &f) && f.Status < http.StatusInternalServerError {
		return page.Refused(http.StatusBadRequest, "authorization-request")
	}
	return page.Refused(http.StatusServiceUnavailable, "unavailable")
}

// told is an error that a browser brings to the client (RFC 6749 section 4.1.2.1), as it may come from any person at any time.
type told string

func (t told) Error() string { return string(t) }

// record counts a request and logs what went wrong. A client's own mistakes are information; what is ours to mend is an error.
func (p *Provider) record(ctx context.Context, endpoint string, status int, err error) {
	result := resultOf(err)
	p.Requests.WithLabelValues(endpoint, result).Inc()
	if err == nil || errors.As(err, new(told)) {
		return
	}
	level := slog.LevelInfo
	if result == temporarilyDown || status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	p.Log.Log(ctx, level, "the OAuth server did not do what was asked", "endpoint", endpoint, "status", status, "result", result, "cause", err.Error())
}

// resultOf is a word of a closed set: every code is one of our constants.
func resultOf(err error) string {
	var word told
	var f fault
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &word):
		return string(word)
	case errors.As(err, &f):
		return cmp.Or(f.Code, temporarilyDown)
	}
	return temporarilyDown
}
