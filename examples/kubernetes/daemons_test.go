package kubernetes

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"isogate/extauthz/keys"
	"isogate/policies"
)

var update = flag.Bool("update", false, "write the bootstraps and the policies anew")

// binaries is where the daemons are.
var binaries string

func TestMain(m *testing.M) {
	image(os.Getenv(imageVariable))
	flag.Parse()
	dir, err := os.MkdirTemp("", "manifests")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	out, err := exec.Command("go", "build", "-o", dir+"/", "isogate/extauthz", "isogate/oidcprovider", "isogate/xds").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// checks runs every daemon with the arguments that its container has, and -check, on the file of its ConfigMap.
func (m *manifests) checks(dir string) (ran []string, faults []string) {
	for _, name := range slices.Sorted(maps.Keys(m.deployments)) {
		d := m.deployments[name]
		for _, c := range containers(d) {
			if !isDaemon(c) {
				continue
			}
			of := configOf[d.Namespace]
			file := filepath.Join(dir, of.key)
			if err := os.WriteFile(file, []byte(m.configs[of.config].Data[of.key]), 0o600); err != nil {
				return nil, []string{err.Error()}
			}
			args := append(slices.Clone(c.Args[:len(c.Args)-1]), file, "-check")
			ran = append(ran, name+"/"+c.Name)
			if out, err := exec.Command(filepath.Join(binaries, programOf(c)), args...).CombinedOutput(); err != nil {
				faults = append(faults, fmt.Sprintf("%s/%s: %v\n%s", name, c.Name, err, out))
			}
		}
	}
	return ran, faults
}

func TestTheDaemonsTakeTheirFilesAndArguments(t *testing.T) {
	m, _ := read(files(t))
	ran, faults := m.checks(t.TempDir())
	for _, fault := range faults {
		t.Error(fault)
	}
	want := []string{
		"acme/issues/extauthz", "acme/issues/oidcprovider", "acme/xds/xds",
		"commercial/commercial/extauthz", "commercial/support/extauthz", "commercial/xds/xds",
	}
	if !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
}

// known are the options that an Envoy lists.
var known = regexp.MustCompile(`--[a-z0-9-]+`)

func TestEnvoyTakesItsArguments(t *testing.T) {
	binary, err := envoyBinary()
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.Command(binary, "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	options, envoys := known.FindAllString(string(help), -1), 0
	m, _ := read(files(t))
	for name, d := range m.deployments {
		for _, c := range containers(d) {
			if programOf(c) != "envoy" {
				continue
			}
			envoys++
			for _, arg := range c.Args {
				if strings.HasPrefix(arg, "-") && !slices.Contains(options, arg) {
					t.Errorf("%s/%s: Envoy has no option %s", name, c.Name, arg)
				}
			}
		}
	}
	if envoys != 5 {
		t.Errorf("%d Envoys", envoys)
	}
}

// bootstraps are the ConfigMaps of all Envoys, as xds bootstrap prints what is in them.
func (m *manifests) bootstraps(t *testing.T) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	for _, d := range m.deployments {
		for _, c := range containers(d) {
			if programOf(c) == "envoy" {
				name, role := envoyOf(d, c)
				out[d.Namespace+"/"+name] = bootstrap(t, d.Namespace, role)
				if !slices.Contains(m.roles(d.Namespace), role) {
					t.Errorf("%s: the control plane lets no %s in", name, role)
				}
			}
		}
	}
	return out
}

// envoyOf is the ConfigMap of an Envoy, whose name says its role.
func envoyOf(d *appsv1.Deployment, c corev1.Container) (name, role string) {
	for _, v := range c.VolumeMounts {
		if v.MountPath == "/etc/envoy" {
			name = volumeOf(d, v.Name).ConfigMap.Name
		}
	}
	return name, strings.TrimPrefix(name, "envoy-")
}

func (m *manifests) roles(space string) (out []string) {
	for _, v := range m.values(space) {
		if strings.HasPrefix(v.place, "xds.remote.roles.") {
			out = append(out, v.text)
		}
	}
	return out
}

// bootstrap has the files that they would have if they were made in /etc/envoy.
func bootstrap(t *testing.T, space, role string) map[string]string {
	t.Helper()
	dir, server := t.TempDir(), "xds."+space+".svc.cluster.local"
	cmd := exec.Command(filepath.Join(binaries, "xds"), "bootstrap", "-role", role, "-admin", "/run/envoy/admin.sock",
		"-remote", server+":18000", "-server", server, "-certificate", "/etc/envoy-tls/tls.crt", "-key", "/etc/envoy-tls/tls.key",
		"-authorities", "/etc/envoy-tls/ca.crt", "-secrets", dir)
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	out := map[string]string{"envoy.yaml": strings.ReplaceAll(string(printed), dir, "/etc/envoy")}
	written, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(written) != 2 {
		t.Fatal(written, err)
	}
	for _, file := range written {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[path.Base(file)] = string(raw)
	}
	return out
}

// shipped are the files of the policies folder.
func shipped(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../policies/*.rego")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	out := map[string]string{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = string(raw)
	}
	return out
}

func TestThePoliciesAreTheShippedOnes(t *testing.T) {
	if *update {
		write(t, "isolated/policies.yaml", map[string]map[string]string{"acme/policies": shipped(t)})
	}
	m, _ := read(files(t))
	embedded := m.configs["acme/policies"]
	if embedded == nil || !maps.Equal(embedded.Data, shipped(t)) {
		t.Fatal("isolated/policies.yaml has not the rules of policies/: run this with -update")
	}
	dir := t.TempDir()
	for name, text := range embedded.Data {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle, err := policies.Load(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, found := bundle.Match("issues", "GET", "/rest/api/issue/OPS-1", time.Now()); !found {
		t.Error("the example exposes no endpoint")
	}
}

func TestTheBootstrapsAreWhatXDSPrints(t *testing.T) {
	m, _ := read(files(t))
	want := m.bootstraps(t)
	if *update {
		for folder, space := range map[string]string{"isolated": "acme", "commercial": "commercial"} {
			some := map[string]map[string]string{}
			for name, data := range want {
				if path.Dir(name) == space {
					some[name] = data
				}
			}
			write(t, folder+"/bootstraps.yaml", some)
		}
		m, _ = read(files(t))
	}
	for name, data := range want {
		if have := m.configs[name]; have == nil || !maps.Equal(have.Data, data) {
			t.Errorf("%s is not what xds bootstrap prints: run this with -update", name)
		}
	}
	for name := range m.configs {
		if strings.HasPrefix(path.Base(name), "envoy-") && want[name] == nil {
			t.Errorf("%s is no Envoy's", name)
		}
	}
}

// The keys that a pod copies must be such that the daemons take them: of their owner alone, from folders whose files are links.
func TestKeysAreCopiedForTheirOwnerAlone(t *testing.T) {
	m, _ := read(files(t))
	for _, name := range []string{"commercial/commercial", "commercial/support"} {
		script := m.deployments[name].Spec.Template.Spec.InitContainers[0].Args[0]
		from, to := t.TempDir(), t.TempDir()
		mounted := filepath.Join(from, "token-support", "..data")
		if err := os.MkdirAll(mounted, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mounted, "2026-01.key"), []byte(strings.Repeat("k", 32)), 0o440); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("..data/2026-01.key", filepath.Join(from, "token-support", "2026-01.key")); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-euc", strings.NewReplacer("/secrets", from, "/keys", to).Replace(script))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if _, err := keys.OpenSealers(filepath.Join(to, "token-support"), time.Now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		entries, err := os.ReadDir(filepath.Join(to, "token-support"))
		if err != nil || len(entries) != 1 || entries[0].Name() != "2026-01.key" {
			t.Errorf("%s: copied %v %v", name, entries, err)
		}
	}
}
