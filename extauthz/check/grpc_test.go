package check

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// connect serves the checks and gives a client's connection to them.
func (h harness) connect(options ...grpc.DialOption) *grpc.ClientConn {
	h.t.Helper()
	listener, server := bufconn.Listen(1<<16), h.GRPC()
	go func() { _ = server.Serve(listener) }()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:checks", options...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close(); server.Stop() })
	return conn
}

// The generated client is answered as Envoy is. Messages of several buffers are read whole, and one answer never shows in another's.
func TestTheGeneratedClientIsAnswered(t *testing.T) {
	h := serve(t, func(_ context.Context, r Request) Verdict {
		if r.Path == "/no" {
			return Deny(403, Policy, false, "")
		}
		return Verdict{Allow: true, Reason: Session, Rule: r.Query, Policy: r.Header.Get("x-long")}
	})
	client := auth.NewAuthorizationClient(h.connect())
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			query, long := strings.Repeat("q", i), strings.Repeat("l", i*500)
			r, err := client.Check(t.Context(), question("GET", issuesHost, "/yes?"+query, "x-long", long))
			if err != nil {
				t.Error(err)
				return
			}
			fields := r.GetDynamicMetadata().GetFields()
			if got := read(t, r); got != (wire{true, 0, "session"}) || fields["rule"].GetStringValue() != query || fields["policy"].GetStringValue() != long {
				t.Errorf("%d: %+v", i, got)
			}
			if r, err = client.Check(t.Context(), question("GET", issuesHost, "/no")); err != nil || read(t, r) != (wire{false, 403, "policy"}) {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
	all.Wait()
}

// There is one method. What else a client asks for is not there, and reaches no decider.
func TestOnlyCheckIsServed(t *testing.T) {
	h := serve(t, func(context.Context, Request) Verdict { t.Error("was asked"); return Verdict{Allow: true, Reason: Own} })
	conn := h.connect()
	for _, method := range []string{
		"/envoy.service.auth.v3.Authorization/check", "/envoy.service.auth.v3.Authorization/", "/envoy.service.auth.v2.Authorization/Check",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.health.v1.Health/Check", "/a/b",
	} {
		if err := conn.Invoke(t.Context(), method, &auth.CheckRequest{}, &auth.CheckResponse{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// raw sends bytes as they are and reads the answer as the generated code does.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer([]byte(*v.(*string)))}, nil
}
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// What is no question gets an answer of ours and no gRPC error: how Envoy takes one of those depends on how it is set up.
func TestWhatIsNoQuestionIsAnswered(t *testing.T) {
	h := serve(t, func(context.Context, Request) Verdict { t.Error("was asked"); return Verdict{Allow: true, Reason: Own} })
	conn := h.connect(grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
	unavailable, bad := wire{false, 503, "unavailable"}, wire{false, 400, "bad-request"}
	for in, want := range map[string]wire{
		"": bad, "\x0a": unavailable, "\xff\xff": unavailable, "no message": unavailable, "\x0a\x00\x0a\x00": unavailable, "\x7a\x03abc": bad,
		strings.Repeat("\x0a", 1000): unavailable, sent(question("GET", issuesHost, "/"))[1:]: unavailable,
	} {
		var answer []byte
		if err := conn.Invoke(t.Context(), "/envoy.service.auth.v3.Authorization/Check", &in, &answer); err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := read(t, answered(t, answer)); got != want {
			t.Errorf("%q: %+v", in, got)
		}
	}
	if n := strings.Count(h.log.String(), "not the question of an Envoy"); n != 6 {
		t.Errorf("%d faults of Envoy are in the log: %s", n, h.log)
	}
}

// No question may take more memory than Envoy could need for one.
func TestALargeQuestionIsRefused(t *testing.T) {
	h := serve(t, func(context.Context, Request) Verdict { return Verdict{Allow: true, Reason: Own} })
	client := auth.NewAuthorizationClient(h.connect())
	in := question("GET", issuesHost, "/")
	in.Attributes.Request.Http.HeaderMap.Headers = []*core.HeaderValue{{Key: "a", RawValue: make([]byte, maxMessage)}}
	if _, err := client.Check(t.Context(), in); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
}

// More checks than there are workers are under way at once all the same.
func TestSlowChecksHoldUpNoOthers(t *testing.T) {
	var slow atomic.Int32
	free := make(chan struct{})
	h := serve(t, func(_ context.Context, r Request) Verdict {
		if r.Path == "/slow" {
			slow.Add(1)
			<-free
		}
		return Verdict{Allow: true, Reason: Own}
	})
	client := auth.NewAuthorizationClient(h.connect())
	var all sync.WaitGroup
	for range 3 * workers {
		all.Go(func() {
			if _, err := client.Check(t.Context(), question("GET", issuesHost, "/slow")); err != nil {
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(10 * time.Second); slow.Load() < 3*workers && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if _, err := client.Check(t.Context(), question("GET", issuesHost, "/")); err != nil || slow.Load() != 3*workers {
		t.Errorf("%d are under way: %v", slow.Load(), err)
	}
	close(free)
	all.Wait()
}
