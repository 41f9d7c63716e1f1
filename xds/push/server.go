package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/xds/snapshot"
)

// Bounds on what clients of the socket may take.
const (
	maxStreams = 64      // open at once, of all connections
	maxMessage = 1 << 20 // bytes of one request; it lists names and versions
	maxNodeID  = 128     // bytes
)

// How long a vanished cluster stays.
const (
	settleTime = 5 * time.Second // at most, until every Envoy says that it no longer routes there
	lingerTime = 2 * time.Second // then, for requests that were routed there before and wait for the check, which takes 1 s at most
)

// Server delivers one role's resources. Set may be called by one goroutine at a time or by several; the last call counts.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer // every RPC but the one below answers Unimplemented

	role   topology.Role
	log    *slog.Logger
	record *record
	cache  cache.SnapshotCache
	delta  delta.Server
	ctx    context.Context // ends when the server does; open streams end with it
	stop   context.CancelFunc

	settleTime, lingerTime time.Duration

	mu     sync.Mutex
	target snapshot.Resources // what was set last
	served snapshot.Resources // what clients get: the target, and clusters that are about to go
	want   string             // the target's version; "" until the first Set
	sets   int                // how often Set changed something: a version may come back
}

// NewServer returns the server of a role, which serves nobody until Set was called.
func NewServer(role topology.Role, log *slog.Logger, metrics *Metrics) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{role: role, log: log.With("role", string(role)), ctx: ctx, stop: stop, settleTime: settleTime, lingerTime: lingerTime}
	s.record = newRecord(role, s.log, metrics)
	s.cache = cache.NewSnapshotCache(true, everyNode{}, nil)
	s.delta = delta.NewServer(ctx, s.cache, s.record)
	return s
}

// everyNode makes one group of all clients of a role's socket.
type everyNode struct{}

const group = "role"

// ID ignores what the node says of itself.
func (everyNode) ID(*corev3.Node) string { return group }

// DeltaAggregatedResources serves ADS in the delta variant.
func (s *Server) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	s.mu.Lock()
	ready := s.want != ""
	s.mu.Unlock()
	if !ready {
		return status.Error(codes.Unavailable, "no resources yet")
	}
	return s.delta.DeltaStreamHandler(stream, resource.AnyType)
}

// Unit serves on a bound listener. Streams of ADS never end by themselves, so ending the unit ends them first; Envoy keeps what it has and
// connects again.
func (s *Server) Unit(listener net.Listener) daemon.Unit {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		// Envoy probes its connection every few seconds; by default gRPC would take that for an attack and hang up.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, s)
	inner := daemon.GRPC("xds "+string(s.role), listener, server)
	return daemon.Unit{Name: inner.Name, Run: func(ctx context.Context) error {
		defer context.AfterFunc(ctx, s.stop)()
		return inner.Run(ctx)
	}}
}

// Set makes these the role's resources. A set that does not validate is refused and changes nothing; one that is already set is not sent again.
//
// Where clusters vanish the change takes two steps, since Envoy may still route to them until it has the new routes: first the new resources with
// the old clusters beside them, then, once every connected Envoy has accepted that, the new resources alone.
func (s *Server) Set(r snapshot.Resources) error {
	if err := snapshot.Validate(r); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	version := r.Version()
	if version == s.want {
		return nil
	}
	staged, gone := r.Keeping(s.served)
	changed := changedTypes(s.served, staged)
	if err := s.publish(staged); err != nil {
		return err
	}
	s.target, s.want = r, version
	s.sets++
	s.log.Info("resources set", "version", version, "changed", len(changed), "clusters_leaving", gone)
	if gone > 0 {
		go s.finish(s.sets, staged.Version(), changed)
	}
	return nil
}

// finish takes the second step, unless another Set came in between: that one has staged anew what is left.
func (s *Server) finish(set int, staged string, changed []string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.settleTime)
	defer cancel()
	if err := s.record.settle(ctx, staged, changed); errors.Is(err, errRefused) {
		s.log.Error("old clusters stay: an Envoy refused the resources that no longer use them", "version", staged)
		return
	}
	if s.record.anybody() {
		select {
		case <-time.After(s.lingerTime):
		case <-s.ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets != set || s.ctx.Err() != nil {
		return
	}
	if err := s.publish(s.target); err != nil {
		s.log.Error("removing old clusters failed", "version", s.want, "error", err.Error())
	}
}

// publish hands a set to every open stream and to those that come. The caller holds the lock.
func (s *Server) publish(r snapshot.Resources) error {
	set, err := cache.NewSnapshot(r.Version(), byType(r))
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	if err := s.cache.SetSnapshot(s.ctx, group, set); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	s.served = r
	s.record.serve(r.Version())
	return nil
}
