// Extauthz answers Envoy's external-authorization checks and serves the HTTP door where people sign in. On the isolated side it owns all
// session state, and opens and ends grants for the OAuth server at the session socket. On the commercial side it keeps nothing: sessions are sealed
// in the browsers of their people.
//
//	extauthz -config FILE                  run; with -check, validate the file and exit
//	extauthz egress SERVICE -config FILE   run beside the sidecar of a service, of a commercial file; -check likewise
//	extauthz jwks FOLDER                   print the public half of a folder of signing keys
//	extauthz policy check DIR              compile policies, run their tests and warn; with explain, say what becomes of a call
//	extauthz -h                            list these
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"isogate/envoy/daemon"
	"isogate/extauthz/check"
	"isogate/extauthz/grant"
	"isogate/extauthz/kv"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

const help = `extauthz answers Envoy's checks and signs people in, on either side.

  extauthz -config FILE                 answer the checks of the file's side, and serve its door
  extauthz -config FILE -check          validate the file and exit
  extauthz egress SERVICE -config FILE  answer the checks of a service's sidecar
  extauthz jwks FOLDER                  print the public half of a folder of signing keys
  extauthz policy check DIR             compile policies, run their tests and warn of entries
  extauthz policy explain …             say what the gateway would do with a call, and why

egress, jwks and policy tell more with -h.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command line: a word of its own, or the daemon of a side. The result is the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	collectLess()
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	switch word {
	case "jwks":
		return printJWKS(args[1:], stdout, stderr)
	case "egress":
		return runEgress(args[1:], stderr)
	case "policy":
		return policy(args[1:], stdout, stderr)
	case "-h", "-help", "--help", "help":
		fmt.Fprint(stdout, help)
		return 0
	}
	if word != "" && word[0] != '-' {
		fmt.Fprintf(stderr, "unknown command %q\n\n%s", word, help)
		return 2
	}
	return daemon.Main("extauthz", args, loadConfig, start)
}

// garbage is how much may gather before it is collected, in percent of what is in use (see GOGC in package runtime). What is in use is a few
// megabytes, and a check leaves some kilobytes: with the usual 100 a fifth of the CPU time of a busy process goes to collecting.
const garbage = 400

// collectLess leaves the choice to the environment where it makes one. A GOMEMLIMIT holds beside either.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}

// start builds the units of the side that the file is for.
func start(_ context.Context, p *daemon.Process, c *config) ([]daemon.Unit, error) {
	if c.Isolated() {
		return startInside(p, c)
	}
	return startOutside(p, c)
}

// startInside builds the units of the isolated side: what stands early outlives what stands late, so the store is the last to go.
func startInside(p *daemon.Process, c *config) ([]daemon.Unit, error) {
	live := &live{process: p}
	watch := daemon.Watch(p.Log, p.Admin, // looks at the files before they are read, so that no change is missed
		daemon.Reload{What: "config", Files: func() []string { return []string{p.File} }, Do: live.reloadFile},
		daemon.Reload{What: "keys", Files: c.ExtAuthz.Keys.folders, Do: live.reloadKeys})
	store, err := kv.OpenBolt(string(c.ExtAuthz.Store), time.Now)
	if err != nil {
		return nil, err
	}
	sessions := session.NewStored(store, time.Now)
	if err := live.open(c, store, sessions); err != nil {
		return nil, err
	}
	checks, err := live.checkUnits()
	if err != nil {
		return nil, err
	}
	door, err := doorUnit(c.Cloud.DoorSocket(), live)
	if err != nil {
		return nil, err
	}
	grants, err := grantUnit(c, live)
	if err != nil {
		return nil, err
	}
	admin, err := p.Admin.Unit(c.ExtAuthz.Admin)
	if err != nil {
		return nil, err
	}
	return append([]daemon.Unit{
		storeUnit(store),
		{Name: "proofs", Run: live.marks.Run},
		{Name: "activity", Run: func(ctx context.Context) error {
			return sessions.Run(ctx, func(err error) { p.Log.Error("activity could not be written, it is tried again", "cause", err.Error()) })
		}},
		admin,
		{Name: "policies", Run: live.watchPolicies},
		{Name: "providers", Run: func(ctx context.Context) error { return signin.RunProviders(ctx, live.providers, live.providerState) }},
		{Name: "access keys", Run: live.access.Run},
		watch,
		grants,
		door,
	}, checks...), nil
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

// checkUnit serves the check socket of a profile.
func checkUnit(p *daemon.Process, profile, socket string, decider check.Decider) (daemon.Unit, error) {
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		return daemon.Unit{}, fmt.Errorf("the check socket: %w", err)
	}
	server := check.NewServer(profile, decider, p.Log, check.Metrics(p.Admin.Metrics))
	return daemon.GRPC("checks", listener, server.GRPC()), nil
}

// doorUnit serves the HTTP door.
func doorUnit(socket string, door http.Handler) (daemon.Unit, error) {
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		return daemon.Unit{}, fmt.Errorf("the door's socket: %w", err)
	}
	return daemon.HTTP("door", listener, door), nil
}

// grantUnit serves the session socket, where the OAuth server opens and ends grants.
func grantUnit(c *config, live *live) (daemon.Unit, error) {
	listener, err := daemon.ListenUnix(c.Cloud.SessionSocket())
	if err != nil {
		return daemon.Unit{}, fmt.Errorf("the session socket: %w", err)
	}
	return daemon.HTTP("grants", listener, grant.Handler(keeper{live}, live.process.Log)), nil
}

// otherSide is why a running process does not take a file.
func otherSide(file string) error {
	return errors.New(file + " is now for the other side: restart extauthz to serve it")
}
