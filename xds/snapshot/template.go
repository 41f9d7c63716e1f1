package snapshot

import (
	"cmp"
	"slices"
	"strings"

	"isogate/policies"
)

// template is an endpoint's path, read.
type template struct {
	*policies.Endpoint
	segments []string // "" for a variable
	literal  string   // the path up to its first variable
	order    string   // sorts templates that can match one path: at each segment a literal goes before a variable
}

func newTemplate(e *policies.Endpoint) *template {
	t := &template{Endpoint: e, segments: strings.Split(e.Path[1:], "/"), literal: e.Path}
	if i := strings.IndexByte(e.Path, '{'); i >= 0 {
		t.literal = e.Path[:i]
	}
	order := make([]byte, len(t.segments))
	for i, s := range t.segments {
		order[i] = 'l'
		if strings.HasPrefix(s, "{") {
			t.segments[i], order[i] = variable, 'v'
		}
	}
	t.order = string(order)
	return t
}

// variable cannot be a literal segment.
const variable = "{}"

// endsInVariables tells whether nothing but variables comes behind the literal. Then the paths of its shape that begin with the literal are just those
// that it matches.
func (t *template) endsInVariables() bool {
	first := strings.IndexByte(t.order, 'v')
	return first >= 0 && !strings.Contains(t.order[first:t.shape().segments], "l")
}

// reaches tells whether the template can match a path that begins so. The last segment of a beginning may go on.
func (t *template) reaches(beginning string) bool {
	rest := beginning[1:]
	for _, mine := range t.segments {
		segment, after, more := strings.Cut(rest, "/")
		switch {
		case !more:
			return mine == variable || strings.HasPrefix(mine, segment)
		case mine != segment && (mine != variable || segment == ""):
			return false
		}
		rest = after
	}
	return false
}

// split divides templates by the beginnings of their paths, and calls each with a beginning and the templates that can match a path for which no
// longer beginning is given, those that win first. All of list begin alike, at least with a slash; above are others, with shorter literals, that reach
// that beginning.
//
// A template like /{kind}/x reaches many beginnings and must stand in the list of each. So that the lists do not outgrow the policies, a beginning gets
// a list of its own only where that holds at least as many templates of its own as it takes over from above; fewer go up into the list before. All lists
// together then hold each template once, and take over at most as many.
func split(list, above []*template, each func(beginning string, templates []*template)) {
	list = slices.SortedFunc(slices.Values(list), func(a, b *template) int { return cmp.Compare(a.literal, b.literal) })
	divide(list, above, each)
}

// together is how many templates share one list although their beginnings differ. A list costs Envoy about as much to take over as a route, and a route
// that does not match costs a request less than a microsecond.
const together = 16

// divide returns the templates that go up.
func divide(list, above []*template, each func(string, []*template)) []*template {
	beginning := commonPrefix(list[0].literal, list[len(list)-1].literal) // in sorted order these two differ first
	var reaching []*template
	for _, t := range above {
		if t.reaches(beginning) {
			reaching = append(reaching, t)
		}
	}
	own := 0
	for own < len(list) && (list[own].literal == beginning || len(list) <= together) {
		own++
	}
	below := slices.Concat(reaching, list[:own])
	mine := slices.Clone(list[:own])
	for rest := list[own:]; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].literal[len(beginning)] == rest[0].literal[len(beginning)] {
			n++
		}
		mine = append(mine, divide(rest[:n], below, each)...)
		rest = rest[n:]
	}
	if len(mine) == 0 || len(mine) < len(reaching) {
		return mine
	}
	templates := append(reaching, mine...)
	slices.SortFunc(templates, func(a, b *template) int { return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.ID, b.ID)) })
	each(beginning, templates)
	return nil
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}
