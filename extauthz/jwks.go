package main

import (
	"fmt"
	"io"
	"time"

	"isogate/extauthz/keys"
)

// printJWKS prints the public keys of a folder as a JWK Set (RFC 7517), for the other side to put on file. Where the folder holds no key yet, it
// makes the first one, as the daemon would.
func printJWKS(args []string, out, faults io.Writer) int {
	if len(args) != 1 || args[0] == "" || args[0][0] == '-' {
		fmt.Fprintln(faults, "usage: extauthz jwks FOLDER\n\nprint the public keys of a folder of signing keys as a JWK Set; an empty folder gets its first key")
		return 2
	}
	signers, err := keys.OpenSigners(args[0], time.Now)
	if err != nil {
		fmt.Fprintln(faults, err)
		return 1
	}
	fmt.Fprintf(out, "%s\n", signers.JWKS())
	return 0
}
