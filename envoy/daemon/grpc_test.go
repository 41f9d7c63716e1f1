package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// health answers with what its function says.
type health struct {
	healthpb.UnimplementedHealthServer
	check func(context.Context) error
}

func (h health) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, h.check(ctx)
}

func grpcUnit(listener net.Listener, check func(context.Context) error, options ...grpc.ServerOption) Unit {
	server := grpc.NewServer(options...)
	healthpb.RegisterHealthServer(server, health{check: check})
	return GRPC("checks", listener, server)
}

func dialGRPC(t *testing.T, listener *bufconn.Listener) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestGRPCDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(1 << 20)
		end, ended := serving(t, grpcUnit(listener, func(context.Context) error { time.Sleep(5 * time.Second); return nil }))
		conn := dialGRPC(t, listener)
		defer conn.Close()
		time.AfterFunc(time.Second, end)
		start := time.Now()
		answer, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || answer.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("the call under way: %v, %v", answer, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 5*time.Second || took >= graceful {
			t.Errorf("ended after %s", took)
		}
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("a call after the end: %v", err)
		}
	})
}

func TestGRPCCutsWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener, release := bufconn.Listen(1<<20), make(chan struct{})
		end, ended := serving(t, grpcUnit(listener, func(context.Context) error { <-release; return nil }))
		conn := dialGRPC(t, listener)
		defer conn.Close()
		failed := make(chan error, 1)
		go func() {
			_, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != graceful {
			t.Errorf("ended after %s, want %s", took, graceful)
		}
		if err := <-failed; status.Code(err) != codes.Unavailable || time.Since(start) != graceful {
			t.Errorf("the hanging call: %v after %s", err, time.Since(start))
		}
		close(release)
	})
}

// A unit that is asked to end before it has begun ends, and lets its listener go.
func TestGRPCEndsBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := grpcUnit(listener, func(context.Context) error { return nil }).Run(ctx); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case <-listener.closed:
		default:
			t.Error("the listener is still open")
		}
	})
}

func TestGRPCReportsABrokenListener(t *testing.T) {
	if err := grpcUnit(brokenListener{}, func(context.Context) error { return nil }).Run(t.Context()); err == nil {
		t.Error("a listener that accepts nothing is no error")
	}
}

// CVE-2026-33186: a :path without a leading slash once reached the handler under a name that interceptors' rules did not match. Only the
// canonical path may reach either.
func TestGRPCRefusesPathWithoutSlash_CVE_2026_33186(t *testing.T) {
	const good = "/grpc.health.v1.Health/Check"
	var handled, intercepted atomic.Int32
	listener := bufconn.Listen(1 << 20)
	end, ended := serving(t, grpcUnit(listener, func(context.Context) error { handled.Add(1); return nil },
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			intercepted.Add(1)
			if info.FullMethod != good {
				t.Errorf("an interceptor sees %q", info.FullMethod)
			}
			return next(ctx, req)
		})))
	for _, path := range []string{good[1:], "/" + good, "", "*", "/", "grpc.health.v1.Health", "/grpc.health.v1.Health", "/grpc.health.v1.Health/", "\\" + good[1:], "%2f" + good[1:], " " + good, good + "/"} {
		if got := rawCall(t, listener, path); got == "0" {
			t.Errorf(":path %q is answered", path)
		}
	}
	if handled.Load() != 0 || intercepted.Load() != 0 {
		t.Errorf("%d calls reached the handler, %d an interceptor", handled.Load(), intercepted.Load())
	}
	if got := rawCall(t, listener, good); got != "0" || handled.Load() != 1 || intercepted.Load() != 1 {
		t.Errorf("the right path: status %q, handled %d, intercepted %d", got, handled.Load(), intercepted.Load())
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// rawCall sends one empty message with a :path that no gRPC client would send. It gives the grpc-status, or what was there instead of one.
func rawCall(t *testing.T, listener *bufconn.Listener, path string) string {
	t.Helper()
	conn, err := listener.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		must(t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	_, err = io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	must(t, framer.WriteSettings())
	must(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}))
	must(t, framer.WriteData(1, true, make([]byte, 5))) // not compressed, length 0
	return readStatus(t, framer)
}

func readStatus(t *testing.T, framer *http2.Framer) string {
	t.Helper()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return "connection ended: " + err.Error()
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "grpc-status" {
					return field.Value
				}
			}
		case *http2.RSTStreamFrame:
			return "reset: " + frame.ErrCode.String()
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				must(t, framer.WriteSettingsAck())
			}
		}
	}
}
