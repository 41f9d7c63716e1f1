package world

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestClientEntries(t *testing.T) {
	for _, c := range []struct{ name, in, want, fault string }{
		{"relative", "- id: a\n  jwks: keys/a.jwks\n", "    - id: a\n      jwks: /given/keys/a.jwks\n", ""},
		{"absolute", "- {id: a, jwks: /b/a.jwks}\n", "    - id: a\n      jwks: /b/a.jwks\n", ""},
		{"what the daemons must judge", "- id: a\n  jwkss: x\n", "    - id: a\n      jwkss: x\n", ""},
		{"two", "- id: a\n- id: b\n  jwks_uri: https://b.example/keys\n", "    - id: a\n    - id: b\n      jwks_uri: https://b.example/keys\n", ""},
		{"under clients", "clients:\n- id: a\n  jwks: a.jwks\n", "    - id: a\n      jwks: /given/a.jwks\n", ""},
		{"JSON with the keys in it", `[{"id": "a", "jwks": {"keys": [{"kty": "EC"}]}}]`, "    - id: a\n      jwks: /kept/more-0.jwks\n", ""},
		{"nothing", "", "", "wants a list"},
		{"one entry that is no list", "id: a\n", "", "wants a list"},
		{"no YAML", "\t- :", "", "wants a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := clientEntries([]byte(c.in), "/given", func(name string, set any) (string, error) {
				if raw, err := json.Marshal(set); err != nil || string(raw) != `{"keys":[{"kty":"EC"}]}` {
					t.Errorf("kept %s, %v", raw, err)
				}
				return "/kept/" + name, nil
			})
			if got != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// What a script needs of a client stands in world.json, and its private key nowhere else than in the file that is named there.
func TestClientOfTheManifest(t *testing.T) {
	var m manifest
	if err := json.Unmarshal(must2(t)(os.ReadFile(shared.Manifest())), &m); err != nil {
		t.Fatal(err)
	}
	own := m.Clients[Client]
	second, there := m.Clouds[shared.Globex.ID]
	if !there || len(m.Clouds) != 1 || second.ID != shared.Globex.ID || second.Issuer != shared.Globex.URL("auth", "") || second.Hosts["issues"] != shared.Globex.host("issues") ||
		len(second.Users) != 1 || second.Daemons["extauthz-globex"].Pid != shared.Parts["extauthz-globex"].Pid() || second.Envoys["ingress"].Pid != shared.Parts["envoy-ingress-globex"].Pid() {
		t.Errorf("the second cloud: %+v", second)
	}
	for _, name := range []string{"id", "support", "market", "tenant", "login", "auth", "issues", "wiki", "idp"} {
		if _, there := m.Connect[m.Hosts[name]]; !there {
			t.Errorf("%s is %q, for which nothing says where to dial", name, m.Hosts[name])
		}
	}
	for _, role := range roles {
		if m.Envoys[string(role)].Pid != shared.Parts["envoy-"+string(role)].Pid() {
			t.Errorf("envoys: %+v", m.Envoys)
		}
	}
	if len(m.Clients) != 1 || !slices.Equal(own.RedirectURIs, shared.callbacks()) || own.PrivateKeys != shared.relative(shared.privateKeys(shared.Cloud)) {
		t.Errorf("clients: %+v", m.Clients)
	}
	if _, ok := m.Daemons["oidcprovider"]; !ok || m.Issuer != shared.URL("auth", "") {
		t.Errorf("daemons %v, issuer %s", m.Daemons, m.Issuer)
	}
	for file, private := range map[string]bool{shared.privateKeys(shared.Cloud): true, shared.clientFile(Client + ".jwks"): false} {
		if raw := string(must2(t)(os.ReadFile(file))); strings.Contains(raw, `"d"`) != private {
			t.Errorf("%s: private key %v, want %v", file, !private, private)
		}
	}
}
