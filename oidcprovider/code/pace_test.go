package code

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	p := pace{clients: map[string]*[10]slot{}}
	now := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	push := func(client string, times int) (admitted int) {
		for range times {
			if p.admit(client, now) {
				admitted++
			}
		}
		return admitted
	}
	if got := push("a", maxPushed/2); got != maxPushed/2 {
		t.Errorf("the first half: %d", got)
	}
	now = now.Add(span)
	if got := push("a", maxPushed); got != maxPushed-maxPushed/2 {
		t.Errorf("the second half and more: %d", got)
	}
	if push("b", 1) != 1 {
		t.Error("one client's pushes count for another")
	}
	now = now.Add(RequestLifetime - 2*span)
	if push("a", 1) != 0 {
		t.Error("requests that live count no more")
	}
	now = now.Add(span)
	if got := push("a", maxPushed); got != maxPushed/2 {
		t.Errorf("when the first half is over: %d", got)
	}
	now = now.Add(24 * time.Hour)
	if got := push("a", maxPushed+1); got != maxPushed {
		t.Errorf("a day later: %d", got)
	}
}
