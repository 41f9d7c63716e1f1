package snapshot

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// walk is what Envoy does with halves: the first part whose pattern matches is final.
func walk(shapes []shape, path string) (found shape, patterns int, ok bool) {
	for _, part := range halves(shapes) {
		patterns++
		if !regexp.MustCompile("^(?:" + patternOf(part) + ")$").MatchString(path) {
			continue
		}
		if len(part) == 1 {
			return part[0], patterns, true
		}
		found, more, ok := walk(part, path)
		return found, patterns + more, ok
	}
	return found, patterns, false
}

// However many shapes there are, a path gets to its own with few patterns, and one of another shape to none.
func TestHalvesLeadToTheShape(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var all []shape
	for n := range 33 {
		all = append(all, shape{n, true})
		if n > 0 {
			all = append(all, shape{n, false})
		}
	}
	slices.SortFunc(all, shape.compare)
	met, kept := 0, 1.0
	for range 20 {
		var some []shape
		for _, s := range all {
			if random.Float64() < kept {
				some = append(some, s)
			}
		}
		kept = random.Float64()
		for _, s := range all {
			if len(some) == 0 {
				break
			}
			path := strings.Repeat("/a%20b", s.segments) + map[bool]string{true: "/"}[s.slash]
			found, patterns, ok := walk(some, path+"?x=/y")
			if ok != slices.Contains(some, s) || ok && found != s {
				t.Fatalf("%+v of %v: %+v, %t", s, some, found, ok)
			}
			if patterns > 14 {
				t.Errorf("%+v of %d: %d patterns", s, len(some), patterns)
			}
			if ok {
				met++
			}
		}
	}
	if met < 200 {
		t.Errorf("only %d were met", met)
	}
}
