package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"isogate/envoy/bootstrap"
	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// shortDir is a folder whose sockets fit into a sockaddr_un; t.TempDir holds the test's name and may not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func freeAddress(t *testing.T) daemon.Address {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return daemon.Address(l.Addr().String())
}

// lines is a log that a test can read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// inBackground runs a unit until the test ends.
func inBackground(t *testing.T, u daemon.Unit) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", u.Name, err)
		}
	})
}

// controlPlane serves resources on a role's socket.
func controlPlane(t *testing.T, role topology.Role, socket string, r snapshot.Resources) (*push.Server, *lines) {
	t.Helper()
	log := new(lines)
	server := push.NewServer(role, slog.New(slog.NewJSONHandler(log, nil)), push.NewMetrics(prometheus.NewRegistry()))
	if err := server.Set(r); err != nil {
		t.Fatal(err)
	}
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	inBackground(t, server.Unit(listener))
	return server, log
}

func envoyBinary(t *testing.T) string {
	t.Helper()
	cache, err := run.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := run.Find(t.Context(), cache, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// envoy starts an Envoy of a role and waits until it serves.
func envoy(t *testing.T, role topology.Role, id, socket string) *run.Envoy {
	t.Helper()
	dir := shortDir(t)
	admin := filepath.Join(dir, "a.sock")
	boot, err := bootstrap.For(bootstrap.Options{Role: role, NodeID: id, XDSSocket: socket, AdminSocket: admin})
	if err != nil {
		t.Fatal(err)
	}
	e := startEnvoy(t, run.Options{Bootstrap: boot, AdminSocket: admin, Dir: dir, Name: id})
	live(t, e)
	return e
}

// startEnvoy runs an Envoy until the test ends.
func startEnvoy(t *testing.T, o run.Options) *run.Envoy {
	t.Helper()
	o.Binary, o.Concurrency, o.DrainTime = envoyBinary(t), 1, time.Second
	e, err := run.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func live(t *testing.T, e *run.Envoy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.WaitLive(ctx); err != nil {
		t.Fatal(err)
	}
}

// eventually polls, since Envoy applies a push a few milliseconds after it was set.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// allAccepted is true once a node accepted every one of the types in a version.
func allAccepted(s *push.Server, node string, types ...string) bool {
	st := s.Status()
	for _, name := range types {
		if a := st.Nodes[node][name]; a.State != "accepted" || a.Version != st.Version {
			return false
		}
	}
	return true
}

// checker is an ext_authz server that answers as it is told.
type checker struct {
	authv3.UnimplementedAuthorizationServer
	mu     sync.Mutex
	answer func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error)
	asked  []*authv3.CheckRequest
}

func (c *checker) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	c.mu.Lock()
	c.asked = append(c.asked, r)
	answer := c.answer
	c.mu.Unlock()
	return answer(ctx, r)
}

// tell sets the next answers and forgets what was asked.
func (c *checker) tell(answer func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.asked = answer, nil
}

func (c *checker) questions() []*authv3.CheckRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *checker) unit(t *testing.T, socket string) daemon.Unit {
	t.Helper()
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	authv3.RegisterAuthorizationServer(server, c)
	return daemon.GRPC("check", listener, server)
}

// backend serves HTTP on a TCP address.
func backend(t *testing.T, handler http.HandlerFunc) daemon.Address {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inBackground(t, daemon.HTTP("backend", listener, handler))
	return daemon.Address(listener.Addr().String())
}

// read gives a body and its status.
func read(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("reading a body: %v", err)
	}
	return string(body)
}
