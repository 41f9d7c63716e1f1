package world

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/envoy/topology"
	"isogate/examples/product"
)

// The check of the gateway is killed while calls come: they get the one problem and no product hears of them, until it is back. Which proofs the
// killed process saw nobody knows, so the next one takes none that it may have seen; it has to wait some eleven seconds for that.
func TestGatewayCheckKilled(t *testing.T) {
	of := calls(t, member(t, "bob"), "support").To("issues", "GET", issueTarget)
	used, unused := proven(t, of), proven(t, of)
	if wrong := atGateway("support", used).fault(200, ""); wrong != "" {
		t.Fatal(wrong)
	}
	if err := shared.Parts["extauthz"].Kill(); err != nil {
		t.Fatal(err)
	}
	killed, refused, hits := time.Now(), 0, reached()
	eventually(t, "calls pass again", func() bool {
		time.Sleep(50 * time.Millisecond)
		a := answered(func() (Answer, error) { return shared.CallSidecar("support", of) })
		if a.fault(200, "") == "" {
			return true
		}
		if wrong := a.fault(503, "unavailable"); wrong != "" {
			t.Error(wrong)
		}
		refused++
		return false
	})
	t.Logf("%d calls refused in %s", refused, time.Since(killed).Round(100*time.Millisecond))
	if heard := reached() - hits; refused == 0 || heard != 1 {
		t.Errorf("%d calls met the gap, and products heard of %d", refused, heard)
	}
	for what, c := range map[string]Call{"used": used, "unused": unused} {
		hits := reached()
		if a := atGateway("support", c); a.err != nil || a.Status != 503 || a.Reason() != "unavailable" || reached() != hits {
			t.Errorf("a proof from before, %s: %d %q %v", what, a.Status, a.Reason(), a.err)
		}
	}
}

// Calls go on without the control planes, and with a fresh Envoy at the gateway; without the sidecar's check none leaves.
func TestGatewayWithoutItsHelpers(t *testing.T) {
	b := member(t, "bob")
	of := calls(t, b, "support").To("issues", "GET", issueTarget)
	t.Run("control planes", func(t *testing.T) {
		away(t, "xds")
		away(t, "xds-commercial")
		for range 10 {
			if wrong := fromSupport(of).fault(200, ""); wrong != "" {
				t.Error(wrong)
			}
		}
	})
	t.Run("the sidecar's check", func(t *testing.T) {
		away(t, "extauthz-egress-support")
		refusedUnheard(t, 503, "unavailable", func() (Answer, error) { return shared.CallSidecar("support", of) })
		must(t)(b.Open(at("market", "/")))
		market := calls(t, b, "market").To("issues", "GET", issueTarget) // whose own sidecar works, though it may not call
		refusedUnheard(t, 403, "not-exposed", func() (Answer, error) { return shared.CallSidecar("market", market) })
	})
	if wrong := fromSupport(of).fault(200, ""); wrong != "" {
		t.Error("afterwards:", wrong)
	}
	t.Run("the sidecar's Envoy", func(t *testing.T) {
		if err := shared.Parts["envoy-egress-support"].Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the sidecar is back", func() bool { return fromSupport(of).fault(200, "") == "" })
	})
}

// An Envoy at the gateway that is replaced costs no call, whatever connection it came by.
func TestGatewayEnvoyReplaced(t *testing.T) {
	exposes(t, endpoint("steady", "GET", "/steady", "none"))
	b := member(t, "bob")
	must(t)(b.Open(at("market", "/")))
	var callers []caller
	var counted tally
	for _, w := range steadyWays(t, b) {
		if w.name != "marketplace" {
			callers = append(callers, w.steadily("/steady", &counted))
		}
	}
	rate := bearable(callers...)
	counted.clear()
	load := startSteady(rate, callers...)
	if err := shared.ReplaceEnvoy(t.Context(), topology.Gateway); err != nil {
		t.Fatal(err)
	}
	load.end()
	for _, wrong := range load.wrong() {
		t.Error(wrong)
	}
	t.Logf("answers: %s", &counted)
	counted.mostly(t)
}

// Of what a product answers, no error, no redirect and no header beyond the listed ones crosses, all the way to the service.
func TestProductsAnswersOnTheWholeWay(t *testing.T) {
	exposes(t, endpoint("answers", "GET", "/answer/{status}", "none"), endpoint("cookies", "GET", "/set-cookie", "none"))
	of := calls(t, member(t, "bob"), "support")
	for target, c := range map[string]struct {
		status int
		reason string
	}{
		"/answer/200": {200, ""}, "/answer/204": {204, ""}, "/answer/302": {502, "upstream"}, "/answer/307": {502, "upstream"}, "/answer/404": {404, ""},
		"/answer/401": {401, ""}, "/answer/500": {502, "upstream"}, "/answer/503": {503, "upstream"}, "/answer/599": {502, "upstream"}, "/set-cookie": {200, ""},
	} {
		a := fromSupport(of.To("issues", "GET", target))
		if wrong := a.fault(c.status, c.reason); wrong != "" {
			t.Errorf("%s: %s", target, wrong)
		}
		onlyListed(t, target, a)
	}
	fresh := of.To("issues", "GET", "/answer/200")
	fresh.Header = map[string]string{"If-None-Match": must(t)(shared.CallSidecar("support", fresh)).Header.Get("ETag")}
	a := fromSupport(fresh)
	if wrong := a.fault(304, ""); wrong != "" || fresh.Header["If-None-Match"] == "" {
		t.Errorf("if-none-match %q: %s", fresh.Header["If-None-Match"], wrong)
	}
	onlyListed(t, "304", a)
}

