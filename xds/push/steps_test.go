package push

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestVanishedClusterGoesInTwoSteps(t *testing.T) {
	old := edge(t, "one", "two")
	f := serve(t, &old)
	c := f.connect(t, "n")
	response, _, _ := c.receive()
	c.accept(response)
	if err := f.server.Set(edge(t, "two", "three")); err != nil {
		t.Fatal(err)
	}
	response, came, went := c.receive()
	if diff := cmp.Diff([][]string{{"cloud.three"}, nil}, [][]string{came, went}); diff != "" {
		t.Fatalf("first step (-want +got):\n%s", diff)
	}
	time.Sleep(50 * time.Millisecond)
	if got := len(f.server.clusters()); got != 3 {
		t.Errorf("before the answer %d clusters are served, want 3", got)
	}
	c.accept(response)
	_, came, went = c.receive()
	if diff := cmp.Diff([][]string{nil, {"cloud.one"}}, [][]string{came, went}); diff != "" {
		t.Errorf("second step (-want +got):\n%s", diff)
	}
}

func TestVanishedClusterGoesAtOnceWhenNobodyIsConnected(t *testing.T) {
	old := edge(t, "one", "two")
	f := serve(t, &old)
	if err := f.server.Set(edge(t, "two")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one cluster", func() bool { return len(f.server.clusters()) == 1 })
}

// Whoever refused the new resources still routes by the old ones.
func TestVanishedClusterStaysAfterARefusal(t *testing.T) {
	old := edge(t, "one", "two")
	f := serve(t, &old)
	c := f.connect(t, "n")
	response, _, _ := c.receive()
	c.accept(response)
	if err := f.server.Set(edge(t, "two", "three")); err != nil {
		t.Fatal(err)
	}
	response, _, _ = c.receive()
	c.refuse(response, "no")
	eventually(t, "a line in the log", func() bool { return strings.Contains(f.log.String(), "old clusters stay") })
	if got := len(f.server.clusters()); got != 3 {
		t.Errorf("%d clusters are served, want 3", got)
	}
}

// A silent Envoy holds the second step back for a bounded time only; a newer set takes over what is left.
func TestNewerSetTakesOver(t *testing.T) {
	one := edge(t, "one")
	f := serve(t, &one)
	c := f.connect(t, "n")
	c.receive() // and never answers
	for _, id := range []string{"two", "three"} {
		if err := f.server.Set(edge(t, id)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(f.server.clusters()); got != 3 {
		t.Errorf("%d clusters are served, want all three", got)
	}
	start := time.Now()
	for len(f.server.clusters()) != 1 {
		if time.Since(start) > 10*f.server.settleTime {
			t.Fatal("the old clusters never went")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestSameVersionIsNotPushedAgain(t *testing.T) {
	r := edge(t, "one")
	f := serve(t, &r)
	before := strings.Count(f.log.String(), "resources set")
	if err := f.server.Set(edge(t, "one")); err != nil {
		t.Fatal(err)
	}
	if after := strings.Count(f.log.String(), "resources set"); after != before {
		t.Error("pushed again")
	}
}

func TestRefusalIsRecorded(t *testing.T) {
	r := edge(t, "one")
	f := serve(t, &r)
	c := f.connect(t, "edge-1")
	response, _, _ := c.receive()
	eventually(t, "waiting", func() bool { return f.server.Status().Nodes["edge-1"]["cluster"].State == "waiting" })
	c.refuse(response, "line\nbreak \x1b[31m"+strings.Repeat("x", 5000))
	eventually(t, "refused", func() bool { return f.server.Status().Nodes["edge-1"]["cluster"].State == "refused" })
	got := f.server.Status().Nodes["edge-1"]["cluster"]
	if got.Version != r.Version() || len(got.Refusal) > maxRefusal+20 || !strings.HasPrefix(got.Refusal, `"line\nbreak \x1b[31mxxx`) {
		t.Errorf("got %+v", got)
	}
	want := map[string]float64{"isogate_xds_answers_total": 1, "isogate_xds_accepted": 0, "isogate_xds_streams": 1}
	if diff := cmp.Diff(want, values(t, f.metrics)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if log := f.log.String(); !strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "\x1b") {
		t.Errorf("log: %s", log)
	}
	_ = c.stream.CloseSend()
	eventually(t, "forgotten", func() bool { _, ok := values(t, f.metrics)["isogate_xds_accepted"]; return !ok })
	if nodes := f.server.Status().Nodes; len(nodes) != 0 {
		t.Errorf("status still has %v", nodes)
	}
}

func TestStaleAnswerCountsNothing(t *testing.T) {
	r := edge(t, "one")
	f := serve(t, &r)
	c := f.connect(t, "n")
	response, _, _ := c.receive()
	stale := response.GetNonce() + "9"
	response.Nonce = stale
	c.accept(response)
	time.Sleep(50 * time.Millisecond)
	if got := f.server.Status().Nodes["n"]["cluster"].State; got != "waiting" {
		t.Errorf("got %s", got)
	}
}

func (s *Server) clusters() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, c := range s.served.Clusters {
		names = append(names, c.GetName())
	}
	return names
}

// values sums each metric.
func values(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			out[family.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}
