package world

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// edits is how many edits the policies get under load. With the race detector the daemons take five times as long for each.
func edits() int {
	if raceDetector {
		return 20
	}
	return 100
}

// One edit opens an endpoint of the real gateway, another closes it. Nothing else changes meanwhile: every call of an endpoint that stays exposed is
// answered by the product, and every call of the one that comes and goes by the product or by the one refusal. No connection is cut.
func TestEditsUnderCalls(t *testing.T) {
	edit(t, shared.File(), "      callers: ["+SPIFFE("support")+"]\n", "      callers: ["+SPIFFE("support")+", "+SPIFFE("market")+"]\n")
	exposes(t, endpoint("steady", "GET", "/steady", "none", "support", "market"))
	b := member(t, "bob")
	must(t)(b.Open(at("market", "/")))
	ways := steadyWays(t, b)
	for _, w := range ways {
		eventually(t, w.name+" works", func() bool { return w.steadily("/steady", new(tally))() == "" })
	}
	was, open := withEndpoints(t, endpoint("changing", "GET", "/changing", "none", "support", "market"))
	t.Cleanup(func() { writesIfOther(t, was) })
	var callers []caller
	var staying, changing tally
	for _, w := range ways {
		callers = append(callers, w.steadily("/steady", &staying), w.steadily("/changing", &changing))
	}
	rate := bearable(callers...)
	staying.clear()
	changing.clear()
	load := startSteady(rate, callers...)
	took := editing(t, load, ways[len(ways)-1], was, open)
	for _, wrong := range load.wrong() {
		t.Error(wrong)
	}
	slices.Sort(took)
	median, longest := took[len(took)/2], took[len(took)-1]
	t.Logf("%d edits, each acting after %d ms (median) or %d ms (longest)", len(took), median.Milliseconds(), longest.Milliseconds())
	t.Logf("answers of the endpoint that stays: %s; of the one that comes and goes: %s", &staying, &changing)
	staying.mostly(t)
	changing.mostly(t)
	if changing.of(200) == 0 || changing.of(403) == 0 {
		t.Error("the endpoint did not come and go under the load: the test shows nothing")
	}
	if median > editSeen {
		t.Errorf("an edit acts after %s", median)
	}
	for _, w := range ways {
		if w.dialled != nil && w.dialled.Load() != 1 {
			t.Errorf("%s: %d connections", w.name, w.dialled.Load())
		}
	}
}

// editing makes edits under a load, which it ends, and says how long each took to act. They are made as an editor or a deployment does: a whole file
// in the other's place.
func editing(t *testing.T, load *steady, w *way, was, open string) (took []time.Duration) {
	t.Helper()
	defer load.end()
	for i := range edits() {
		text, want := open, 200
		if i%2 == 1 {
			text, want = was, 403
		}
		began := time.Now()
		if err := shared.WritePolicy(gatewayRego, text); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("the edit leads to %d", want), func() bool {
			a, err := w.ask("/changing")
			return err == nil && a.Status == want
		})
		took = append(took, time.Since(began))
	}
	return took
}

// bearable is how many calls a second this machine and the gateway bear: a caller may make a hundred, and has them again a second after the trial.
func bearable(callers ...caller) int {
	rate := min(half(callers...), 60)
	time.Sleep(time.Second)
	return rate
}

// writesIfOther undoes edits; policies that stand there already are none.
func writesIfOther(t *testing.T, text string) {
	if raw, err := os.ReadFile(shared.Policies() + "/" + gatewayRego); err == nil && string(raw) != text {
		writesGateway(t, text)
	}
}

// tally counts answers by status; 0 is a starved check.
type tally struct {
	mu     sync.Mutex
	counts map[int]int
}

func (y *tally) add(status int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.counts == nil {
		y.counts = map[int]int{}
	}
	y.counts[status]++
}

func (y *tally) clear() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.counts = nil
}

func (y *tally) of(status int) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.counts[status]
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return fmt.Sprint(y.counts)
}

