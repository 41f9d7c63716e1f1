package world

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// listening are the TCP addresses on which a process takes connections, as the kernel has them.
func listening(t *testing.T, pid int) (addresses []string) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("process %d: no open files: %v", pid, err)
	}
	sockets := map[string]bool{}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:[") {
			sockets[strings.Trim(to, "socket:[]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			const listen = "0A"
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] == listen && sockets[fields[9]] {
				addresses = append(addresses, address(t, fields[1]))
			}
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// address reads what the kernel writes: 32-bit words in the machine's order (here little-endian), and the port.
func address(t *testing.T, text string) string {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	ip, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(ip); i += 4 {
		slices.Reverse(ip[i : i+4])
	}
	var number int
	if _, err := fmt.Sscanf(port, "%x", &number); err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(net.IP(ip).String(), fmt.Sprint(number))
}

// CVE-2022-24797 of pomerium: metrics, health and profiles were served to everybody. Each daemon takes TCP connections on its admin listener
// alone, on loopback; an Envoy on its one listener alone, since its admin interface is a unix socket of the daemon's user.
func TestNothingListensButWhatMust(t *testing.T) {
	for part, want := range map[string]int{
		"extauthz": shared.ports.extauth, "xds": shared.ports.xds, "xds-commercial": shared.Platform.ports.xds, "envoy-edge": shared.ports.edge, "envoy-ingress": shared.ports.ingress,
		"extauthz-commercial": shared.Platform.ports.extauth, "envoy-commercial": shared.Platform.ports.commercial, "envoy-gateway": shared.ports.gateway,
		"envoy-egress-support": shared.Platform.ports.sidecars["support"], "extauthz-egress-support": shared.Platform.ports.sidecarAdmins["support"],
	} {
		if got := listening(t, shared.Parts[part].Pid()); !slices.Equal(got, []string{local(want)}) {
			t.Errorf("%s listens on %q, want %s alone", part, got, local(want))
		}
	}
	sockets := 0
	err := filepath.WalkDir(shared.base, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSocket == 0 {
			return err
		}
		sockets++
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s is open to everybody: %v %v", path, info, err)
		}
		return nil
	})
	if err != nil || sockets < 4 {
		t.Errorf("%d sockets, %v", sockets, err)
	}
}

// Nobody outside is given health, metrics, status, profiles or an Envoy's own pages, by whatever host; and a daemon has no profiles at all.
func TestNoPublicHostServesMetricsOrProfiles(t *testing.T) {
	b := person(t, "bob")
	for _, path := range []string{
		"/metrics", "/healthz", "/readyz", "/status", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/config_dump", "/stats", "/stats/prometheus", "/clusters", "/certs", "/ready", "/server_info",
		"/quitquitquit", "/logging", "/.isogate/metrics", "/.isogate/status", "/.isogate/healthz", "/.isogate/debug/pprof/", "/metrics/", "//metrics", "/%6detrics",
	} {
		if got := status(t, b, shared.URL("auth", path)); got != 404 {
			t.Errorf("auth%s: %d", path, got)
		}
		if got := status(t, shared.Browser(), shared.URL("issues", path)); got != 401 && got != 404 {
			t.Errorf("a stranger at issues%s: %d", path, got)
		}
	}
	for _, admin := range []int{
		shared.ports.extauth, shared.ports.xds, shared.Platform.ports.xds, shared.Platform.ports.extauth, shared.Platform.ports.sidecarAdmins["market"],
	} {
		for path, want := range map[string]int{"/healthz": 200, "/metrics": 200, "/debug/pprof/": 404, "/debug/pprof/profile": 404, "/debug/vars": 404} {
			response, err := http.Get("http://" + local(admin) + path)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("admin %d%s: %d, want %d", admin, path, response.StatusCode, want)
			}
		}
	}
}

// CVE-2026-33186 of grpc-go: a :path without its slash is no method, at each gRPC server as it really runs.
func TestGRPCServersRefuseAPathWithoutItsSlash(t *testing.T) {
	cloud := topology.Cloud{Sockets: daemon.Path(shared.sockets)}
	const check = "/envoy.service.auth.v3.Authorization/Check"
	sidecar := topology.Platform{Sockets: daemon.Path(shared.Platform.sockets)}.CheckSocket(string(topology.EgressRole("support")))
	for _, c := range []struct{ name, socket, method, answer string }{
		{"the check", cloud.CheckSocket("ingress"), check, "0"},
		{"the check of the gateway", cloud.CheckSocket("gateway"), check, "0"},
		{"the check of a sidecar", sidecar, check, "0"},
		// A stream that says nothing of itself is refused, by its handler and not for its path: InvalidArgument, or the end of the stream.
		{"the control plane", cloud.XDSSocket(topology.Ingress), "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", "3"},
	} {
		if got := grpcStatus(t, c.socket, c.method); got != c.answer {
			t.Errorf("%s: %s answers %q, want %q: this test proves nothing", c.name, c.method, got, c.answer)
		}
		bare := c.method[1:]
		for _, path := range []string{bare, "/" + c.method, "./" + bare, "%2f" + bare, "\\" + bare, "*", "/", "*" + c.method, c.method + "/", "http://x" + c.method} {
			switch got := grpcStatus(t, c.socket, path); got {
			case "12", "no answer": // UNIMPLEMENTED, or the stream or connection was ended
			default:
				t.Errorf("%s: %q is answered with %q", c.name, path, got)
			}
		}
	}
}

// grpcStatus sends one empty message to a unix socket with a :path of any form, and gives the grpc-status.
func grpcStatus(t *testing.T, socket, path string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = framer.WriteSettings() // a server that hung up is seen when reading
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	_ = framer.WriteData(1, true, make([]byte, 5)) // not compressed, no bytes
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return "no answer"
		}
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			return "no answer"
		case *http2.MetaHeadersFrame:
			for _, f := range frame.Fields {
				if f.Name == "grpc-status" {
					return f.Value
				}
			}
		}
	}
}
