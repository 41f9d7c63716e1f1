package push

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isogate/envoy/topology"
)

// record knows what every open stream was sent and what it answered. It implements the callbacks of the delta server.
type record struct {
	role    topology.Role
	log     *slog.Logger
	metrics *Metrics

	mu      sync.Mutex
	version string // what is served now
	streams map[int64]*stream
	changed chan struct{} // closed and replaced at each event that settle waits for
}

// stream is one open ADS stream.
type stream struct {
	node  string // as the client says; for people only
	types map[string]*sent
}

// sent is the latest exchange of one resource type. Its zero value was asked for and not answered yet.
type sent struct {
	version  string // of the set; "" before the first response
	nonce    string
	answered bool
	refusal  string // quoted and cut; "" if accepted
}

// maxRefusal bounds the text of a refusal: Envoy quotes whole configurations in it.
const maxRefusal = 300

func newRecord(role topology.Role, log *slog.Logger, metrics *Metrics) *record {
	return &record{role: role, log: log, metrics: metrics, streams: map[int64]*stream{}, changed: make(chan struct{})}
}

// serve notes the version that streams get from now on.
func (r *record) serve(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version = version
}

// OnDeltaStreamOpen admits a stream.
func (r *record) OnDeltaStreamOpen(_ context.Context, id int64, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.streams) >= maxStreams {
		return status.Error(codes.ResourceExhausted, "too many streams")
	}
	r.streams[id] = &stream{types: map[string]*sent{}}
	r.metrics.streams.WithLabelValues(string(r.role)).Set(float64(len(r.streams)))
	return nil
}

// OnDeltaStreamClosed forgets a stream, and its node once no other stream has that name.
func (r *record) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	closed := r.streams[id]
	delete(r.streams, id)
	r.metrics.streams.WithLabelValues(string(r.role)).Set(float64(len(r.streams)))
	if closed != nil && !r.connected(closed.node) {
		r.metrics.forget(r.role, closed.node)
	}
	r.notify()
}

func (r *record) anybody() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.streams) > 0
}

func (r *record) connected(node string) bool {
	for _, s := range r.streams {
		if s.node == node {
			return true
		}
	}
	return false
}

// OnStreamDeltaRequest takes a subscription, an acceptance or a refusal.
func (r *record) OnStreamDeltaRequest(id int64, request *discoveryv3.DeltaDiscoveryRequest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.streams[id]
	if !ok {
		return status.Error(codes.Internal, "unknown stream")
	}
	if s.node == "" { // a client says its node once, in its first request
		s.node = request.GetNode().GetId()
	}
	name, ok := typeNames[request.GetTypeUrl()]
	switch {
	case s.node == "" || len(s.node) > maxNodeID:
		return status.Errorf(codes.InvalidArgument, "a node id has 1 to %d bytes", maxNodeID)
	case !ok:
		return status.Error(codes.InvalidArgument, "no such resource type here")
	}
	exchange, ok := s.types[name]
	if !ok {
		exchange = &sent{}
		s.types[name] = exchange
	}
	if nonce := request.GetResponseNonce(); nonce != "" && nonce == exchange.nonce {
		r.answer(s.node, name, exchange, request)
	}
	return nil
}

// answer notes an acceptance or a refusal. The caller holds the lock.
func (r *record) answer(node, name string, exchange *sent, request *discoveryv3.DeltaDiscoveryRequest) {
	exchange.answered, exchange.refusal = true, ""
	if detail := request.GetErrorDetail(); detail != nil {
		exchange.refusal = cut(detail.GetMessage())
		r.log.Error("an Envoy refused resources and keeps its old ones", "node", node, "type", name, "version", exchange.version, "refusal", exchange.refusal)
	}
	r.metrics.answered(r.role, node, name, exchange.refusal == "")
	r.notify()
}

// cut quotes a text of Envoy's, which may hold anything, and bounds it.
func cut(text string) string {
	if len(text) > maxRefusal {
		text = text[:maxRefusal]
	}
	return strconv.QuoteToASCII(text)
}

// OnStreamDeltaResponse notes what is about to be sent.
func (r *record) OnStreamDeltaResponse(id int64, request *discoveryv3.DeltaDiscoveryRequest, response *discoveryv3.DeltaDiscoveryResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.streams[id]
	if !ok {
		return
	}
	if name, ok := typeNames[request.GetTypeUrl()]; ok {
		s.types[name] = &sent{version: response.GetSystemVersionInfo(), nonce: response.GetNonce()}
	}
}

func (r *record) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

var errRefused = errors.New("push: refused")

// settle waits until every open stream that subscribes to these types has answered a version. It returns errRefused if one refused, or the
// context's error. Nobody connected: it returns at once.
func (r *record) settle(ctx context.Context, version string, urls []string) error {
	for {
		r.mu.Lock()
		settled, err := r.settled(version, urls)
		changed := r.changed
		r.mu.Unlock()
		if settled || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (r *record) settled(version string, urls []string) (bool, error) {
	all := true
	for _, s := range r.streams {
		for _, url := range urls {
			exchange, subscribed := s.types[typeNames[url]]
			switch {
			case !subscribed:
			case exchange.version != version || !exchange.answered:
				all = false
			case exchange.refusal != "":
				return false, errRefused
			}
		}
	}
	return all, nil
}
