package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// maxSocketPath is what fits into a sockaddr_un, its ending zero included (unix(7)).
const maxSocketPath = 107

// ListenUnix binds a unix socket that only its owner may use (mode 0600). It listens beside the path and is then renamed over it, so a
// process that replaces another one leaves no moment without a listener; and the process that is replaced does not delete its successor's
// socket when it ends.
func ListenUnix(path string) (net.Listener, error) {
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if len(fresh) > maxSocketPath {
		return nil, fmt.Errorf("daemon: the socket path %s is too long: a unix socket has at most %d bytes; use a shorter folder", fresh, maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("daemon: making the folder of a socket: %w", err)
	}
	_ = os.Remove(fresh)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("daemon: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	if err := os.Chmod(fresh, 0o600); err != nil {
		return nil, fmt.Errorf("daemon: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return nil, fmt.Errorf("daemon: %w", err)
	}
	return listener, nil
}
