package policies

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// report is one call of changed.
type report struct {
	bundle *Bundle
	err    error
	at     time.Time
}

// watched runs Watch on dir under a clock of its own. calls tells what was reported since it was last asked, after the
// time that an edit may take.
func watched(t *testing.T, dir string, do func(t *testing.T, calls func() []report)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var got []report
		done := make(chan struct{})
		go func() {
			defer close(done)
			Watch(ctx, dir, func(b *Bundle, err error) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, report{b, err, time.Now()})
			})
		}()
		do(t, func() []report {
			time.Sleep(2 * watchEvery)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			defer func() { got = nil }()
			return got
		})
		cancel()
		<-done
	})
}

func wantBundle(t *testing.T, step string, got []report) *Bundle {
	t.Helper()
	if len(got) != 1 || got[0].bundle == nil || got[0].err != nil {
		t.Fatalf("%s: reported %+v; want one bundle", step, got)
	}
	return got[0].bundle
}

func wantError(t *testing.T, step string, got []report, pieces ...string) {
	t.Helper()
	if len(got) != 1 || got[0].bundle != nil {
		t.Fatalf("%s: reported %+v; want one error", step, got)
	}
	wantPieces(t, got[0].err, pieces...)
}

func wantNothing(t *testing.T, step string, got []report) {
	t.Helper()
	if len(got) != 0 {
		t.Fatalf("%s: reported %+v; want nothing", step, got)
	}
}

// gateway#2837, gateway#5366, as far as they lie here: each state is reported once, and a broken or emptied one as an error that replaces nothing.
func TestWatch(t *testing.T) {
	dir := dirOf(t, files{"a.rego": valid})
	watched(t, dir, func(t *testing.T, calls func() []report) {
		first := wantBundle(t, "start", calls())
		wantNothing(t, "no change", calls())

		write(t, dir, "a.rego", valid+"x :=\n")
		wantError(t, "broken", calls(), "a.rego:", "rego_parse_error")
		wantNothing(t, "still broken", calls())
		write(t, dir, "a.rego", valid+"y :=\n")
		wantError(t, "broken in another way", calls(), "y :=")
		write(t, dir, "a_test.rego", "package t\ntest_no if false\n")
		write(t, dir, "a.rego", valid)
		wantError(t, "failing test", calls(), "test_no failed")

		remove(t, filepath.Join(dir, "a_test.rego"))
		if again := wantBundle(t, "file removed", calls()); again.Digest() != first.Digest() {
			t.Error("the same files have another digest")
		}
		write(t, dir, "a.rego", valid+"\n")
		if next := wantBundle(t, "one byte", calls()); next.Digest() == first.Digest() {
			t.Error("other files have the same digest")
		}
		write(t, dir, "notes.txt", "x")
		touch(t, filepath.Join(dir, "a.rego"))
		wantNothing(t, "nothing that counts", calls())
		remove(t, filepath.Join(dir, "a.rego"))
		wantError(t, "emptied", calls(), "no .rego file")
		wantNothing(t, "still empty", calls())
	})
}

func TestWatchMissingDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	watched(t, dir, func(t *testing.T, calls func() []report) {
		wantError(t, "missing", calls(), "no such file")
		wantNothing(t, "still missing", calls())
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		wantError(t, "empty", calls(), "no .rego file")
		write(t, dir, "a.rego", valid)
		wantBundle(t, "there", calls())
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		wantError(t, "gone", calls(), "no such file")
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		wantBundle(t, "back, unchanged", calls())
	})
}

// Kubernetes shows a ConfigMap's files as links through ..data, which it swaps; nothing in the directory itself changes.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "a.rego", text)
		link(t, name, filepath.Join(dir, "..tmp"))
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..2027_01", valid)
	link(t, filepath.Join("..data", "a.rego"), filepath.Join(dir, "a.rego"))
	watched(t, dir, func(t *testing.T, calls func() []report) {
		first := wantBundle(t, "start", calls())
		version("..2027_02", valid+"\n")
		if next := wantBundle(t, "swapped", calls()); next.Digest() == first.Digest() {
			t.Error("the swap was not seen")
		}
	})
}

