package main

import (
	"context"
	"os"
	"path/filepath"

	"isogate/envoy/topology"
)

// another is a second extauthz of the isolated cloud, which knows the same keys and sessions and has more endpoints.
type another struct {
	*child
	check string // socket of the gateway's checks
}

// startMany starts one. It has a copy of the store, for which the world's own extauthz has to stop for a moment.
func (s *stage) startMany(ctx context.Context, n int) (another, error) {
	own := s.world.File()
	dir, err := s.writeList("many", n)
	if err != nil {
		return another{}, err
	}
	store := filepath.Join(s.dir, "many.db")
	if err := s.copyStore(ctx, filepath.Join(filepath.Dir(own), "sessions.db"), store); err != nil {
		return another{}, err
	}
	file, err := s.writeDouble(own, "many", "extauthz", map[string]string{"policies": dir, "store": store})
	if err != nil {
		return another{}, err
	}
	there, err := readFile(own)
	if err != nil {
		return another{}, err
	}
	here, err := readFile(file)
	if err != nil {
		return another{}, err
	}
	if err := os.MkdirAll(string(here.Cloud.Sockets), 0o700); err != nil {
		return another{}, err
	}
	if err := os.Symlink(there.Cloud.OAuthSocket(), here.Cloud.OAuthSocket()); err != nil { // whose keys it reads
		return another{}, err
	}
	started, err := s.startAgain("extauthz", file)
	if err != nil {
		return another{}, err
	}
	many := another{started, here.Cloud.CheckSocket(string(topology.Gateway))}
	if err := many.waitSocket(ctx, many.check); err != nil {
		many.stop()
		return another{}, err
	}
	return many, nil
}

// copyStore copies a store that nobody has open.
func (s *stage) copyStore(ctx context.Context, from, to string) error {
	part := s.world.Parts["extauthz"]
	if err := part.Stop(); err != nil {
		return err
	}
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		return err
	}
	return part.Start(ctx)
}
