package policies

import (
	"strings"
	"testing"
)

// What looks like rules, and is of no package that is asked, must not be ignored; what is a person's own stays.
func TestStrayPackages(t *testing.T) {
	const known = "; the rules for the gateway are package isogate.gateway, those for the ingress isogate.ingress"
	tests := []struct {
		name string
		in   files
		want string // empty: it loads
	}{
		{"misspelt gateway", files{"gateway.rego": strings.Replace(shipped(t, "gateway.rego"), "isogate.gateway", "isogate.gatway", 1),
			"gateway_test.rego": shipped(t, "gateway_test.rego")}, "gateway.rego:5: package isogate.gatway is not known" + known},
		{"a word", files{"b.rego": "package isogate.gatewy\n\nforbidden contains \"x\""}, "b.rego:1: package isogate.gatewy is not known" + known},
		{"entries", files{"b.rego": "package isogate.gatewy\n\n" + exposed("x")}, "b.rego:1: package isogate.gatewy is not known" + known},
		{"closed", files{"b.rego": "package isogate.gatewy\nclosed contains \"gateway\""}, "b.rego:1: package isogate.gatewy is not known" + known},
		{"strangers", files{"b.rego": "package isogate.ingres\nanonymous := {}"}, "b.rego:1: package isogate.ingres is not known" + known},
		{"used by itself and a test", files{"b.rego": "package isogate.gatewy\nclosed := {1}\nx := data.isogate.gatewy.closed", "b_test.rego": "package b\ntest_x if data.isogate.gatewy.closed"},
			"b.rego:1: package isogate.gatewy is not known" + known},
		{"a helper", files{"b.rego": "package isogate.shared\nstaff := {\"staff\"}"}, ""},
		{"an imported helper", files{"b.rego": "package isogate.shared\nclosed := {\"gateway\"}", "gateway.rego": gatewayHead + gatewayOpen + "import data.isogate.shared\nclosed := shared.closed"}, ""},
		{"a helper by its full name", files{"b.rego": "package isogate.shared\nclosed := {\"gateway\"}", "gateway.rego": gatewayHead + gatewayOpen + "closed := data.isogate.shared.closed"}, ""},
		{"below", files{"b.rego": "package isogate.gateway.lib\nclosed := {1}"}, ""},
		{"elsewhere", files{"b.rego": "package lib.gateway\nclosed := {1}"}, ""},
		{"tests", files{"b.rego": "package isogate.gateway_test\ndecision := 1", "b_test.rego": "package isogate.more\ndecision := 1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { loadsOr(t, tt.in, tt.want) })
	}
}

// Tests of what is not there fail all; that is one fault.
func TestLostPackages(t *testing.T) {
	gateway := files{"gateway_test.rego": shipped(t, "gateway_test.rego")}
	loadsOr(t, gateway, "no file is of package isogate.gateway, and there are tests of it; put gateway.rego there or remove gateway_test.rego")
	loadsOr(t, files{"ingress.rego": "package lib", "ingress_test.rego": shipped(t, "ingress_test.rego")},
		"no file is of package isogate.ingress, and there are tests of it; put ingress.rego there")
	gateway["other.rego"] = shipped(t, "gateway.rego")
	loadsOr(t, gateway, "")
	loadsOr(t, files{"gateway_test.rego": "package isogate.gateway_test"}, "")
}

// loadsOr loads rules for the ingress and more, and wants one fault with this text, or none.
func loadsOr(t *testing.T, in files, want string) {
	t.Helper()
	dir := dirOf(t, files{"ingress.rego": valid})
	for name, text := range in {
		write(t, dir, name, text)
	}
	b, err := Load(t.Context(), dir)
	if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), ":\n"+want)) || (b == nil) != (err != nil) {
		t.Errorf("Load = %v; want %q", err, want)
	}
}
