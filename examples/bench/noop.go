package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"isogate/envoy/daemon"
)

// grpcOptions are those that a plain server needs behind an Envoy that pings it.
func grpcOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(256 << 10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}

// noOp decodes a check as the generated code does and answers OK to it: the least that a plain Go server can do.
type noOp struct {
	auth.UnimplementedAuthorizationServer
}

func okAnswer() *auth.CheckResponse {
	return &auth.CheckResponse{
		Status:       &status.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}},
	}
}

func (noOp) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return okAnswer(), nil
}

// serveNoOp serves it at unix sockets until the context ends.
func serveNoOp(ctx context.Context, sockets []string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, socket := range sockets {
		listener, err := daemon.ListenUnix(socket)
		if err != nil {
			return err
		}
		server := grpc.NewServer(grpcOptions()...)
		auth.RegisterAuthorizationServer(server, noOp{})
		group.Go(func() error { return daemon.GRPC("no-op", listener, server).Run(ctx) })
	}
	return group.Wait()
}

// question is a check as Envoy sends it: the message's bytes, and the metadata that travels with it.
type question struct {
	message []byte
	meta    metadata.MD
}

// recorder is a check server that keeps the last question.
type recorder struct {
	mu   sync.Mutex
	last question
}

func (r *recorder) serve(ctx context.Context, socket string) error {
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		return err
	}
	answer, err := proto.Marshal(okAnswer())
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	server := grpc.NewServer(append(grpcOptions(), grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(
		func(_ any, stream grpc.ServerStream) error {
			var message []byte
			if err := stream.RecvMsg(&message); err != nil {
				return err
			}
			meta, _ := metadata.FromIncomingContext(stream.Context())
			r.keep(question{message, own(meta)})
			return stream.SendMsg(&answer)
		}))...)
	return daemon.GRPC("recorder", listener, server).Run(ctx)
}

func (r *recorder) keep(q question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = q
}

// take gives the last question and forgets it.
func (r *recorder) take() (question, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.last
	r.last = question{}
	if q.message == nil {
		return q, fmt.Errorf("bench: Envoy asked nothing")
	}
	return q, nil
}

// own leaves out what the gRPC client writes by itself.
func own(meta metadata.MD) metadata.MD {
	meta = meta.Copy()
	maps.DeleteFunc(meta, func(name string, _ []string) bool {
		return strings.HasPrefix(name, ":") || strings.HasPrefix(name, "grpc-") || name == "content-type" || name == "user-agent" || name == "te"
	})
	return meta
}

// rawCodec hands bytes through.
type rawCodec struct{}

var _ encoding.CodecV2 = rawCodec{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
