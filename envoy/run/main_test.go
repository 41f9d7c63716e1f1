package run

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"isogate/envoy/bootstrap"
	"isogate/envoy/topology"
)

// asParent makes this test binary a program that starts an Envoy in the folder that it names, and then only waits.
const asParent = "ISOGATE_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asParent); dir != "" {
		if err := parent(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func parent(dir string) error {
	ctx := context.Background()
	binary, err := realEnvoy()
	if err != nil {
		return err
	}
	o, err := realOptions(binary, dir)
	if err != nil {
		return err
	}
	if _, err := Start(ctx, o); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // the test holds the other end
	return err
}

// realEnvoy is found once for all tests; the first run of a checkout installs it.
var realEnvoy = sync.OnceValues(func() (string, error) {
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return Find(ctx, dir, os.Stderr)
})

// realOptions are those of an ingress whose control plane, if anybody starts it, listens on xds.sock of the folder.
func realOptions(binary, dir string) (Options, error) {
	admin := filepath.Join(dir, "admin.sock")
	config, err := bootstrap.For(bootstrap.Options{
		Role: topology.Ingress, NodeID: "ingress-1", XDSSocket: filepath.Join(dir, "xds.sock"), AdminSocket: admin,
	})
	return Options{Binary: binary, Bootstrap: config, AdminSocket: admin, Dir: dir, Name: "ingress", Concurrency: 1}, err
}

// setUp gives the options for a real Envoy in a folder whose path is short enough for a socket.
func setUp(t *testing.T) Options {
	t.Helper()
	binary, err := realEnvoy()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o, err := realOptions(binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mustStart(t *testing.T, o Options) *Envoy {
	t.Helper()
	e, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Kill() })
	return e
}

// answers tells whether somebody accepts connections on a unix socket.
func answers(socket string) bool {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// eventually waits, at most 30 s, for something that only looking again can tell.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came to be: %s", what)
		}
	}
}
