package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// watched runs Watch over files until the test's bubble ends, and counts the reloads, which fail while broken holds.
func watched(t *testing.T, admin *Admin, broken *atomic.Bool, files ...string) *atomic.Int32 {
	t.Helper()
	var count atomic.Int32
	u := Watch(quiet, admin, Reload{What: "config", Files: func() []string { return files }, Do: func() error {
		count.Add(1)
		if broken.Load() {
			return errors.New("broken")
		}
		return nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &count
}

func put(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Each step of each case is one change of what is watched, and must cause exactly one reload.
func TestWatch(t *testing.T) {
	type steps []func(t *testing.T, dir string)
	in := func(dir, name string) string { return filepath.Join(dir, name) }
	tests := []struct {
		name  string
		watch string // below the test's folder
		steps steps
	}{
		{"changed, removed, made again", "f", steps{
			func(t *testing.T, dir string) { put(t, in(dir, "f"), "longer") },
			func(t *testing.T, dir string) { must(t, os.Remove(in(dir, "f"))) },
			func(t *testing.T, dir string) { put(t, in(dir, "f"), "back") },
		}},
		{"replaced by rename, same size and time", "f", steps{func(t *testing.T, dir string) {
			info, err := os.Stat(in(dir, "f"))
			must(t, err)
			put(t, in(dir, "g"), "2")
			must(t, os.Chtimes(in(dir, "g"), info.ModTime(), info.ModTime()))
			must(t, os.Rename(in(dir, "g"), in(dir, "f")))
		}}},
		{"same size, another time", "f", steps{func(t *testing.T, dir string) {
			put(t, in(dir, "f"), "2")
			must(t, os.Chtimes(in(dir, "f"), time.Unix(5, 0), time.Unix(5, 0)))
		}}},
		{"made readable", "f", steps{func(t *testing.T, dir string) { must(t, os.Chmod(in(dir, "f"), 0o640)) }}},
		{"absent at first", "g", steps{func(t *testing.T, dir string) { put(t, in(dir, "g"), "") }}},
		{"a folder's entries", ".", steps{
			func(t *testing.T, dir string) { put(t, in(dir, "g"), "new") },
			func(t *testing.T, dir string) { put(t, in(dir, "f"), "longer") },
			func(t *testing.T, dir string) { must(t, os.Rename(in(dir, "g"), in(dir, "h"))) },
			func(t *testing.T, dir string) { must(t, os.Remove(in(dir, "h"))) },
		}},
		{"symlink swapped, as mounted secrets are", "current/key", steps{func(t *testing.T, dir string) {
			must(t, os.Symlink("b", in(dir, "next")))
			must(t, os.Rename(in(dir, "next"), in(dir, "current")))
		}}},
		{"a symlink's target changed", "links/key", steps{func(t *testing.T, dir string) { put(t, in(dir, "a/key"), "longer") }}},
		{"an entry's target changed", "links", steps{func(t *testing.T, dir string) { put(t, in(dir, "a/key"), "longer") }}},
		{"entry is a symlink that was swapped", "links", steps{func(t *testing.T, dir string) {
			must(t, os.Symlink("../b/key", in(dir, "next")))
			must(t, os.Rename(in(dir, "next"), in(dir, "links/key")))
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, in(dir, "f"), "1")
			for _, sub := range []string{"a", "b", "links"} {
				must(t, os.Mkdir(in(dir, sub), 0o700))
			}
			put(t, in(dir, "a/key"), "x")
			put(t, in(dir, "b/key"), "y")
			must(t, os.Symlink("a", in(dir, "current")))
			must(t, os.Symlink("../a/key", in(dir, "links/key")))
			synctest.Test(t, func(t *testing.T) {
				count := watched(t, NewAdmin(), new(atomic.Bool), in(dir, tt.watch))
				time.Sleep(5 * watchEvery)
				if got := count.Load(); got != 0 {
					t.Fatalf("%d reloads before any change", got)
				}
				for i, step := range tt.steps {
					step(t, dir)
					time.Sleep(5 * watchEvery)
					if got := count.Load(); int(got) != i+1 {
						t.Fatalf("%d reloads after %d changes", got, i+1)
					}
				}
			})
		})
	}
}

// What changed between the call of Watch and the start of its unit is not missed.
func TestWatchLooksBeforeItRuns(t *testing.T) {
	file := write(t, "1")
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int32
		u := Watch(quiet, NewAdmin(), Reload{What: "config", Files: func() []string { return []string{file} }, Do: func() error { count.Add(1); return nil }})
		put(t, file, "changed")
		ctx, cancel := context.WithTimeout(t.Context(), 10*watchEvery)
		defer cancel()
		if err := u.Run(ctx); err != nil || count.Load() != 1 {
			t.Errorf("%d reloads, %v", count.Load(), err)
		}
	})
}

// A file that is written in pieces is read once, when the writer has stopped.
func TestWatchWaitsForTheWriter(t *testing.T) {
	file := write(t, "")
	synctest.Test(t, func(t *testing.T) {
		count := watched(t, NewAdmin(), new(atomic.Bool), file)
		text := ""
		for range 20 {
			text += "line\n"
			put(t, file, text)
			time.Sleep(watchEvery / 2)
		}
		if got := count.Load(); got != 0 {
			t.Errorf("%d reloads while it was written", got)
		}
		time.Sleep(3 * watchEvery)
		if got := count.Load(); got != 1 {
			t.Errorf("%d reloads after it was written", got)
		}
	})
}

// A failed reload is counted and shown, is not repeated for the same content, and the next change is tried.
func TestWatchFailedReload(t *testing.T) {
	file := write(t, "1")
	synctest.Test(t, func(t *testing.T) {
		admin, broken := NewAdmin(), new(atomic.Bool)
		broken.Store(true)
		count := watched(t, admin, broken, file)
		put(t, file, "broken")
		time.Sleep(10 * watchEvery)
		wantAnswer(t, admin, "/metrics", 200, `isogate_reloads_total{result="failed",what="config"} 1`)
		wantAnswer(t, admin, "/status", 200, `"reload of config": "failed, the last good state stays: broken"`)
		broken.Store(false)
		put(t, file, "good again")
		time.Sleep(10 * watchEvery)
		wantAnswer(t, admin, "/metrics", 200, `isogate_reloads_total{result="failed",what="config"} 1`, `isogate_reloads_total{result="ok",what="config"} 1`)
		wantAnswer(t, admin, "/status", 200, `"reload of config": "ok"`)
		if got := count.Load(); got != 2 {
			t.Errorf("%d reloads", got)
		}
	})
}

// Each Reload has its own files, and the list of them may change with a reload.
func TestWatchFilesMayChange(t *testing.T) {
	first, second, other := write(t, "1"), write(t, "1"), write(t, "1")
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Value
		var counts [2]atomic.Int32
		now.Store(first)
		u := Watch(quiet, NewAdmin(),
			Reload{What: "a", Files: func() []string { return []string{now.Load().(string)} }, Do: func() error { now.Store(second); counts[0].Add(1); return nil }},
			Reload{What: "b", Files: func() []string { return []string{other} }, Do: func() error { counts[1].Add(1); return nil }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.AfterFunc(time.Second, func() { put(t, first, "changed") })
		time.AfterFunc(10*time.Second, func() { put(t, second, "changed") })
		if err := u.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if a, b := counts[0].Load(), counts[1].Load(); a < 2 || b != 0 {
			t.Errorf("%d reloads of a, %d of b", a, b)
		}
	})
}
