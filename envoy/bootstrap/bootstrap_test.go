package bootstrap

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"isogate/envoy/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

var roles = []topology.Role{topology.Edge, topology.Ingress, topology.Commercial}

func options(role topology.Role) Options {
	return Options{
		Role:        role,
		NodeID:      string(role) + "-1",
		XDSSocket:   "/run/isogate/xds-" + string(role) + ".sock",
		AdminSocket: "/run/isogate/admin-" + string(role) + ".sock",
	}
}

// documents are all that this package makes, by the names of their golden files.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	keep := func(name string, raw []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out[name] = raw
	}
	for _, role := range roles {
		raw, err := For(options(role))
		keep(string(role)+".json", raw, err)
	}
	raw, err := For(remoteOptions())
	keep("remote.json", raw, err)
	files, err := remote().SecretFiles()
	for name, raw := range files {
		keep(name, raw, err)
	}
	raw, err = Static(topology.Edge, "/run/isogate/admin-edge.sock", &bootstrapv3.Bootstrap_StaticResources{})
	keep("static.json", raw, err)
	return out
}

func TestGolden(t *testing.T) {
	wanted := documents(t)
	for name, got := range wanted {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got (go test -update writes it anew):\n%s", diff)
			}
		})
	}
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if wanted[filepath.Base(file)] != nil {
			continue
		}
		if !*update {
			t.Errorf("%s belongs to no document", file)
		} else if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
}

// Each line is a trap that a changed golden file would hide.
func TestPromises(t *testing.T) {
	raw, err := For(options(topology.Ingress))
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	promises := []struct {
		name string
		kept bool
	}{
		{"the only static resource is the control plane", len(b.StaticResources.Clusters) == 1 && b.StaticResources.Listeners == nil && b.StaticResources.Secrets == nil},
		{"delta, not state of the world", b.DynamicResources.AdsConfig.ApiType == corev3.ApiConfigSource_DELTA_GRPC},
		{"a missing cluster does not hold the ports for ever", b.DynamicResources.CdsConfig.InitialFetchTimeout.AsDuration() > 0},
		{"a missing listener does not hold the ports for ever", b.DynamicResources.LdsConfig.InitialFetchTimeout.AsDuration() > 0},
		{"the admin is a socket and no port", b.Admin.Address.GetSocketAddress() == nil && b.Admin.Address.GetPipe() != nil},
		{"the admin socket is its owner's", b.Admin.Address.GetPipe().GetMode() == 0o600},
		{"connections are bounded", len(b.OverloadManager.GetResourceMonitors()) == 1},
	}
	for _, p := range promises {
		if !p.kept {
			t.Errorf("broken: %s\n%s", p.name, raw)
		}
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no role", func(o *Options) { o.Role = "" }, "a role is required"},
		{"no node id", func(o *Options) { o.NodeID = "" }, "a node id is required"},
		{"no control plane", func(o *Options) { o.XDSSocket = "" }, `the control plane's socket "" must be an absolute path`},
		{"a relative control plane", func(o *Options) { o.XDSSocket = "xds.sock" }, `"xds.sock" must be an absolute path`},
		{"no admin socket", func(o *Options) { o.AdminSocket = "" }, `the admin socket "" must be an absolute path`},
		{"a relative admin socket", func(o *Options) { o.AdminSocket = "./a" }, `"./a" must be an absolute path`},
		{"not UTF-8", func(o *Options) { o.NodeID = "\xff" }, "invalid UTF-8"},
		{"both control planes", func(o *Options) { o.XDSRemote = remote() }, "either on this machine or on another"},
		{"all at once", func(o *Options) { *o = Options{} }, "a node id is required\nthe control plane's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(topology.Edge)
			tt.change(&o)
			got, err := For(o)
			if err == nil {
				t.Fatalf("no error, but\n%s", got)
			}
			if got != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q and error %q, want %q", got, err, tt.want)
			}
		})
	}
}
