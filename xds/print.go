package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"isogate/envoy/bootstrap"
	"isogate/envoy/topology"
	"isogate/policies"
	"isogate/xds/snapshot"
)

const printUsage = `Usage: xds print -config FILE -role ROLE [-admin SOCKET]

Prints the whole configuration of a role's Envoy as YAML: the same listeners, routes, clusters and limits that the control plane would give it.
Such an Envoy asks no control plane, so it learns of no change, of the policies' neither: print again and restart it. Certificates and keys are named by their files, and
our daemons by the unix sockets of the file.

`

// rolesHelp names the roles of both sides.
const rolesHelp = "edge, commercial, egress-SERVICE, ingress or gateway"

// printStatic is xds print. The result is the exit status: 1 where the configuration cannot be made, 2 for a fault of the file or the command line.
func printStatic(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("print", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, printUsage); flags.PrintDefaults() }
	file := flags.String("config", "", "the YAML `file` of the side (required)")
	role := flags.String("role", "", rolesHelp+": a `role` of the file's side (required)")
	admin := flags.String("admin", "", "make Envoy's admin interface a unix `socket` at this path; none if absent")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if *file == "" || *role == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "xds print: -config FILE and -role ROLE are required, and nothing else is read")
		return 2
	}
	config, err := load(*file)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if !slices.Contains(config.roles(), topology.Role(*role)) {
		fmt.Fprintf(stderr, "xds print: %s is of the side whose role is %s, not %q\n", *file, config.rolesText(), *role)
		return 2
	}
	text, err := static(config, topology.Role(*role), *admin, time.Now())
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if _, err := stdout.Write(text); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// static is a role's configuration as YAML: the same bytes for the same file.
func static(config *Config, role topology.Role, admin string, now time.Time) ([]byte, error) {
	var bundle *policies.Bundle
	if role == topology.Gateway {
		var err error
		if bundle, err = policies.Load(context.Background(), string(config.XDS.Policies)); err != nil {
			return nil, err
		}
	}
	files, err := config.read(now)
	if err != nil {
		return nil, err
	}
	resources, err := config.resources(role, files, bundle.EndpointsAt(now), new(snapshot.Lists))
	if err != nil {
		return nil, err
	}
	inlined, err := snapshot.Static(resources, files.static(role, config))
	if err != nil {
		return nil, err
	}
	if admin != "" {
		if admin, err = filepath.Abs(admin); err != nil {
			return nil, fmt.Errorf("xds: %w", err)
		}
	}
	raw, err := bootstrap.Static(role, admin, inlined)
	if err != nil {
		return nil, err
	}
	return toYAML(raw)
}

// toYAML writes JSON in the other notation, keys in their order: every JSON document is a YAML one.
func toYAML(raw []byte) ([]byte, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("xds: %w", err)
	}
	block(&tree)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&tree), encoder.Close()); err != nil {
		return nil, fmt.Errorf("xds: %w", err)
	}
	return out.Bytes(), nil
}

// block drops the braces and quotes of JSON. Texts keep their tag, so that what reads like a number or a word of YAML is quoted again.
func block(node *yaml.Node) {
	node.Style = 0
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" && strings.Contains(node.Value, "\n") {
		node.Style = yaml.LiteralStyle
	}
	for _, inner := range node.Content {
		block(inner)
	}
}
