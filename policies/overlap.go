package policies

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// length groups what can overlap at all.
type length struct {
	service
	segments int
}

// overlaps finds the endpoints that could match a path of another without one of the two being the special case of the
// other: then no order of routes is right for both. Two templates can match one path if they agree wherever both are
// literal; one is the special case if it is literal wherever the other is. So the templates are grouped by where their
// literals stand, and only groups of which neither contains the other need a look. list is sorted by ID, a pair holds two
// of its indices, the later one first.
func overlaps(list []Endpoint) (pairs [][2]int) {
	groups := map[length]map[uint32][]int{}
	for i := range list {
		l, literal := measure(&list[i])
		if groups[l] == nil {
			groups[l] = map[uint32][]int{}
		}
		groups[l][literal] = append(groups[l][literal], i)
	}
	for _, group := range groups {
		for s, mine := range group {
			for t, theirs := range group {
				if crossing(s, t) {
					pairs = append(pairs, meet(list, mine, theirs, s&t)...)
				}
			}
		}
	}
	slices.SortFunc(pairs, func(p, q [2]int) int { return cmp.Or(p[0]-q[0], p[1]-q[1]) })
	return pairs
}

// measure counts the segments and tells where the literal ones stand: bit i is set if segment i is one.
func measure(e *Endpoint) (l length, literal uint32) {
	l.service = service{e.Product, e.Method}
	for segment := range strings.SplitSeq(e.Path[1:], "/") {
		if !isVariable(segment) {
			literal |= 1 << l.segments
		}
		l.segments++
	}
	return l, literal
}

// crossing is of the same, or of two where each has something that the other lacks.
func crossing(a, b uint32) bool { return a == b || a&^b != 0 && b&^a != 0 }

// meet pairs each of mine with the first of theirs before it that has the same literals at the places of mask.
func meet(list []Endpoint, mine, theirs []int, mask uint32) (pairs [][2]int) {
	first := make(map[string]int, len(theirs))
	for _, i := range theirs {
		key := project(list[i].Path, mask)
		if _, ok := first[key]; !ok {
			first[key] = i
		}
	}
	for _, i := range mine {
		if j, ok := first[project(list[i].Path, mask)]; ok && j < i {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}

// project keeps the segments of a template at the places of mask.
func project(template string, mask uint32) string {
	if bits.OnesCount32(mask) == strings.Count(template, "/") {
		return template
	}
	var key strings.Builder
	i := 0
	for segment := range strings.SplitSeq(template[1:], "/") {
		if mask&(1<<i) != 0 {
			key.WriteString(segment)
		}
		key.WriteByte('/')
		i++
	}
	return key.String()
}

// overlapFault says what to change.
func overlapFault(a, b *Endpoint) string {
	if a.Path == b.Path {
		return fmt.Sprintf("exposes the same as %q; remove one", b.ID)
	}
	return fmt.Sprintf("%s %s could match the same path as %q, %s, and neither is the special case of the other; "+
		"write a segment of one out, or remove one", a.Method, a.Path, b.ID, b.Path)
}
