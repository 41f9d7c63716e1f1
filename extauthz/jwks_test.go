package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isogate/extauthz/keys"
)

func TestPrintJWKS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "client")
	var first, again, faults bytes.Buffer
	if printJWKS([]string{dir}, &first, &faults) != 0 || faults.String() != "made a first key in "+dir+"\n" {
		t.Fatalf("%s%s", &first, &faults)
	}
	faults.Reset()
	if printJWKS([]string{dir}, &again, &faults) != 0 || faults.Len() > 0 || first.String() != again.String() {
		t.Fatalf("%s%s%s", &first, &again, &faults)
	}
	if _, err := keys.ParseJWKS(first.Bytes()); err != nil || strings.Contains(first.String(), `"d"`) {
		t.Errorf("%v: %s", err, &first)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[int][]string{1: {dir}, 2: {"-h"}} {
		var out bytes.Buffer
		faults.Reset()
		if got := printJWKS(args, &out, &faults); got != want || out.Len() > 0 || faults.Len() == 0 {
			t.Errorf("%v: %d %s%s", args, got, &out, &faults)
		}
	}
}
