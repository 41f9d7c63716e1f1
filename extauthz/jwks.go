package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"isogate/extauthz/keys"
)

// printJWKS prints the public keys of a folder as a JWK Set (RFC 7517), for the other side to put on file. Where the folder holds no key yet, it
// makes the first one, as the daemon would, and says so: after a slip in the name, that key is not the one to put on file.
func printJWKS(args []string, out, faults io.Writer) int {
	if len(args) != 1 || args[0] == "" || args[0][0] == '-' {
		fmt.Fprintln(faults, "usage: extauthz jwks FOLDER\n\nprint the public keys of a folder of signing keys as a JWK Set; a folder without a key gets its first one")
		return 2
	}
	before := entries(args[0])
	signers, err := keys.OpenSigners(args[0], time.Now)
	if err != nil {
		fmt.Fprintln(faults, err)
		return 1
	}
	if entries(args[0]) > before {
		fmt.Fprintf(faults, "made a first key in %s\n", args[0])
	}
	fmt.Fprintf(out, "%s\n", signers.JWKS())
	return 0
}

// entries is how many there are in a folder; none in one that is not there.
func entries(folder string) int {
	there, _ := os.ReadDir(folder) // a fault shows when the keys are read
	return len(there)
}
