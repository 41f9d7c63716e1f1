package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is what fits into the 108 bytes of a sockaddr_un before its ending zero (unix(7)).
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
	listener, err := listenPrivate(fresh)
	if err != nil {
		return nil, fmt.Errorf("daemon: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		_ = listener.Close()
		_ = os.Remove(fresh)
		return nil, fmt.Errorf("daemon: %w", err)
	}
	return listener, nil
}

// listenPrivate binds a socket that nobody else can ever connect to: Linux makes the file with the mode that the socket has before bind, so
// that not even a umask of 0 opens it for a moment. Other systems know no mode of a socket, hence the second chmod.
func listenPrivate(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	bound, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	listener := bound.(*net.UnixListener)
	listener.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}
