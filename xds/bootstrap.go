package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"isogate/envoy/bootstrap"
	"isogate/envoy/topology"
)

const bootstrapUsage = `Usage: xds bootstrap -role ROLE -admin SOCKET -config FILE
       xds bootstrap -role ROLE -admin SOCKET -remote HOST:PORT -server NAME -certificate PEM -key PEM -authorities PEM -secrets DIR

Prints the bootstrap of a role's Envoy, which names only the control plane: by its unix socket on this machine, or on another one by mutual TLS.
The second form also writes two files into the folder of -secrets, by which Envoy finds its certificate and notices when it is renewed.

`

// printBootstrap is xds bootstrap. The result is the exit status, as of xds print.
func printBootstrap(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bootstrap", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, bootstrapUsage); flags.PrintDefaults() }
	var remote bootstrap.Remote
	role := flags.String("role", "", rolesHelp+": the `role` of the Envoy (required)")
	node := flags.String("node", "", "what to call this Envoy in logs and metrics; its role if absent")
	admin := flags.String("admin", "", "Envoy's admin `socket` (required)")
	file := flags.String("config", "", "the YAML `file` of the side whose control plane runs on this machine")
	flags.StringVar(&remote.Address, "remote", "", "`host:port` of a control plane on another machine")
	flags.StringVar(&remote.Server, "server", "", "what its certificate must say: a DNS `name` or a spiffe:// URI")
	flags.StringVar(&remote.Certificate, "certificate", "", "PEM `file` of this Envoy")
	flags.StringVar(&remote.Key, "key", "", "PEM `file` of this Envoy")
	flags.StringVar(&remote.Authorities, "authorities", "", "PEM `file`: who signs the control plane's certificate")
	flags.StringVar(&remote.Secrets, "secrets", "", "`folder` for the two files")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if *role == "" || *admin == "" || (*file == "") == (remote.Address == "") || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "xds bootstrap: -role and -admin are required, and one of -config and -remote")
		return 2
	}
	options := bootstrap.Options{Role: topology.Role(*role), NodeID: *node, AdminSocket: absolute(*admin)}
	if options.NodeID == "" {
		options.NodeID = *role
	}
	if *file != "" {
		config, err := load(*file)
		if err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
		if !slices.Contains(config.roles(), options.Role) {
			fmt.Fprintf(stderr, "xds bootstrap: %s is of the side whose role is %s, not %q\n", *file, config.rolesText(), *role)
			return 2
		}
		options.XDSSocket = config.socket(options.Role)
	} else if err := writeSecrets(&remote); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	} else {
		options.XDSRemote = &remote
	}
	return emit(options, stdout, stderr)
}

func emit(options bootstrap.Options, stdout, stderr io.Writer) int {
	raw, err := bootstrap.For(options)
	if err == nil {
		raw, err = toYAML(raw)
	}
	if err == nil {
		_, err = stdout.Write(raw)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// writeSecrets makes the paths absolute and writes the files by which Envoy reads its certificate.
func writeSecrets(r *bootstrap.Remote) error {
	for _, path := range []*string{&r.Certificate, &r.Key, &r.Authorities, &r.Secrets} {
		*path = absolute(*path)
	}
	files, err := r.SecretFiles()
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(r.Secrets, name), content, 0o600); err != nil {
			return fmt.Errorf("xds: %w", err)
		}
	}
	return nil
}

// absolute leaves an empty path empty, so that its absence is reported as such.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}
