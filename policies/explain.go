package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Explanation is what the gateway would do with a call, and why, in sentences.
type Explanation struct {
	Decision Decision // the zero value where no endpoint took the call
	Steps    []string
}

// Explain follows one call as the gateway does: the endpoint, its end, its callers, its query and its body, then the rules.
// Product, Method, Path, Query, Caller and what else the rules look at come with in; Endpoint is found here. body tells
// whether the call has one.
func (b *Bundle) Explain(ctx context.Context, in CrossInput, body bool, now time.Time) (Explanation, error) {
	e, ok := b.Match(in.Product, in.Method, in.Path, now)
	if !ok {
		return Explanation{Steps: append([]string{
			fmt.Sprintf("no endpoint: nothing exposes %s %s of %s", in.Method, in.Path, in.Product),
		}, b.nearby(in, now)...)}, nil
	}
	in.Endpoint = e.ID
	steps := []string{fmt.Sprintf("endpoint %s: %s %s of %s", e.ID, e.Method, e.Path, e.Product)}
	if refused := e.refuses(in, body); len(refused) > 0 {
		return Explanation{Steps: append(steps, refused...)}, nil
	}
	d, err := b.Cross(ctx, in)
	if err != nil {
		return Explanation{Steps: steps}, err
	}
	return Explanation{Decision: d, Steps: append(steps, fmt.Sprintf("%s says %s: %s", d.Rule, word(d.Allow), d.Reason))}, nil
}

// refuses says what of a call the endpoint does not take.
func (e *Endpoint) refuses(in CrossInput, body bool) (why []string) {
	if !e.Admits(in.Caller) {
		why = append(why, fmt.Sprintf("caller %q is not listed; the callers are %s", in.Caller, strings.Join(e.Callers, ", ")))
	}
	for _, name := range in.Query {
		if !e.Takes(name) {
			why = append(why, fmt.Sprintf("query parameter %q is not listed; listed is %s", name, orNothing(e.Query)))
		}
	}
	if body && e.Body == BodyNone {
		why = append(why, "a body is not taken; the endpoint says "+BodyNone)
	}
	return why
}

// nearby names the endpoints that a call misses by one thing: the method, the product, the day, or the spelling.
func (b *Bundle) nearby(in CrossInput, now time.Time) (why []string) {
	if b == nil {
		return nil
	}
	for s := range b.routes {
		e := b.routes[s].find(strings.TrimPrefix(in.Path, "/"), true, time.Time{}) // the ended ones too
		switch {
		case e == nil:
		case s == service{in.Product, in.Method} && !ended(e.Expires, now):
			why = append(why, fmt.Sprintf("endpoint %s: once it is decoded, the path is another endpoint's; write it without escapes", e.ID))
		case s == service{in.Product, in.Method}:
			why = append(why, fmt.Sprintf("endpoint %s ended with %s", e.ID, e.Expires.AddDate(0, 0, -1).Format(time.DateOnly)))
		case s.product == in.Product && !ended(e.Expires, now):
			why = append(why, fmt.Sprintf("endpoint %s is for %s", e.ID, s.method))
		case s.method == in.Method && !ended(e.Expires, now):
			why = append(why, fmt.Sprintf("endpoint %s is of %s", e.ID, s.product))
		}
	}
	if hint := b.cutShort(in, now); hint != "" {
		why = append(why, hint)
	}
	slices.Sort(why)
	return why
}

// uncut puts what only a variable takes in the place of the characters at which products cut a path.
var uncut = strings.NewReplacer(";", "*", "?", "*", "#", "*", "%3b", "*", "%3B", "*", "%3f", "*", "%3F", "*", "%23", "*")

// cutShort names the variable that would take its segment but for such a character.
func (b *Bundle) cutShort(in CrossInput, now time.Time) string {
	path := uncut.Replace(in.Path)
	e, ok := b.Match(in.Product, in.Method, path, now)
	if !ok || path == in.Path {
		return ""
	}
	names, taken := strings.Split(e.Path, "/"), strings.Split(path, "/")
	for i, segment := range strings.Split(in.Path, "/") {
		if segment != taken[i] {
			return fmt.Sprintf("endpoint %s: %s takes no ; ? or # in any spelling", e.ID, names[i])
		}
	}
	return ""
}

func word(allow bool) string {
	if allow {
		return "allowed"
	}
	return "denied"
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
