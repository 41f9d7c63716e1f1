package profile

import (
	"container/heap"
	"time"
)

// maxEnded bounds how many grants of one cloud are remembered to be over.
const maxEnded = 1 << 15

// endedGrants are those of one cloud that are over, each until no cookie of it can open any more. Above the bound the one that would be forgotten
// first gives way, to a grant of its own cloud alone: whoever signs out somewhere else as often as they like revives nobody here.
type endedGrants struct {
	known   map[string]bool
	endings endings
}

// ending is until when a grant is remembered.
type ending struct {
	grant string
	until time.Time
}

func (e *endedGrants) has(grant string) bool { return e != nil && e.known[grant] }

// add remembers a grant until a moment. The first moment holds.
func (e *endedGrants) add(grant string, until, now time.Time) {
	if e.known[grant] {
		return
	}
	for len(e.endings) > 0 && (len(e.endings) >= maxEnded || !now.Before(e.endings[0].until)) {
		first, _ := heap.Pop(&e.endings).(ending)
		delete(e.known, first.grant)
	}
	e.known[grant] = true
	heap.Push(&e.endings, ending{grant, until})
}

// endings are a heap: the one that is forgotten first stands first.
type endings []ending

func (m endings) Len() int           { return len(m) }
func (m endings) Less(i, j int) bool { return m[i].until.Before(m[j].until) }
func (m endings) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

func (m *endings) Push(x any) {
	if added, ok := x.(ending); ok {
		*m = append(*m, added)
	}
}

func (m *endings) Pop() any {
	all := *m
	last := all[len(all)-1]
	all[len(all)-1] = ending{}
	*m = all[:len(all)-1]
	return last
}