// crossesBack are the headers of a product's answer that a service may get; date is the sidecar's own. A problem has some more, the same ones always.
var (
	crossesBack    = []string{"Content-Type", "Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Retry-After", "Cache-Control", "Date"}
	problemsHeader = []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy"}
)

func onlyListed(t *testing.T, what string, a crossed) {
	t.Helper()
	for name, values := range a.Header {
		listed := slices.Contains(crossesBack, name) || a.Reason() != "" && slices.Contains(problemsHeader, name)
		if !listed || strings.Contains(strings.Join(values, ""), product.Internals) {
			t.Errorf("%s: %s: %q reaches the service", what, name, values)
		}
	}
	if a.Reason() != "" && strings.Contains(a.Body, product.Internals) {
		t.Errorf("%s: the product's text reaches the service: %s", what, a.Body)
	}
}

// A product that does not answer, or cuts its answer off, is one problem, without a word of it.
func TestProductDownBehindTheGateway(t *testing.T) {
	of := calls(t, member(t, "bob"), "support").To("issues", "GET", issueTarget)
	for _, s := range shared.sites {
		if s.handler != http.Handler(shared.Products["issues"]) {
			continue
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		a := fromSupport(of)
		if wrong := a.fault(503, "upstream"); wrong != "" {
			t.Error(wrong)
		}
		onlyListed(t, "down", a)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the product is back", func() bool { return fromSupport(of).fault(200, "") == "" })
}

// A body over a megabyte does not cross, announced or not; one below does.
func TestHugeBodies(t *testing.T) {
	exposes(t, endpoint("upload", "POST", "/upload", "opaque"))
	of := calls(t, member(t, "bob"), "support").To("issues", "POST", "/upload")
	of.Body = strings.Repeat("x", 1<<20)
	if wrong := fromSupport(of).fault(200, ""); wrong != "" {
		t.Error("a megabyte:", wrong)
	}
	of.Body += "x"
	for what, a := range map[string]crossed{"through the sidecar": fromSupport(of), "at the gateway": atGateway("support", proven(t, of))} {
		if wrong := a.fault(413, "too-large"); wrong != "" {
			t.Errorf("%s: %s", what, wrong)
		}
	}
}

// A caller that asks too often is told so, and costs nobody else anything.
func TestOneCallersRate(t *testing.T) {
	of := calls(t, member(t, "bob"), "support").To("issues", "GET", issueTarget)
	client, err := shared.gatewayClient(stranger, shared.Cloud)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	bare := Call{Product: "issues", Target: issueTarget}
	var refusals tally
	eventually(t, "the stranger is told to wait", func() bool {
		var burst sync.WaitGroup
		for range 16 {
			burst.Go(func() {
				for range 25 {
					a := answered(func() (Answer, error) { return shared.gatewayBy(client, bare) })
					refusals.add(a.Status)
					if wrong := a.fault(429, "rate"); wrong == "" && a.Header.Get("Retry-After") == "1" {
						continue
					} else if a.Status == 429 || a.fault(403, "not-exposed") != "" {
						t.Error(wrong)
					}
				}
			})
		}
		burst.Wait()
		return refusals.of(429) > 0
	})
	if wrong := fromSupport(of).fault(200, ""); wrong != "" {
		t.Error("another caller meanwhile:", wrong)
	}
	t.Logf("the stranger was told: %s", &refusals)
	eventually(t, "the stranger may ask again", func() bool {
		time.Sleep(100 * time.Millisecond)
		return answered(func() (Answer, error) { return shared.gatewayBy(client, bare) }).fault(403, "not-exposed") == ""
	})
}

// A call whose product takes longer than the person's session lives is cut when that ends, for the service and for the product.
func TestACallEndsWithItsSession(t *testing.T) {
	arrived, cut := make(chan time.Time, 1), make(chan struct{})
	productServes(t, func(product http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/endless" {
				product.ServeHTTP(w, r)
				return
			}
			arrived <- time.Now()
			<-r.Context().Done()
			close(cut)
		})
	})
	exposes(t, endpoint("endless", "GET", "/endless", "none"))
	edit(t, shared.File(), "federated: 24h", "federated: 5s")
	time.Sleep(time.Second) // until the file is read
	b := shared.Browser()
	federate(t, b, shared.Cloud, "bob", at("support", "/whoami"))
	of := calls(t, b, "support").To("issues", "GET", "/endless")
	if wrong := fromSupport(of).fault(503, "upstream"); wrong != "" {
		t.Error(wrong)
	}
	if lasted := time.Since(<-arrived); lasted > 10*time.Second {
		t.Errorf("the call lasted %s", lasted)
	}
	select {
	case <-cut:
	case <-time.After(10 * time.Second):
		t.Error("the product goes on")
	}
	if wrong := fromSupport(of).fault(401, "token"); wrong != "" { // it is sealed for no longer than the session
		t.Error("the next call:", wrong)
	}
}
