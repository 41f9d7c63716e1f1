package main

import (
	"context"
	"os"
	"time"

	"isogate/envoy/daemon"
	"isogate/xds/push"
)

func main() { os.Exit(daemon.Main("xds", load, start)) }

// start builds the first resources before anything is served: a certificate that does not work ends the start here.
func start(_ context.Context, p *daemon.Process, config *Config) ([]daemon.Unit, error) {
	c := &control{
		file: p.File, config: config, now: time.Now,
		server: push.NewServer(config.role(), p.Log, push.NewMetrics(p.Admin.Metrics)),
		expiry: newExpiry(p.Admin.Metrics),
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
	socket, err := daemon.ListenUnix(config.socket())
	if err != nil {
		return nil, err
	}
	p.Admin.Note("envoys", c.server)
	p.Admin.Ready("resources", nil)
	return []daemon.Unit{admin, c.server.Unit(socket), watch}, nil
}
