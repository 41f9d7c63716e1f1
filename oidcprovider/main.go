// Oidcprovider is the OAuth 2.0 and OpenID Connect server of the isolated cloud, by which commercial services recognise its people. It listens
// on a unix socket, behind the ingress.
//
//	oidcprovider -config isolated.yaml          run
//	oidcprovider -config isolated.yaml -check   validate the file and exit
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"isogate/envoy/daemon"
	"isogate/extauthz/kv"
)

func main() {
	os.Exit(daemon.Main("oidcprovider", os.Args[1:], loadConfig, start))
}

// start builds the units: what stands early outlives what stands late, so the store is the last to go.
func start(_ context.Context, p *daemon.Process, c *config) ([]daemon.Unit, error) {
	live := newLive(p, c)
	watch := daemon.Watch(p.Log, p.Admin, // looks at the files before they are read, so that no change is missed
		daemon.Reload{What: "config", Files: func() []string { return []string{p.File} }, Do: live.reloadFile},
		daemon.Reload{What: "clients", Files: live.clientFiles, Do: live.reloadClients},
		daemon.Reload{What: "keys", Files: c.OIDCProvider.Keys.folders, Do: live.reloadKeys})
	store, err := kv.OpenBolt(string(c.OIDCProvider.Store), time.Now)
	if err != nil {
		return nil, err
	}
	if err := live.open(c, store); err != nil {
		return nil, err
	}
	listener, err := daemon.ListenUnix(c.Cloud.OAuthSocket())
	if err != nil {
		return nil, fmt.Errorf("the OAuth server's socket: %w", err)
	}
	admin, err := p.Admin.Unit(c.OIDCProvider.Admin)
	if err != nil {
		return nil, err
	}
	return []daemon.Unit{
		storeUnit(store),
		admin,
		{Name: "people", Run: live.people.Run},
		{Name: "readiness", Run: live.awaitPeople},
		watch,
		daemon.HTTP("oauth", listener, live),
	}, nil
}

// storeUnit sweeps what expired, and closes the store when everything that uses it has ended.
func storeUnit(store *kv.Bolt) daemon.Unit {
	return daemon.Unit{Name: "store", Run: func(ctx context.Context) error {
		err := store.Run(ctx)
		if closed := store.Close(); err == nil {
			err = closed
		}
		return err
	}}
}
