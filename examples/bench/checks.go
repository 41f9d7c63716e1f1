package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// inFlight is how many checks are under way at once, on one connection: one Envoy worker under some load.
const inFlight = 16

const checkMethod = "/envoy.service.auth.v3.Authorization/Check"

// server is one of the two whose CPU time is compared.
type server struct {
	conn *grpc.ClientConn
	pid  func() int
}

func dialServer(socket string, pid func() int) (*server, error) {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return &server{conn, pid}, nil
}

// batch sends the messages and gives the CPU time that the server used for each, in microseconds. Every answer is held against the status that is
// wanted.
func (s *server) batch(ctx context.Context, messages [][]byte, meta metadata.MD, status int) (perCheck float64, err error) {
	before, err := cpuTime(s.pid())
	if err != nil {
		return 0, err
	}
	if err := s.send(ctx, messages, meta, status); err != nil {
		return 0, err
	}
	after, err := cpuTime(s.pid())
	return micros(after-before) / float64(len(messages)), err
}

func (s *server) send(ctx context.Context, messages [][]byte, meta metadata.MD, status int) error {
	group, ctx := errgroup.WithContext(metadata.NewOutgoingContext(ctx, meta))
	var next atomic.Int64
	for range min(inFlight, len(messages)) {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(messages)); i = next.Add(1) - 1 {
				if err := s.one(ctx, messages[i], status); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// one sends a deadline with the call, as Envoy does; its own of one second would end a measurement on a machine that is busy.
func (s *server) one(ctx context.Context, message []byte, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var raw []byte
	if err := s.conn.Invoke(ctx, checkMethod, &message, &raw); err != nil {
		return fmt.Errorf("bench: a check failed: %w", err)
	}
	var answer auth.CheckResponse
	if err := proto.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("bench: an answer cannot be read: %w", err)
	}
	if got := statusOf(&answer); got != status {
		return fmt.Errorf("bench: the check answers %d, want %d", got, status)
	}
	return nil
}

// statusOf is 200 for a pass.
func statusOf(answer *auth.CheckResponse) int {
	switch {
	case answer.GetStatus().GetCode() == int32(codes.OK) && answer.GetOkResponse() != nil:
		return 200
	case answer.GetStatus().GetCode() != int32(codes.OK):
		return int(answer.GetDeniedResponse().GetStatus().GetCode())
	}
	return 0
}

// servers dials the two that answer the checks of a side, the no-op first: it is the same for all.
func (s *stage) servers(d side) (both [2]*server, err error) {
	if both[0], err = dialServer(d.double.check, func() int { return s.noop.cmd.Process.Pid }); err != nil {
		return both, err
	}
	both[1], err = dialServer(d.own.check, s.world.Parts[d.extauthz].Pid)
	return both, err
}

// measureChecks takes the CPU time of a check, of every kind, at both servers.
func (s *stage) measureChecks(ctx context.Context, p plan) (figures []CheckFigure, err error) {
	for _, kind := range scenarios {
		say("measuring: %s", kind.name)
		figure, err := s.measureCheck(ctx, p, kind)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

func (s *stage) measureCheck(ctx context.Context, p plan, kind scenario) (f CheckFigure, err error) {
	both, err := s.servers(s.side(kind))
	if err != nil {
		return f, err
	}
	defer both[0].conn.Close()
	defer both[1].conn.Close()
	f = CheckFigure{Name: kind.name, What: kind.what, Rounds: p.rounds, Checks: p.checks}
	if kind.fresh {
		f.Checks = p.firsts
	}
	meta := s.questions[kind.name].meta
	micros, err := alternate(p.rounds,
		func(round int) (float64, error) {
			return both[0].batch(ctx, again(s.messages(kind, f.Checks, round), p.checks), meta, 200)
		},
		func(round int) (float64, error) {
			return both[1].batch(ctx, s.messages(kind, f.Checks, round), meta, kind.status)
		})
	if err != nil {
		return f, err
	}
	f.Compared = compared(micros[0], micros[1])
	return f, nil
}

// again repeats the few messages of a fresh kind for the no-op, to which every check is like the first: its figure need not rest on few.
func again(messages [][]byte, n int) [][]byte {
	if len(messages) >= n {
		return messages
	}
	return slices.Repeat(messages, n/len(messages))
}

// messages are the questions of one round.
func (s *stage) messages(kind scenario, n, round int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = s.questions[kind.name].message
		if kind.cookie != nil {
			out[i] = s.questions[kind.name].with(kind.cookie(s, round*n+i))
		}
	}
	return out
}
