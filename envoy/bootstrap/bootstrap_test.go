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

var roles = []topology.Role{topology.Edge, topology.Ingress}

func options(role topology.Role) Options {
	return Options{
		Role:        role,
		NodeID:      string(role) + "-1",
		XDSSocket:   "/run/isogate/xds-" + string(role) + ".sock",
		AdminSocket: "/run/isogate/admin-" + string(role) + ".sock",
	}
}

func TestGolden(t *testing.T) {
	wanted := map[string]bool{}
	for _, role := range roles {
		file := filepath.Join("testdata", string(role)+".json")
		wanted[file] = true
		t.Run(string(role), func(t *testing.T) {
			got, err := For(options(role))
			if err != nil {
				t.Fatal(err)
			}
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
		if wanted[file] {
			continue
		}
		if !*update {
			t.Errorf("%s belongs to no role", file)
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
