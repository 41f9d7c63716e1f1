package push

import (
	"context"
	"io"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// restartableStream is a stream that this side can end between two messages, so that its Envoy connects again and says anew what it has.
type restartableStream struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	ctx      context.Context
	received <-chan received
}

type received struct {
	request *discoveryv3.DeltaDiscoveryRequest
	err     error
}

type restartKey struct{}

// restartable wraps a stream. Its context carries the function that ends it; end releases what it holds and must be called.
func restartable(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) (_ *restartableStream, end func()) {
	ctx, cancel := context.WithCancel(stream.Context())
	incoming := make(chan received)
	go func() { // ends at the latest when the RPC does
		for {
			request, err := stream.Recv()
			select {
			case incoming <- received{request, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return &restartableStream{stream, context.WithValue(ctx, restartKey{}, cancel), incoming}, cancel
}

// restartOf gives the function that ends the stream of a context.
func restartOf(ctx context.Context) context.CancelFunc {
	cancel, _ := ctx.Value(restartKey{}).(context.CancelFunc)
	return cancel
}

// Context ends with the stream.
func (s *restartableStream) Context() context.Context { return s.ctx }

// Recv gives the next request, or the end once the stream was asked to end.
func (s *restartableStream) Recv() (*discoveryv3.DeltaDiscoveryRequest, error) {
	select {
	case r := <-s.received:
		return r.request, r.err
	case <-s.ctx.Done():
		return nil, io.EOF
	}
}

// restartRefusing ends the streams whose last answer of some type was a refusal, and gives the ids of their nodes.
func (r *record) restartRefusing() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := map[string]bool{}
	for _, s := range r.streams {
		for _, exchange := range s.types {
			if exchange.refusal != "" {
				s.restart() // again does nothing
				nodes[s.node] = true
			}
		}
	}
	return nodes
}
