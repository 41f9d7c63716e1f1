package policies

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// length groups what can overlap at all.
type length struct {
	service
	segments int
}

// Bounds of what is tried one after the other: here by overlaps, and for each request by Envoy, which does so with the
// templates of a product that begin alike.
const (
	maxAlike  = 256 // endpoints of one product whose paths are the same up to the first variable
	maxShapes = 64  // different places of the variables, for one product, method and number of segments
)

// conflict is why an endpoint, by its index, cannot stand beside the others.
type conflict struct {
	index  int
	why    string
	beside *Endpoint // what it overlaps, see overlapFault; nil: why says what is wrong
}

// conflicts looks for all of them in a list that is sorted by ID. The error is that of ctx.
func conflicts(ctx context.Context, list []Endpoint) ([]conflict, error) {
	groups, found := group(list)
	pairs, err := overlaps(ctx, list, groups)
	for _, p := range pairs {
		found = append(found, conflict{index: p[0], beside: &list[p[1]]})
	}
	return append(found, alike(list)...), err
}

// alike finds, of each kind that is too many, the first that is.
func alike(list []Endpoint) (found []conflict) {
	count := map[[2]string]int{}
	for i := range list {
		beginning, _, _ := strings.Cut(list[i].Path, "{")
		kind := [2]string{list[i].Product, beginning}
		if count[kind]++; count[kind] == maxAlike+1 {
			found = append(found, conflict{index: i, why: fmt.Sprintf("is one too many: of the paths of %q, at most %d can be %s up to the first variable; "+
				"write more of them out before the first variable", list[i].Product, maxAlike, beginning)})
		}
	}
	return found
}

// shapes are the endpoints, by their index, with literals at the same places. See measure for the key.
type shapes map[uint32][]int

// group sorts a list by what can overlap. Shapes beyond the bound are left out, and the first for each length is returned.
func group(list []Endpoint) (groups map[length]shapes, crowded []conflict) {
	groups = map[length]shapes{}
	full := map[length]bool{}
	for i := range list {
		l, literal := measure(&list[i])
		if groups[l] == nil {
			groups[l] = shapes{}
		}
		if groups[l][literal] != nil || len(groups[l]) < maxShapes {
			groups[l][literal] = append(groups[l][literal], i)
			continue
		}
		if !full[l] {
			crowded = append(crowded, conflict{index: i, why: fmt.Sprintf("is one too many: the %s paths of %q with %d segments have their variables "+
				"at %d different places already; put them where others have theirs", l.method, l.product, l.segments, maxShapes)})
		}
		full[l] = true
	}
	return groups, crowded
}

// overlaps finds the endpoints that could match a path of another without one of the two being the special case of the
// other: then no order of routes is right for both. Two templates can match one path if they agree wherever both are
// literal; one is the special case if it is literal wherever the other is. So only shapes of which neither contains the
// other need a look. A pair holds two indices, the later one first. The error is that of ctx.
func overlaps(ctx context.Context, list []Endpoint, groups map[length]shapes) (pairs [][2]int, err error) {
	sketched := sketches(list)
	for _, comparable := range groups {
		for s, mine := range comparable {
			for t, theirs := range comparable {
				if err := ctx.Err(); err != nil {
					return nil, fmt.Errorf("comparing the endpoints: %w", err)
				}
				if crossing(s, t) {
					pairs = append(pairs, meet(sketched, mine, theirs, s&t)...)
				}
			}
		}
	}
	slices.SortFunc(pairs, func(p, q [2]int) int { return cmp.Or(p[0]-q[0], p[1]-q[1]) })
	return pairs, nil
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
func meet(list []sketch, mine, theirs []int, mask uint32) (pairs [][2]int) {
	first := make(map[uint64]int, len(theirs))
	for _, i := range theirs {
		key := list[i].project(mask)
		if _, ok := first[key]; !ok {
			first[key] = i
		}
	}
	for _, i := range mine {
		if j, ok := first[list[i].project(mask)]; ok && j < i {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return pairs
}

// sketch has a number for each segment of a template, the same for the same text at the same place. The numbers are drawn
// anew for each list, so nobody can write two texts that have one.
type sketch []uint64

func sketches(list []Endpoint) []sketch {
	type placed struct {
		at   int
		text string
	}
	seed := maphash.MakeSeed()
	all := make([]sketch, len(list))
	for i := range list {
		for segment := range strings.SplitSeq(list[i].Path[1:], "/") {
			all[i] = append(all[i], maphash.Comparable(seed, placed{len(all[i]), segment}))
		}
	}
	return all
}

// project is one number for the segments at the places of mask.
func (s sketch) project(mask uint32) (key uint64) {
	for ; mask != 0; mask &= mask - 1 {
		key ^= s[bits.TrailingZeros32(mask)]
	}
	return key
}

// overlapFault says what to change. The other one, b, is at that place.
func overlapFault(a, b *Endpoint, at *ast.Location) string {
	if shape(a.Path) == shape(b.Path) {
		return fmt.Sprintf("%s %s and %s of %q at %s are the same path twice: merge them or remove one", a.Method, a.Path, b.Path, b.ID, place(at))
	}
	return fmt.Sprintf("%s %s could match the same path as %q at %s, %s, and neither is the special case of the other; "+
		"write a segment of one out, or remove one", a.Method, a.Path, b.ID, place(at), b.Path)
}

// shape is a template without the names of its variables.
func shape(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if isVariable(s) {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}
