package policies

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	watchEvery = 25 * time.Millisecond // how often a directory is looked at from outside
	settleTime = 25 * time.Millisecond // how long a directory must have stood still before what it holds counts
	readEvery  = time.Second           // how often it is read although nothing shows from outside
)

// Watch loads dir, calls changed with the outcome, and does so again each time the directory's content changes, until
// ctx ends. changed gets a bundle or an error, never both, from the goroutine that called Watch; it is called at once at
// the start and then once for each distinct content. An error leaves the caller with the bundle it has. A directory that is
// missing is one more content: Watch reports it once and takes up the directory when it comes.
//
// Contents are compared by digest. The directory is read when a name, size, time or inode of its files has changed, which is looked at 40 times a
// second, and once a second in any case: sizes and times miss an edit within the clock's grain. Notifications of the file system are not used.
// They are silent on network file systems and point at the wrong files when a ConfigMap swaps its symbolic link. An edit that renames a finished
// file into place is reported 50 ms later at the latest, or as much later as loading takes longer than settling.
//
// A file that is being written in place can be caught half-way, and half a policy may compile. A reading after the load, and no sooner than the
// time to settle, must therefore be equal to the one that was loaded before anything is reported. Writers should still rename a finished file into
// place.
func Watch(ctx context.Context, dir string, changed func(*Bundle, error)) {
	w := watcher{dir: dir, changed: changed}
	for ctx.Err() == nil {
		w.watch(ctx)
		sleep(ctx, watchEvery)
	}
}

// watcher remembers what it saw last.
type watcher struct {
	dir     string
	changed func(*Bundle, error)

	seen     string    // from outside
	read     time.Time // when the directory was read last
	reported string    // the state
	moving   bool      // the last state was gone before it counted
}

// watch looks once, and reports a state that is new and stands still.
func (w *watcher) watch(ctx context.Context) {
	outside := outsideOf(w.dir) // before the reading: a change between the two is seen the next time
	if outside == w.seen && time.Since(w.read) < readEvery {
		return
	}
	w.seen, w.read = outside, time.Now()
	s := look(w.dir)
	if s.id == w.reported {
		return
	}
	// What was caught in motion is left to rest before more work is spent on it.
	if w.moving && !(sleep(ctx, settleTime) && s.still()) {
		w.read = time.Time{}
		return
	}
	b, err := s.load(ctx)
	if !sleep(ctx, settleTime-time.Since(w.read)) { // a load that ctx ended says nothing of the policies
		return
	}
	if w.moving = !s.still(); w.moving {
		w.read = time.Time{}
		return
	}
	w.reported = s.id
	w.changed(b, err)
}

// outsideOf changes with nearly every change of what dir holds, and reads nothing.
func outsideOf(dir string) string {
	var all strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	for _, e := range entries {
		if !isPolicy(e.Name()) {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name())) // of what a symbolic link leads to
		if err != nil {
			fmt.Fprintf(&all, "%q: %v\n", e.Name(), err)
			continue
		}
		var inode uint64
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = sys.Ino
		}
		fmt.Fprintf(&all, "%q %d %d %d %s\n", e.Name(), info.Size(), info.ModTime().UnixNano(), inode, info.Mode())
	}
	return all.String()
}

// state is what a directory held at one moment. Equal ids mean equal content, or the same failure to read it.
type state struct {
	id  string
	src source
	err error
}

func look(dir string) state {
	src, err := read(dir)
	if err != nil {
		return state{id: "error: " + err.Error(), src: source{dir: dir}, err: err}
	}
	return state{id: src.digest, src: src}
}

// still tells whether the directory holds the same now.
func (s state) still() bool { return look(s.src.dir).id == s.id }

func (s state) load(ctx context.Context) (*Bundle, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.src.build(ctx, evalLimit)
}

// sleep reports false if ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err() == nil
}
