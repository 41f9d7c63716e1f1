package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
)

const (
	maxMessage = 256 << 10 // bytes of one question: more than Envoy lets through as headers
	maxStreams = 10000     // of one connection at once; Envoy's own bound for all of them is the same
	workers    = 64        // goroutines that stay: one that was started for each check would grow its stack anew each time
)

// GRPC is a server for the checks of s and nothing else; every other method is Unimplemented. Envoy pings an idle connection more often than
// gRPC takes for granted, so that must be permitted.
func (s *Server) GRPC() *grpc.Server {
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(codec{}),
		grpc.NumStreamWorkers(workers),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.auth.v3.Authorization",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: handle}},
	}, s)
	return server
}

// handle hands the question on unread: one that cannot be read gets an answer of ours, as every other fault does, and no gRPC error.
func handle(server any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var question string
	if err := receive(&question); err != nil {
		return nil, err
	}
	return server.(*Server).check(ctx, question), nil
}

// codec passes messages through: Parse and Encode know what is in them. The name is that of the content type that Envoy sends.
type codec struct{}

var _ encoding.CodecV2 = codec{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	answer, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("check: an answer of type %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(answer)}, nil
}

// Unmarshal copies the message, since gRPC uses its buffers again.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	question, ok := v.(*string)
	if !ok {
		return fmt.Errorf("check: a question of type %T", v)
	}
	var all strings.Builder
	all.Grow(data.Len())
	for _, part := range data {
		all.Write(part.ReadOnlyData())
	}
	*question = all.String()
	return nil
}
