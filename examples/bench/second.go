package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

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

// startDoubles starts another control plane for each file, and the double of each Envoy.
func (s *stage) startDoubles(ctx context.Context) error {
	sidecar := topology.EgressRole(caller)
	s.inside = side{role: topology.Ingress, profile: "ingress", extauthz: "extauthz", xds: "xds"}
	s.gateway = side{role: topology.Gateway, profile: "gateway", extauthz: "extauthz", xds: "xds"}
	s.outside = side{role: topology.Commercial, profile: "federated", extauthz: "extauthz-commercial", xds: "xds-commercial"}
	s.sidecar = side{role: sidecar, profile: string(sidecar), extauthz: "extauthz-" + string(sidecar), xds: "xds-commercial"}
	few, err := s.writeList("few", fewEndpoints) // a folder of its own, so that it stays when the world's is edited
	if err != nil {
		return err
	}
	if err := s.startFile(ctx, s.world.File(), map[string]string{"policies": few}, &s.inside, &s.gateway); err != nil {
		return err
	}
	return s.startFile(ctx, s.world.Platform.File(), nil, &s.outside, &s.sidecar)
}

// startFile starts a control plane on one of the world's own files, with other addresses alone, and the doubles that it serves.
func (s *stage) startFile(ctx context.Context, own string, lines map[string]string, sides ...*side) error {
	name := string(sides[0].role) + "-noop"
	file, err := s.writeDouble(own, name, "xds", lines)
	if err != nil {
		return err
	}
	for _, d := range sides {
		if err := d.find(own, file); err != nil {
			return err
		}
	}
	xds, err := s.startAgain(sides[0].xds, file)
	if err != nil {
		return err
	}
	s.xds = append(s.xds, xds)
	for _, d := range sides {
		if err := xds.waitSocket(ctx, d.double.xds); err != nil {
			return err
		}
		name := string(d.role) + "-noop"
		admin := filepath.Join(s.dir, name+".sock")
		config, err := bootstrap.For(bootstrap.Options{Role: d.role, NodeID: name, XDSSocket: d.double.xds, AdminSocket: admin})
		if err != nil {
			return err
		}
		if err := s.startEnvoy(ctx, name, admin, config); err != nil {
			return err
		}
	}
	return nil
}

// startAgain starts a daemon once more on another file. It is the very binary that the world runs.
func (s *stage) startAgain(part, file string) (*child, error) {
	binary, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.world.Parts[part].Pid()))
	if err != nil {
		return nil, err
	}
	return startChild(strings.TrimSuffix(file, ".yaml")+".log", binary, "-config", file)
}

// writeDouble writes one of the world's files anew, under a name, for processes that run beside its own: they listen at other addresses, and their
// sockets stand in a folder of that name. lines are what else differs in the section of the daemon that is started. What the file names is beside it.
func (s *stage) writeDouble(own, name, daemon string, lines map[string]string) (file string, err error) {
	raw, err := os.ReadFile(own)
	if err != nil {
		return "", err
	}
	admin, err := freeAddress()
	if err != nil {
		return "", err
	}
	text, err := moveListeners(string(raw))
	if err != nil {
		return "", err
	}
	topology, _, _ := strings.Cut(text, ":") // cloud or platform
	if text, err = setLine(text, topology, "sockets", filepath.Join(s.dir, name)); err != nil {
		return "", err
	}
	if text, err = setLine(text, daemon, "admin", admin); err != nil {
		return "", err
	}
	for key, value := range lines {
		if text, err = setLine(text, daemon, key, value); err != nil {
			return "", err
		}
	}
	file = filepath.Join(filepath.Dir(own), name+".yaml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

var listening = regexp.MustCompile(`(?m)^( +(?:ingress|gateway|commercial|listen): )127\.0\.0\.1:.*$`)

// moveListeners gives each listener of the file's own side another address. The directory's are other people's.
func moveListeners(text string) (string, error) {
	end := strings.Index(text, "\nclouds:")
	if end < 0 {
		end = len(text)
	}
	var failed error
	moved := listening.ReplaceAllStringFunc(text[:end], func(line string) string {
		address, err := freeAddress()
		failed = errors.Join(failed, err)
		return listening.FindStringSubmatch(line)[1] + address
	})
	return moved + text[end:], failed
}

// setLine gives a key of a section another value.
func setLine(text, section, key, value string) (string, error) {
	of := regexp.MustCompile(`(?m)^` + section + `:\n(?:(?: .*)?\n)*`).FindStringIndex(text)
	if of == nil {
		return "", fmt.Errorf("there is no section %s", section)
	}
	at := regexp.MustCompile(`(?m)^  ` + key + `: .*$`).FindStringIndex(text[of[0]:of[1]])
	if at == nil {
		return "", fmt.Errorf("section %s has no %s", section, key)
	}
	return text[:of[0]+at[0]] + "  " + key + ": " + value + text[of[0]+at[1]:], nil
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

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