// mostly wants few starved checks: a change that holds up each check would make many.
func (y *tally) mostly(t *testing.T) {
	t.Helper()
	if starved, answered := y.of(0), y.of(200)+y.of(403); starved*10 > answered {
		t.Errorf("%d checks were waited for in vain, beside %d answers", starved, answered)
	}
}

// way is one on which calls go: through a sidecar or by a gateway's own door, over a connection that stays or over new ones.
type way struct {
	name    string
	ask     func(target string) (Answer, error)
	dialled *atomic.Int64 // connections so far; nil where nobody counts
}

// steadily calls an endpoint that is always exposed, or one that comes and goes, and wants the product's answer, or for the latter the one refusal.
func (w *way) steadily(target string, counted *tally) caller {
	return func() string {
		a := answered(func() (Answer, error) { return w.ask(target) })
		if a.starved() {
			counted.add(0)
			return ""
		}
		counted.add(a.Status)
		wrong := a.fault(200, "")
		if wrong == "" || target == "/changing" && a.fault(403, "not-exposed") == "" {
			return ""
		}
		return fmt.Sprintf("%s%s after %s: %s", w.name, target, a.took, wrong)
	}
}

// steadyWays are those of the Support Centre and, last, of the marketplace, all for one person.
func steadyWays(t *testing.T, b *Browser) []*way {
	t.Helper()
	support, market := calls(t, b, "support"), calls(t, b, "market")
	sidecar := shared.sidecarClient()
	direct, dialled := countedClient(t, "support")
	t.Cleanup(sidecar.CloseIdleConnections)
	t.Cleanup(direct.CloseIdleConnections)
	proved := func(by func(Call) (Answer, error)) func(string) (Answer, error) {
		return func(target string) (Answer, error) {
			c, err := shared.Opened("support", support.To("issues", "GET", target))
			if err != nil {
				return Answer{}, err
			}
			return by(c)
		}
	}
	return []*way{
		{name: "sidecar", ask: func(target string) (Answer, error) {
			return shared.sidecarBy(sidecar, "support", support.To("issues", "GET", target))
		}},
		{name: "sidecar, new connection", ask: func(target string) (Answer, error) {
			return shared.CallSidecar("support", support.To("issues", "GET", target))
		}},
		{name: "gateway", dialled: dialled, ask: proved(func(c Call) (Answer, error) { return shared.gatewayBy(direct, c) })},
		{name: "gateway, new connection", ask: proved(func(c Call) (Answer, error) { return shared.CallGateway("support", c) })},
		{name: "marketplace", ask: func(target string) (Answer, error) {
			return shared.CallSidecar("market", market.To("issues", "GET", target))
		}},
	}
}

// countedClient is a client at the first cloud's gateway that counts its connections.
func countedClient(t *testing.T, name string) (*http.Client, *atomic.Int64) {
	t.Helper()
	client, err := shared.gatewayClient(name, shared.Cloud)
	if err != nil {
		t.Fatal(err)
	}
	transport, dialled := client.Transport.(*http.Transport), new(atomic.Int64)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return dial(ctx, network, address)
	}
	return client, dialled
}

// A call that is under way when its endpoint is withdrawn ends well; the next one does not begin.
func TestWithdrawnUnderWay(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	productServes(t, func(product http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(arrived)
				<-release
			}
			product.ServeHTTP(w, r)
		})
	})
	of := calls(t, member(t, "bob"), "support").To("issues", "GET", "/slow")
	answers := make(chan string, 1)
	t.Run("exposed", func(t *testing.T) {
		exposes(t, endpoint("slow", "GET", "/slow", "none"))
		go func() {
			answers <- fromSupport(of).fault(200, "")
		}()
		select {
		case <-arrived:
		case wrong := <-answers:
			t.Fatal(wrong)
		}
	})
	if wrong := fromSupport(of).fault(403, "not-exposed"); wrong != "" {
		t.Error("a new call:", wrong)
	}
	close(release)
	if wrong := <-answers; wrong != "" {
		t.Error("the call under way:", wrong)
	}
}
