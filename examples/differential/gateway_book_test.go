package differential

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"isogate/extauthz/check"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
)

// signingRecorder is what the sidecar's check asks in place of the profile.
type signingRecorder struct {
	inner check.Decider
	book  *book
}

func (r signingRecorder) Decide(ctx context.Context, in check.Request) check.Verdict {
	d := &decision{Request: in, from: in.Address, verdict: r.inner.Decide(ctx, in), sidecar: true}
	key := in.Header.Get(requestID)
	if d.verdict.Allow {
		key = set(d.verdict, "dpop")
	}
	r.book.decided(key, d)
	return d.verdict
}

// crossingRecorder is what the gateway's check asks in place of the profile. A call that came by the sidecar is known by the proof that it brings.
type crossingRecorder struct {
	inner check.Decider
	book  *book
}

func (r crossingRecorder) Decide(ctx context.Context, in check.Request) check.Verdict {
	d := &decision{Request: in, from: in.Address}
	if d.signed = r.book.find(in.Header.Get("dpop")); d.signed != nil {
		d.from = d.signed.from
	}
	d.verdict = r.inner.Decide(context.WithValue(ctx, witnessKey{}, shownTo(in)), in)
	r.book.decided(in.Header.Get(requestID), d)
	return d.verdict
}

// set is the value that a verdict gives to a header.
func set(v check.Verdict, name string) string {
	for _, f := range v.Set {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// shownTo is what the policy is to see of a call, and the query as net/url reads it.
func shownTo(in check.Request) string {
	return strings.Join(slices.Concat([]string{in.Route.Endpoint, in.Route.Product, in.Method, in.Path}, parameterNames(in.Query)), " ")
}

// parameterNames are those that net/url reads, sorted; and its fault, where it finds one.
func parameterNames(query string) []string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return []string{err.Error()}
	}
	return slices.Sorted(maps.Keys(values))
}

type witnessKey struct{}

// witnesses carry what the check saw to the policy, as the one group of the person: the policy compares it with what it was shown itself.
type witnesses struct{ profile.Grants }

func (w witnesses) Granted(ctx context.Context, id, client string, p session.Policies) (session.Grant, error) {
	grant, err := w.Grants.Granted(ctx, id, client, p)
	grant.Session.Groups = []string{ctx.Value(witnessKey{}).(string)}
	return grant, err
}
