package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/xds/push"
)

const usage = `xds is the control plane of one side.

  xds -config FILE                     serve the Envoys of the file's side
  xds -config FILE -check              validate the file and exit
  xds print -config FILE -role ROLE    print a role's whole configuration, for an Envoy that asks no control plane
  xds bootstrap -role ROLE …           print the bootstrap with which a role's Envoy finds the control plane
  xds doctor FILE                      name what is unsafe in an Envoy configuration or config dump

print, bootstrap and doctor tell more with -h.
`

func main() { os.Exit(dispatch(os.Args[1:])) }

func dispatch(args []string) int {
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	switch word {
	case "print":
		return printStatic(args[1:], os.Stdout, os.Stderr)
	case "bootstrap":
		return printBootstrap(args[1:], os.Stdout, os.Stderr)
	case "doctor":
		return examine(args[1:], os.Stdin, os.Stdout, os.Stderr)
	case "-h", "-help", "--help", "help":
		fmt.Print(usage)
		return 0
	default:
		return daemon.Main("xds", args, load, start)
	}
}

// start builds the first resources before anything is served: a certificate that does not work ends the start here.
func start(_ context.Context, p *daemon.Process, config *Config) ([]daemon.Unit, error) {
	c := &control{file: p.File, config: config, log: p.Log, now: time.Now, servers: map[topology.Role]*push.Server{}, expiry: newExpiry(p.Admin.Metrics)}
	metrics := push.NewMetrics(p.Admin.Metrics)
	for _, role := range config.roles() {
		c.servers[role] = push.NewServer(role, p.Log, metrics)
	}
	if config.XDS.Remote != nil {
		c.remote = push.NewRemote(p.Log, slices.Collect(maps.Values(c.servers))...)
	}
	watch := daemon.Watch(p.Log, p.Admin, // looks at the files before they are read, so that no change is missed
		daemon.Reload{What: "config", Files: c.configFiles, Do: c.reloadConfig},
		daemon.Reload{What: "certificates", Files: c.certificateFiles, Do: c.rebuild},
	)
	if err := c.rebuild(); err != nil {
		return nil, err
	}
	admin, err := p.Admin.Unit(config.XDS.Admin)
	if err != nil {
		return nil, err
	}
	envoys, err := c.listen()
	if err != nil {
		return nil, err
	}
	p.Admin.Note("envoys", c.servers)
	p.Admin.Ready("resources", nil)
	return slices.Concat([]daemon.Unit{admin}, envoys, []daemon.Unit{watch}, c.policyUnits(p.Admin)), nil
}

// listen binds what Envoys connect to.
func (c *control) listen() ([]daemon.Unit, error) {
	var remote net.Listener
	if c.remote != nil {
		var err error
		if remote, err = net.Listen("tcp", string(c.config.XDS.Remote.Listen)); err != nil {
			return nil, fmt.Errorf("xds: the remote listener: %w", err)
		}
	}
	var units []daemon.Unit
	for _, role := range c.config.roles() {
		socket, err := daemon.ListenUnix(c.config.socket(role))
		if err != nil {
			return nil, err
		}
		units = append(units, c.servers[role].Unit(socket))
	}
	if remote != nil {
		units = append(units, c.remote.Unit(remote))
	}
	return units, nil
}
