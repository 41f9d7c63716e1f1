// Demo starts a world, walks through it as a client would and prints what it observed, step by step. Then it stays up for people to try,
// until Ctrl-C; with -once it ends after the tour, with status 0 only if every step held.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"isogate/examples/idp"
	"isogate/examples/world"
)

func main() { os.Exit(run()) }

func run() int {
	port := flag.Int("port", 8443, "the `port` of the edge, which browsers reach")
	idpPort := flag.Int("idp-port", 9443, "the `port` of the identity provider")
	clients := flag.String("clients", "", "a YAML `file` with more OAuth clients: a list of entries as under cloud.clients")
	once := flag.Bool("once", false, "end after the tour")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	began := time.Now()
	w, err := world.Start(ctx, world.Options{Port: *port, IDPPort: *idpPort, Clients: *clients, Second: true, CheckEvery: checkEvery.String(), Progress: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer w.Close()
	fmt.Printf("the world is up after %.1f s\n\n", time.Since(began).Seconds())

	failed := tour(os.Stdout, w)
	if *once {
		return min(failed, 1)
	}
	describe(os.Stdout, w)
	<-ctx.Done()
	fmt.Println()
	return 0
}

// describe says what a person can do now.
func describe(out io.Writer, w *world.World) {
	fmt.Fprintf(out, `
The world stays up until Ctrl-C.

  Inside     %s
             %s
             %s (of another organisation)
  Outside    %s
             %s
             %s (not open to people of isolated clouds)
  Sign in as
`, w.URL("issues", "/"), w.URL("wiki", "/"), w.Globex.URL("issues", "/"), w.Platform.URL("support", "/"), w.Platform.URL("market", "/"), w.Platform.URL("tenant", "/"))
	for _, u := range append(w.Users, w.Globex.Users...) {
		fmt.Fprintf(out, "             %-6s password %-19s %-22s %s\n", u.Username, u.Password, u.Email, note(u))
	}
	fmt.Fprintf(out, `
  Trust      %s
             (a certificate authority for names below .localhost only; curl takes it with --cacert, Firefox and
             Chromium under Settings, Privacy and security, Certificates, Authorities)
  Recognise  %s is the OAuth server's issuer; the client
             %q and its private key are in world.json
  Edit       %s
             %s
             %s
             %s
             what you save is picked up at once
  Look at    %s
             %s
`, w.CA.File, w.URL("auth", ""), world.Client, filepath.Join(w.Policies(), "ingress.rego"), filepath.Join(w.Policies(), gatewayRego), w.File(), w.Platform.File(), filepath.Join(w.Dir, "log"), w.Manifest())
}

// note is what to know of a person.
func note(u idp.User) string {
	switch {
	case u.TOTP != "":
		return "one-time codes from the secret " + u.TOTP
	case !u.EmailVerified:
		return "refused: the provider has not verified the address"
	case strings.HasSuffix(u.Email, "@partner.example"):
		return "products only: the domain is not managed"
	case strings.HasSuffix(u.Email, "@elsewhere.example"):
		return "refused: the provider is not believed for the address"
	case strings.HasSuffix(u.Email, "@globex.example"):
		return "of the other organisation"
	}
	return "no second factor"
}
