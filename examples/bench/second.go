package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"isogate/envoy/bootstrap"
	"isogate/envoy/run"
	"isogate/envoy/topology"
)

// backendBootstrap is an Envoy that answers every request by itself.
const backendBootstrap = `
admin:
  address: {pipe: {path: %q, mode: 0600}}
static_resources:
  listeners:
  - name: backend
    address: {socket_address: {address: 127.0.0.1, port_value: %s}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: backend
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: bench}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`

// startBackend puts an Envoy in the place of the issue tracker, for both ingresses: what the request does behind the check must not
// hide what the check costs.
func (s *stage) startBackend(ctx context.Context) (err error) {
	file, err := readFile(s.world.File())
	if err != nil {
		return err
	}
	if s.backend, err = freeAddress(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.backend)
	if err != nil {
		return err
	}
	admin := filepath.Join(s.dir, "b.sock")
	if err := s.startEnvoy(ctx, "backend", admin, fmt.Appendf(nil, backendBootstrap, admin, port)); err != nil {
		return err
	}
	for _, p := range file.Cloud.Products {
		if err := s.world.EditFile("upstream: "+string(p.Upstream), "upstream: "+s.backend); err != nil {
			return err
		}
	}
	browser := s.world.Browser()
	return eventually(ctx, func() error {
		if a, err := browser.Get(s.world.URL("issues", "/health")); err != nil || a.Body != "bench" {
			return errors.Join(errors.New("the ingress does not lead to the backend"), err)
		}
		return nil
	})
}

// startDoubles starts another control plane and Envoy for each side.
func (s *stage) startDoubles(ctx context.Context) error {
	s.inside = side{role: topology.Ingress, profile: "ingress", extauthz: "extauthz", xds: "xds"}
	s.outside = side{role: topology.Commercial, profile: "federated", extauthz: "extauthz-commercial", xds: "xds-commercial"}
	if err := s.startDouble(ctx, &s.inside, s.world.File()); err != nil {
		return err
	}
	return s.startDouble(ctx, &s.outside, s.world.Platform.File())
}

// startDouble starts them on the world's own file, with other addresses alone. The daemon is the very binary that the world runs.
func (s *stage) startDouble(ctx context.Context, d *side, own string) error {
	name := string(d.role) + "-noop"
	file := filepath.Join(filepath.Dir(own), name+".yaml") // what it names is beside it
	if err := s.writeDouble(d, own, file); err != nil {
		return err
	}
	binary, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.world.Parts[d.xds].Pid()))
	if err != nil {
		return err
	}
	xds, err := startChild(filepath.Join(s.dir, name+".log"), binary, "-config", file)
	if err != nil {
		return err
	}
	s.xds = append(s.xds, xds)
	if err := xds.waitSocket(ctx, d.double.xds); err != nil {
		return err
	}
	admin := filepath.Join(s.dir, name+".sock")
	config, err := bootstrap.For(bootstrap.Options{Role: d.role, NodeID: name, XDSSocket: d.double.xds, AdminSocket: admin})
	if err != nil {
		return err
	}
	return s.startEnvoy(ctx, name, admin, config)
}

func (s *stage) writeDouble(d *side, own, file string) error {
	raw, err := os.ReadFile(own)
	if err != nil {
		return err
	}
	var free [2]string
	for i := range free {
		if free[i], err = freeAddress(); err != nil {
			return err
		}
	}
	before, xds, ok := strings.Cut(string(raw), "\nxds:")
	if !ok {
		return fmt.Errorf("%s has no section xds", own)
	}
	before = regexp.MustCompile(`(?m)^(    `+string(d.role)+`: ).*$`).ReplaceAllString(before, "${1}"+free[0])
	before = regexp.MustCompile(`(?m)^(  sockets: ).*$`).ReplaceAllString(before, "${1}"+filepath.Join(s.dir, string(d.role)))
	xds = regexp.MustCompile(`(?m)^(  admin: ).*$`).ReplaceAllString(xds, "${1}"+free[1])
	if err := os.WriteFile(file, []byte(before+"\nxds:"+xds), 0o600); err != nil {
		return err
	}
	if d.own, err = d.place(own); err != nil {
		return err
	}
	if d.double, err = d.place(file); err != nil {
		return err
	}
	if d.own.check == d.double.check || d.own.listener == d.double.listener {
		return fmt.Errorf("the double could not be told from its model in %s", own)
	}
	return nil
}

// startEnvoy starts one with a single worker, as the world's have.
func (s *stage) startEnvoy(ctx context.Context, name, admin string, config []byte) error {
	cache, err := run.CacheDir()
	if err != nil {
		return err
	}
	binary, err := run.Find(ctx, cache, os.Stderr)
	if err != nil {
		return err
	}
	envoy, err := run.Start(context.WithoutCancel(ctx), run.Options{ // it ends in its turn, with close
		Binary: binary, Bootstrap: config, AdminSocket: admin, Dir: filepath.Join(s.world.Dir, "log"), Name: name, Concurrency: 1,
	})
	if err != nil {
		return err
	}
	s.envoys = append(s.envoys, envoy)
	return envoy.WaitLive(ctx)
}

// record sends each kind of request through the double of its side and keeps what that asks its check socket: the messages that are measured are
// those of a real Envoy, with a blank where the session cookie's value stands.
func (s *stage) record(ctx context.Context) error {
	for _, d := range []side{s.inside, s.outside} {
		ctx, cancel := context.WithCancel(ctx)
		var recorded recorder
		var serving sync.WaitGroup
		var served error
		serving.Go(func() { served = recorded.serve(ctx, d.double.check) })
		err := s.ask(ctx, d, &recorded)
		cancel()
		serving.Wait()
		if err := errors.Join(err, served); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) ask(ctx context.Context, d side, recorded *recorder) error {
	for _, kind := range scenarios {
		if s.side(kind).role != d.role {
			continue
		}
		err := eventually(ctx, func() error { // the listener and the check socket are a moment old
			got, err := s.target(d.double, kind).once(kind.request(s.authority(kind), s.blank(kind)))
			if err == nil && got != http.StatusOK {
				err = fmt.Errorf("%s: the recorder passes everything, and yet the answer is %d", kind.name, got)
			}
			return err
		})
		if err != nil {
			return err
		}
		if s.questions[kind.name], err = recorded.take(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) startNoOp(ctx context.Context) (err error) {
	socket := s.inside.double.check
	if s.noop, err = startSelf(filepath.Join(s.dir, "noop.log"), "noop", socket); err != nil {
		return err
	}
	return s.noop.waitSocket(ctx, socket)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
