package push

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"net"
	"sync/atomic"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

const (
	maxConnections   = 256              // open at once, handshakes under way included: anybody may begin one
	handshakeTime    = 10 * time.Second // for TLS and the start of HTTP/2
	maxConnectionAge = time.Hour        // then Envoy connects anew and shows a certificate that is still good
)

// Access says who may connect from another machine, and as what. It is immutable.
type Access struct {
	Certificate tls.Certificate          // of this server
	Clients     *x509.CertPool           // who signs the Envoys' certificates; nil or empty: nobody may connect
	Roles       map[string]topology.Role // by the one URI SAN of the Envoy's certificate, compared byte for byte
}

// Remote serves Envoys on other machines over mutual TLS 1.3. A client without a certificate of Access.Clients does not get past the handshake;
// one whose identity has no role here gets PermissionDenied from every RPC, whether it exists or not.
type Remote struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	log     *slog.Logger
	servers map[topology.Role]*Server
	access  atomic.Pointer[Access]
	open    connections
}

// NewRemote serves the roles of these servers. Nobody may connect until Allow was called.
func NewRemote(log *slog.Logger, servers ...*Server) *Remote {
	r := &Remote{log: log, servers: map[topology.Role]*Server{}}
	for _, s := range servers {
		r.servers[s.role] = s
	}
	return r
}

// Allow puts an Access in force. A new server certificate counts for new handshakes. Where clients or roles changed every connection is cut: one
// that is still allowed is back at once, and one that is no longer does not live on.
func (r *Remote) Allow(a Access) {
	old := r.access.Swap(&a)
	if old != nil && (!old.Clients.Equal(a.Clients) || !maps.Equal(old.Roles, a.Roles)) {
		r.log.Info("remote access changed, remote Envoys connect anew", "roles", len(a.Roles))
		r.open.cut()
	}
}

// Unit serves on a bound listener. When it ends, it cuts its connections; Envoy keeps what it has and connects again.
func (r *Remote) Unit(listener net.Listener) daemon.Unit {
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(r.tls())),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: maxConnectionAge, MaxConnectionAgeGrace: handshakeTime}),
		grpc.ChainStreamInterceptor(r.admitStream),
		grpc.ChainUnaryInterceptor(r.admitUnary),
		// Without a handler for what does not exist, interceptors would not see it, and strangers could find out what does.
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return status.Error(codes.Unimplemented, "only delta ADS is served")
		}),
	)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, r)
	inner := daemon.GRPC("xds remote", r.open.track(listener), server)
	return daemon.Unit{Name: inner.Name, Run: func(ctx context.Context) error {
		defer context.AfterFunc(ctx, r.open.end)()
		return inner.Run(ctx)
	}}
}

// tls resumes no session: a resumed one would skip the look at the client's chain, whatever authority is in force by then.
func (r *Remote) tls() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			a := r.access.Load()
			if a == nil || a.Clients == nil { // no pool would mean the system's authorities
				return nil, errors.New("push: no remote access yet")
			}
			return &tls.Config{
				MinVersion:             tls.VersionTLS13,
				SessionTicketsDisabled: true,
				NextProtos:             []string{"h2"},
				Certificates:           []tls.Certificate{a.Certificate},
				ClientAuth:             tls.RequireAndVerifyClientCert,
				ClientCAs:              a.Clients,
			}, nil
		},
	}
}

// admit finds the server of the client's role. The client learns nothing but that it is denied; the log tells why.
func (r *Remote) admit(ctx context.Context) (*Server, error) {
	id, err := clientOf(ctx)
	role := topology.Role("")
	if a := r.access.Load(); a != nil && err == nil {
		role = a.Roles[id]
	}
	server, ok := r.servers[role]
	if err == nil && ok {
		return server, nil
	}
	r.log.Warn("remote client denied", "identity", cut(id), "role", string(role), "error", reason(err))
	return nil, status.Error(codes.PermissionDenied, "this certificate has no role here")
}

func reason(err error) string {
	if err == nil {
		return "no such role here"
	}
	return err.Error()
}

func clientOf(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errors.New("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0]) == 0 {
		return "", errors.New("no verified certificate")
	}
	return topology.PeerID(info.State.VerifiedChains[0][0])
}

func (r *Remote) admitStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if _, err := r.admit(stream.Context()); err != nil {
		return err
	}
	return next(srv, stream)
}

func (r *Remote) admitUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if _, err := r.admit(ctx); err != nil {
		return nil, err
	}
	return next(ctx, request)
}

// DeltaAggregatedResources hands the stream to the server of the client's role.
func (r *Remote) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	server, err := r.admit(stream.Context())
	if err != nil {
		return err
	}
	return server.DeltaAggregatedResources(stream)
}
