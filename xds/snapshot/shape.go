package snapshot

import (
	"cmp"
	"fmt"

	"isogate/policies"
)

// shape is what can be told of a path without its words: how many segments it has, none of them empty, and whether a slash follows the last.
type shape struct {
	segments int
	slash    bool
}

func (t *template) shape() shape {
	if n := len(t.segments) - 1; t.segments[n] == "" {
		return shape{n, true}
	}
	return shape{len(t.segments), false}
}

// compare sorts by the segments, and a slash after the same.
func (s shape) compare(other shape) int {
	rank := func(s shape) int {
		if s.slash {
			return 2*s.segments + 1
		}
		return 2 * s.segments
	}
	return cmp.Compare(rank(s), rank(other))
}

// patternOf matches the paths of a shape, with any query behind them, in RE2's syntax. Of several shapes, in their order, it matches those of all with as
// many segments as one of these, or as a number between, have.
func patternOf(shapes []shape) string {
	first, last, slash := shapes[0], shapes[len(shapes)-1], "/?"
	switch {
	case first != last:
	case first.slash:
		slash = "/"
	default:
		slash = ""
	}
	return fmt.Sprintf(`(?:/%s){%d,%d}%s(?:\?.*)?`, policies.Segment, first.segments, last.segments, slash)
}

// halves parts shapes, in their order, into two; one is a part by itself. Two that differ in the slash alone stay together until no other is with them.
func halves(shapes []shape) [][]shape {
	if len(shapes) == 1 {
		return [][]shape{shapes}
	}
	middle := len(shapes) / 2
	if len(shapes) > 2 && shapes[middle-1].segments == shapes[middle].segments {
		middle++
	}
	return [][]shape{shapes[:middle], shapes[middle:]}
}
