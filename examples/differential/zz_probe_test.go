package differential

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	w := theWorld(t)
	n := 0
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 7))
	for end := time.Now().Add(100 * time.Second); time.Now().Before(end) && !t.Failed(); n++ {
		w.check(t, w.nasty(random))
	}
	t.Log(n)
}
