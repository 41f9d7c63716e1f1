package main

import (
	"regexp"
	"strings"
	"testing"
)

const fileOfBoth = `platform:
  services:
    - id: support
      upstream: 127.0.0.1:7001
      egress:
        listen: 127.0.0.1:7002
        admin: 127.0.0.1:7003
  listeners:
    edge: 127.0.0.1:7004
    commercial: 127.0.0.1:7005
  sockets: /run/old

clouds:
  - id: acme
    ingress: 127.0.0.1:7006
    gateway: 127.0.0.1:7007

extauthz:
  admin: 127.0.0.1:7008

xds:
  admin: 127.0.0.1:7009
  policies: policies
`

// The directory says where other people's Envoys are, and upstreams are shared by a double and its model.
func TestListenersOfTheOwnSideMove(t *testing.T) {
	moved := must[string](t)(moveListeners(fileOfBoth))
	for _, port := range regexp.MustCompile(`:70\d\d`).FindAllString(fileOfBoth, -1) {
		goes := port == ":7002" || port == ":7005"
		if strings.Contains(moved, port) == goes {
			t.Errorf("%s moved: %t\n%s", port, !goes, moved)
		}
	}
	if strings.Count(moved, "\n") != strings.Count(fileOfBoth, "\n") {
		t.Errorf("%s", moved)
	}
}

func TestSetLine(t *testing.T) {
	tests := []struct{ name, section, key, old, want string }{
		{"of the topology's section", "platform", "sockets", "  sockets: /run/old", "  sockets: new"},
		{"of a daemon's section and no other", "xds", "admin", "  admin: 127.0.0.1:7009", "  admin: new"},
		{"no such section", "oidcprovider", "admin", "", ""},
		{"no such key", "xds", "store", "", ""},
		{"a key of another section", "extauthz", "policies", "", ""},
		{"a key that stands deeper", "platform", "commercial", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := setLine(fileOfBoth, tt.section, tt.key, "new")
			if want := strings.Replace(fileOfBoth, tt.old, tt.want, 1); tt.want != "" && (err != nil || got != want) {
				t.Errorf("%v\n%s", err, got)
			}
			if tt.want == "" && err == nil {
				t.Errorf("%s", got)
			}
		})
	}
}
