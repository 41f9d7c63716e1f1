package daemon

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// watchEvery is how often files are looked at. Looking costs a stat call for each; notifications would miss the symlink swaps of mounted
// secrets and every change on a network file system.
const watchEvery = 100 * time.Millisecond

// A Reload says what to do when any of some files or folders has changed. Do keeps the last good state when it returns an error.
type Reload struct {
	What  string          // a word for log, metric and status, such as "config"
	Files func() []string // looked at before each round, since a reload may name others
	Do    func() error
}

// Watch runs reloads when their files have changed and then stood still for one look, and has each result reported by Admin.Reloaded. A
// file or folder that is still being written may parse, with half of its rules gone. What counts as unchanged is what stood there at the
// call of Watch: call it before the files are read.
func Watch(log *slog.Logger, admin *Admin, reloads ...Reload) Unit {
	done := make([]string, len(reloads))
	for i, r := range reloads {
		done[i] = fingerprint(r.Files())
	}
	last := slices.Clone(done)
	return Unit{Name: "watch", Run: func(ctx context.Context) error {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			for i, r := range reloads {
				now := fingerprint(r.Files())
				if now == last[i] && now != done[i] {
					done[i] = now
					admin.Reloaded(log, r.What, r.Do())
				}
				last[i] = now
			}
		}
	}}
}

// fingerprint changes whenever one of the files, or a file directly inside one of the folders, may hold something else, or may have become
// readable.
func fingerprint(paths []string) string {
	hash := sha256.New()
	note := func(path string) os.FileInfo {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(hash, "%q absent\n", path)
			return nil
		}
		var inode uint64
		var user, group uint32
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			inode, user, group = sys.Ino, sys.Uid, sys.Gid
		}
		fmt.Fprintf(hash, "%q %d %d %d %s %d %d\n", path, info.Size(), info.ModTime().UnixNano(), inode, info.Mode(), user, group)
		return info
	}
	for _, path := range paths {
		if info := note(path); info != nil && info.IsDir() {
			entries, _ := os.ReadDir(path)
			for _, entry := range entries {
				note(filepath.Join(path, entry.Name()))
			}
		}
	}
	return string(hash.Sum(nil))
}
