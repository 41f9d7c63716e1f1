package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
)

// graceful is how long a server waits for calls under way before it cuts them. It is shorter than drainTime.
const graceful = 10 * time.Second

// HTTP serves a handler on a bound listener with the limits that every listener of ours has, and drains when its context ends.
func HTTP(name string, listener net.Listener, handler http.Handler) Unit {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	return Unit{Name: name, Run: func(ctx context.Context) error {
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(listener) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		drain, cancel := context.WithTimeout(context.Background(), graceful)
		defer cancel()
		if err := server.Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
			return server.Close()
		}
		return nil
	}}
}

// GRPC serves a gRPC server on a bound listener, and drains when its context ends.
func GRPC(name string, listener net.Listener, server *grpc.Server) Unit {
	return Unit{Name: name, Run: func(ctx context.Context) error {
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(listener) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		stopped := make(chan struct{})
		go func() { server.GracefulStop(); close(stopped) }()
		if !within(graceful, stopped) {
			server.Stop()
		}
		return nil
	}}
}
