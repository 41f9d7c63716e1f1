package world

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// What a script needs to call as a service does stands in world.json: it is enough for a handshake, and for the gateway's answer.
func TestCallersOfTheManifest(t *testing.T) {
	var m manifest
	if err := json.Unmarshal(must2(t)(os.ReadFile(shared.Manifest())), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Sidecars) != 2 || len(m.Callers) != 3 {
		t.Fatalf("sidecars %v, callers %v", m.Sidecars, m.Callers)
	}
	for name, c := range m.Callers {
		file := func(path string) string { return filepath.Join(shared.Root, path) }
		pair, err := tls.LoadX509KeyPair(file(c.Certificate), file(c.Key))
		if err != nil {
			t.Fatal(err)
		}
		if uris := pair.Leaf.URIs; len(uris) != 1 || uris[0].String() != c.SPIFFE || c.SPIFFE != SPIFFE(name) {
			t.Errorf("%s is %v", name, uris)
		}
		for _, cloud := range []manifest{m, m.Clouds[shared.Globex.ID]} {
			conn, err := tls.Dial("tcp", cloud.Gateway, &tls.Config{
				RootCAs: shared.CA.Pool(), ServerName: cloud.GatewayAt, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
			})
			if err != nil {
				t.Errorf("%s at %s: %v", name, cloud.GatewayAt, err)
				continue
			}
			conn.Close()
		}
	}
}
