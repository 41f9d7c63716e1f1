package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/examples/world"
)

// stage is all that runs while figures are taken: the world, a backend that costs next to nothing, a second ingress of the same configuration
// whose check socket the no-op serves, and the people.
type stage struct {
	world   *world.World
	dir     string // what the stage itself writes, sockets included: short
	cloud   topology.Cloud
	envoys  []*run.Envoy
	xds     *child
	noop    *child
	second  topology.Cloud // the second ingress
	backend string         // address of the backend

	questions map[string]question // by the name of a scenario, as Envoy asked them
	sessions  []string            // handles at issues whose token is in the cache
	fresh     []string            // handles at wiki for which no token was ever made
}

// isolatedFile is what stands in the isolated file about the topology; the daemons' sections are theirs.
type isolatedFile struct {
	topology.Frame `yaml:",inline"`
	ExtAuthz       topology.Other `yaml:"extauthz"`
	XDS            topology.Other `yaml:"xds"`
	OIDCProvider   topology.Other `yaml:"oidcprovider"`
}

// Validate demands the isolated side.
func (f *isolatedFile) Validate(faults *daemon.Faults) { f.Frame.Validate(faults) }

func readCloud(file string) (topology.Cloud, error) {
	var f isolatedFile
	if err := daemon.Load(file, &f); err != nil {
		return topology.Cloud{}, err
	}
	if f.Cloud == nil {
		return topology.Cloud{}, errors.New("bench: not an isolated file")
	}
	return *f.Cloud, nil
}

func openStage(ctx context.Context, p plan) (_ *stage, err error) {
	s := &stage{questions: map[string]question{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if s.world, err = world.Start(ctx, world.Options{Dir: filepath.Join(s.dir, "world"), Progress: os.Stderr}); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"starting the backend", s.startBackend},
		{"starting a second ingress", s.startSecond},
		{"recording what Envoy asks", s.record},
		{"starting the no-op", s.startNoOp},
		{"signing people in", func(ctx context.Context) error { return s.signIn(ctx, p) }},
	} {
		say("%s", step.what)
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", step.what, err)
		}
	}
	return s, nil
}

// close ends everything. The files go too: they hold keys and handles.
func (s *stage) close() {
	for _, e := range s.envoys {
		_ = e.Stop()
	}
	for _, c := range []*child{s.noop, s.xds} {
		if c != nil {
			c.stop()
		}
	}
	if s.world != nil {
		s.world.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// authority is what a browser puts into Host for a product.
func (s *stage) authority(product string) string {
	return net.JoinHostPort(s.host(product), fmt.Sprint(s.cloud.Port))
}

func (s *stage) host(product string) string { return product + "." + s.cloud.Domain }

// target is the ingress of a cloud, to be reached as the edge does.
func (s *stage) target(c topology.Cloud, product string) target {
	return target{address: string(c.Listeners.Ingress), host: s.host(product), roots: s.roots()}
}

func (s *stage) roots() *x509.CertPool { return s.world.CA.Pool() }

// eventually waits for what a change of a file brings about.
func eventually(ctx context.Context, holds func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := holds()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
