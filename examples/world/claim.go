package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const lockName = "lock"

// claim keeps the folder for this world, since a start empties it, and looks at what a person gave before it does. The lock goes with the
// process, however that ends.
func (w *World) claim() error {
	if w.Clients != "" {
		if _, err := os.Stat(w.Clients); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(w.Dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(w.Dir, lockName), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("a world runs in %s already: end it first, or use a second clone", w.Dir)
		}
		return err
	}
	w.lock = lock
	return nil
}
