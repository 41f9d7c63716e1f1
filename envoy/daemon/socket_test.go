package daemon

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestListenUnixMode(t *testing.T) {
	old := syscall.Umask(0) // the worst that there is
	defer syscall.Umask(old)
	path := filepath.Join(shortDir(t), "new", "a.sock")
	listen(t, path)
	socket, err := os.Stat(path)
	if err != nil || socket.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("socket: %v, %v", socket.Mode(), err)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", folder.Mode(), err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// On Linux the socket is private from its first moment: nobody connects between bind and chmod.
func TestListenUnixIsPrivateAtBind(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := shortDir(t)
	stop, opened := make(chan struct{}), make(chan bool, 1)
	go func() {
		wide := false
		for {
			select {
			case <-stop:
				opened <- wide
				return
			default:
			}
			entries, _ := os.ReadDir(dir)
			for _, entry := range entries {
				info, err := entry.Info()
				wide = wide || err == nil && info.Mode()&fs.ModeSocket != 0 && info.Mode().Perm()&0o077 != 0
			}
		}
	}()
	for range 300 {
		l, err := ListenUnix(filepath.Join(dir, "a.sock"))
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	close(stop)
	if <-opened {
		t.Error("the socket was open to others for a moment")
	}
}

// While one process takes over from another, a client that dials in a loop is never refused.
func TestListenUnixReplacesWithoutAGap(t *testing.T) {
	path := filepath.Join(shortDir(t), "a.sock")
	accept := func(l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}
	current := listen(t, path)
	go accept(current)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					if n == 0 {
						t.Error("not one dial")
					}
					return
				default:
				}
				conn, err := net.DialTimeout("unix", path, 5*time.Second)
				if err != nil {
					t.Errorf("dial %d: %v", n, err)
					return
				}
				_, _ = conn.Read(make([]byte, 1)) // until it is closed, or the queue of the listener would fill up
				_ = conn.Close()
			}
		})
	}
	for range 200 {
		next := listen(t, path)
		go accept(next)
		_ = current.Close()
		current = next
		time.Sleep(time.Millisecond)
	}
	close(stop)
	clients.Wait()
}

func TestListenUnixOldCloseKeepsTheNewSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "a.sock")
	first := listen(t, path)
	second := listen(t, path)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if got, err := second.Accept(); err != nil {
		t.Errorf("the new listener: %v", err)
	} else {
		_ = got.Close()
	}
}

// In two containers both processes may have the number 1: the close of the old one must not remove the name under which the new one has just
// bound.
func TestListenUnixCloseRemovesNothing(t *testing.T) {
	path := filepath.Join(shortDir(t), "a.sock")
	l := listen(t, path)
	successor := l.Addr().String()
	put(t, successor, "")
	_ = l.Close()
	for _, name := range []string{path, successor} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// What a process that died left behind is in nobody's way.
func TestListenUnixReplacesWhatIsStale(t *testing.T) {
	path := filepath.Join(shortDir(t), "a.sock")
	_ = listen(t, path).Close()
	listen(t, path)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestListenUnixErrors(t *testing.T) {
	dir := shortDir(t)
	put(t, filepath.Join(dir, "file"), "")
	must(t, os.MkdirAll(filepath.Join(dir, "taken", "x"), 0o700))
	long := filepath.Join(dir, strings.Repeat("x", 100), "a.sock")
	tests := []struct{ name, path, want string }{
		{"too long", long, "is too long: a unix socket has at most 107 bytes; use a shorter folder"},
		{"below a file", filepath.Join(dir, "file", "a.sock"), "daemon: making the folder of a socket"},
		{"a folder in its place", filepath.Join(dir, "taken"), "daemon: rename"},
	}
	for _, tt := range tests {
		l, err := ListenUnix(tt.path)
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error = %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Dir(long)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a folder was made for a path that is too long")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "taken.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A path of exactly the longest length works, one byte more is our error and not the kernel's.
func TestListenUnixLongestPath(t *testing.T) {
	dir := shortDir(t)
	suffix := len(listen(t, filepath.Join(dir, "probe")).Addr().String()) - len(filepath.Join(dir, "probe"))
	name := strings.Repeat("x", maxSocketPath-suffix-len(dir)-1)
	listen(t, filepath.Join(dir, name))
	if _, err := ListenUnix(filepath.Join(dir, name+"x")); err == nil || !strings.Contains(err.Error(), "is too long") {
		t.Errorf("error = %v", err)
	}
}
