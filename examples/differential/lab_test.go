package differential

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/bootstrap"
	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// lab is what the worlds have in common: real Envoys, raw backends, raw clients, and a book of what happened between them.
type lab struct {
	book
	dir     string
	connect func(request) (client, error)
	clients map[string]client      // kept connections, by what they are good for
	sent    map[netip.Addr]request // the last of each connection, by its address
	dialled int
	ends    []func()
}

func newLab() (*lab, error) {
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		return nil, err
	}
	return &lab{
		book: newBook(), dir: dir, clients: map[string]client{}, sent: map[netip.Addr]request{}, ends: []func(){func() { os.RemoveAll(dir) }},
	}, nil
}

func (l *lab) stop() {
	for _, c := range l.clients {
		c.close()
	}
	for _, end := range slices.Backward(l.ends) {
		end()
	}
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// background runs a unit until the world ends.
func (l *lab) background(u daemon.Unit) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := u.Run(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", u.Name, err)
		}
	}()
	l.ends = append(l.ends, func() { cancel(); <-done })
}

// startBackend serves a raw backend on loopback.
func (l *lab) startBackend(name string) (daemon.Address, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	l.background(l.backend(name, listener))
	return daemon.Address(listener.Addr().String()), nil
}

func freeAddress() (daemon.Address, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return daemon.Address(l.Addr().String()), nil
}

// startEnvoy runs the Envoy of a role, with these resources from a real control plane on this socket.
func (l *lab) startEnvoy(role topology.Role, socket string, resources snapshot.Resources) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server := push.NewServer(role, log, push.NewMetrics(prometheus.NewRegistry()))
	if err := server.Set(resources); err != nil {
		return err
	}
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		return err
	}
	l.background(server.Unit(listener))
	return l.runEnvoy(role, socket)
}

func (l *lab) runEnvoy(role topology.Role, socket string) error {
	cache, err := run.CacheDir()
	if err != nil {
		return err
	}
	binary, err := run.Find(context.Background(), cache, os.Stderr)
	if err != nil {
		return err
	}
	admin := l.path(string(role) + ".admin")
	boot, err := bootstrap.For(bootstrap.Options{Role: role, NodeID: "differential", XDSSocket: socket, AdminSocket: admin})
	if err != nil {
		return err
	}
	e, err := run.Start(context.Background(), run.Options{
		Binary: binary, Bootstrap: boot, AdminSocket: admin, Dir: l.path("envoy." + string(role)), Name: string(role), Concurrency: 1, DrainTime: time.Second,
	})
	if err != nil {
		return err
	}
	l.ends = append(l.ends, func() { _ = e.Stop() })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(e.WaitLive(ctx), e.WaitListener(ctx, string(role)))
}
