package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace: loopback, and once it is joined to others one address.
type namespace struct {
	file    *os.File // it lives as long as this is open, or a process is in it
	address string
}

// newNamespace makes one whose loopback is up.
func newNamespace() (*namespace, error) {
	n := &namespace{}
	err := onOwnThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("no network namespace can be made: %w", err)
		}
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return errors.Join(err, ip("link set lo up"))
	})
	return n, err
}

// onOwnThread runs f on a thread that ends with it: its namespace is nobody else's.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// do runs f inside: the sockets that it opens, and the processes that it starts, are the namespace's.
func (n *namespace) do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// dial connects from inside. The address has no name to look up, which would be done on another thread.
func (n *namespace) dial(address string) (c net.Conn, err error) {
	err = n.do(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		c, err = new(net.Dialer).DialContext(ctx, "tcp", address)
		return err
	})
	return c, err
}

func (n *namespace) listen(address string) (l net.Listener, err error) {
	err = n.do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	return l, err
}

// listening are the addresses and ports on which something listens inside.
func (n *namespace) listening(t *testing.T) (out []string) {
	t.Helper()
	if err := n.do(func() error {
		lines, err := exec.Command("ss", "-Hltn").Output()
		for line := range strings.Lines(string(lines)) {
			if fields := strings.Fields(line); len(fields) > 3 {
				out = append(out, fields[3])
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// bridge makes a namespace into the network that others join.
func (n *namespace) bridge(addresses ...string) error {
	return n.do(func() error {
		err := errors.Join(ip("link add net0 type bridge"), ip("link set net0 up"))
		for _, address := range addresses {
			err = errors.Join(err, ip("addr add %s/24 dev net0", address))
		}
		return err
	})
}

// join connects another namespace to the bridge, under an address.
func (n *namespace) join(other *namespace, address string) error {
	other.address = address
	port := "port" + address[strings.LastIndexByte(address, '.')+1:]
	return errors.Join(
		n.do(func() error {
			return errors.Join(
				ip("link add %s type veth peer name eth0 netns /proc/%d/fd/%d", port, os.Getpid(), other.file.Fd()),
				ip("link set %s master net0 up", port))
		}),
		other.do(func() error {
			return errors.Join(ip("addr add %s/24 dev eth0", address), ip("link set eth0 up"))
		}))
}

func ip(format string, args ...any) error {
	command := fmt.Sprintf(format, args...)
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, out)
	}
	return nil
}
