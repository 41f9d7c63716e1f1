package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"isogate/xds/doctor"
)

// Both forms are what Envoy takes, and the doctor has nothing against them.
func TestPrintBootstrap(t *testing.T) {
	s, whole := newSite(t), newSite(t)
	whole.write(t, whole.commercial(t))
	at := func(name string) string { return filepath.Join(s.dir, name) }
	for name, args := range map[string][]string{
		"local":      {"-role", "ingress", "-admin", at("a.sock"), "-config", s.file},
		"edge":       {"-role", "edge", "-admin", at("d.sock"), "-config", whole.file},
		"commercial": {"-role", "commercial", "-admin", at("e.sock"), "-config", whole.file},
		"remote": {"-role", "ingress", "-node", "ingress-7", "-admin", at("b.sock"), "-remote", "127.0.0.1:18000", "-server", "xds.acme.example",
			"-certificate", at("c.pem"), "-key", at("c.key"), "-authorities", at("ca.pem"), "-secrets", s.dir},
	} {
		var out, fault bytes.Buffer
		if status := printBootstrap(args, &out, &fault); status != 0 {
			t.Fatalf("%s: status %d: %s", name, status, fault.String())
		}
		if socket := "/xds-" + name + ".sock"; (name == "edge" || name == "commercial") && !strings.Contains(out.String(), socket) {
			t.Errorf("%s: does not lead to %s", name, socket)
		}
		report, err := doctor.Examine(out.Bytes())
		if err != nil || len(report.Findings) > 0 {
			t.Errorf("%s: %v %+v", name, err, report)
		}
		if name == "remote" {
			for _, file := range []string{"xds-certificate.json", "xds-authorities.json"} {
				if _, err := os.Stat(at(file)); err != nil {
					t.Error(err)
				}
			}
			continue // Envoy would look for the certificate, which is not there
		}
		file := at(name + ".out.yaml")
		write(t, file, out.Bytes())
		if said, err := exec.Command(envoyBinary(t), "--mode", "validate", "-c", file).CombinedOutput(); err != nil {
			t.Errorf("%s: Envoy refuses it: %s", name, said)
		}
	}
}

func TestPrintBootstrapFaults(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, args string
		status     int
		want       string
	}{
		{"help", "-h", 0, "Usage: xds bootstrap"},
		{"nothing", "", 2, "required"},
		{"both places", "-role ingress -admin a -config " + s.file + " -remote h:1", 2, "one of -config and -remote"},
		{"another side's role", "-role edge -admin a -config " + s.file, 2, `not "edge"`},
		{"no such file", "-role edge -admin a -config /nowhere.yaml", 2, "no such file"},
		{"remote without a name", "-role edge -admin a -remote h:1 -certificate c -key k -authorities a -secrets " + s.dir, 1, "name is required"},
	} {
		var out, fault bytes.Buffer
		if status := printBootstrap(strings.Fields(c.args), &out, &fault); status != c.status || !strings.Contains(fault.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s: status %d, %q, %q", c.name, status, fault.String(), out.String())
		}
	}
}