// An edit of the same length within the grain of the file's time is seen too.
func TestWatchSameSizeAndTime(t *testing.T) {
	dir := dirOf(t, files{"a.rego": valid + "x := 1\n"})
	at := time.Unix(1_800_000_000, 0)
	path := filepath.Join(dir, "a.rego")
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	watched(t, dir, func(t *testing.T, calls func() []report) {
		wantBundle(t, "start", calls())
		if err := os.WriteFile(path, []byte(valid+"x := 2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		wantNothing(t, "not seen from outside", calls())
		time.Sleep(readEvery)
		wantBundle(t, "edited", calls())
	})
}

// A file that is written in place, in pieces, is not loaded before its writer has paused, although each piece compiles.
func TestWatchHalfWritten(t *testing.T) {
	dir := dirOf(t, files{"a.rego": valid})
	watched(t, dir, func(t *testing.T, calls func() []report) {
		wantBundle(t, "start", calls())
		f, err := os.Create(filepath.Join(dir, "a.rego"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, piece := range []string{head, nothing, open, "x := 1\n", "y := 2\n", "z := 3\n"} {
			if _, err := f.WriteString(piece); err != nil {
				t.Fatal(err)
			}
			time.Sleep(settleTime / 2)
		}
		b := wantBundle(t, "whole", calls())
		if want := mustLoad(t, dir).Digest(); b.Digest() != want {
			t.Errorf("digest %s, want %s", b.Digest(), want)
		}
	})
}

// A state that did not outlive its own loading is not reported.
func TestStill(t *testing.T) {
	dir := dirOf(t, files{"a.rego": valid})
	s := look(dir)
	if !s.still() {
		t.Error("nothing changed, and the state is not still")
	}
	write(t, dir, "a.rego", valid+"\n")
	if s.still() {
		t.Error("the file changed, and the state is still")
	}
	b, err := s.load(t.Context())
	if err != nil || b.Digest() != s.id {
		t.Errorf("load = %v, %v; want the state that was read", b, err)
	}
}

// What was caught in motion is looked at again soon, also where nothing is left to see.
func TestWatchEmptiedInMotion(t *testing.T) {
	dir := dirOf(t, files{"a.rego": valid, "b.rego": "package b\n"})
	watched(t, dir, func(t *testing.T, calls func() []report) {
		wantBundle(t, "start", calls())
		remove(t, filepath.Join(dir, "b.rego"))
		time.Sleep(watchEvery + settleTime/2)
		remove(t, filepath.Join(dir, "a.rego"))
		time.Sleep(2*watchEvery + 2*settleTime)
		wantError(t, "emptied", calls(), "no .rego file")
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if !sleep(ctx, -1) {
		t.Error("no time left, and the context lives")
	}
	cancel()
	for range 100 {
		if sleep(ctx, -1) {
			t.Fatal("the context has ended")
		}
	}
}

func TestWatchIsQuick(t *testing.T) {
	dir := dirOf(t, files{"a.rego": valid})
	watched(t, dir, func(t *testing.T, calls func() []report) {
		wantBundle(t, "start", calls())
		for i, wait := range []time.Duration{0, 1, watchEvery / 3, watchEvery / 2, watchEvery - 1} {
			time.Sleep(wait)
			begin := time.Now()
			write(t, dir, "a.rego", valid+string(rune('a'+i))+" := 1\n")
			got := calls()
			wantBundle(t, "edit", got)
			if d := got[0].at.Sub(begin); d > watchEvery+settleTime {
				t.Errorf("reported after %v, beside the time of loading", d)
			}
		}
	})
}

func TestWatchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	Watch(ctx, t.TempDir(), func(b *Bundle, err error) { t.Errorf("reported %v, %v after the end", b, err) })
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Unix(1_900_000_000, 0)); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
