package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"isogate/examples/world"
)

// fewEndpoints are exposed where nothing else is said.
const fewEndpoints = 10

// gatewayRego is the file whose text is made here.
const gatewayRego = "gateway.rego"

// exposedText is the shipped gateway.rego with more endpoints behind it, n in all, as a person would write them.
func exposedText(shipped string, n int) string {
	var all strings.Builder
	all.WriteString(shipped)
	for i := range n - strings.Count(shipped, "\nendpoints[") {
		all.WriteString(endpointText(fmt.Sprintf("bench.%05d", i), fmt.Sprintf("/rest/area%d/item%d/{key}", i%100, i)))
	}
	return all.String()
}

func endpointText(id, path string) string {
	return fmt.Sprintf(`
endpoints[%q] := {
	"product": "issues",
	"method": "GET",
	"path": %q,
	"query": ["fields", "expand"],
	"body": "none",
	"callers": [%q],
	"purpose": "show items of this kind in the Support Centre",
	"owner": "team-support",
}
`, id, path, world.SPIFFE(caller))
}

// shipped is the project's own gateway.rego.
func (s *stage) shipped() (string, error) {
	raw, err := os.ReadFile(filepath.Join(s.world.Root, "policies", gatewayRego))
	return string(raw), err
}

// writeList makes a folder with the shipped policies and n endpoints.
func (s *stage) writeList(name string, n int) (dir string, err error) {
	dir = filepath.Join(s.dir, name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(s.world.Root, "policies"))); err != nil {
		return "", err
	}
	shipped, err := s.shipped()
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, gatewayRego), []byte(exposedText(shipped, n)), 0o600)
}

// expose gives the world's own folder a few endpoints, and lets callers call as often as they can: what is measured is not how often they may.
func (s *stage) expose(context.Context) error {
	shipped, err := s.shipped()
	if err != nil {
		return err
	}
	if err := s.world.EditFile("callers: secrets/callers.pem", "callers: secrets/callers.pem\n    rate: 100000"); err != nil {
		return err
	}
	return s.world.WritePolicy(gatewayRego, exposedText(shipped, fewEndpoints))
}
