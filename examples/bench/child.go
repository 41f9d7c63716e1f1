package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// childWord is the first argument of this program where it runs as a part of what is measured: a process of its own has a CPU clock of its own.
const childWord = "as-child"

// runChild serves until SIGTERM. It takes no flags, so that the binary of a test can be re-executed too.
func runChild(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := fmt.Errorf("bench: a child wants a part and its arguments, not %q", args)
	switch {
	case len(args) >= 2 && args[0] == "noop":
		err = serveNoOp(ctx, args[1:])
	case len(args) == 4 && args[0] == "profiled":
		err = serveProfiled(ctx, args[1], args[2], args[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child is a process that was started here.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// startSelf re-executes this program as one of the parts of runChild.
func startSelf(log string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return startChild(log, self, append([]string{childWord}, args...)...)
}

// startChild starts a process that is killed when this one dies. Its output goes to the log.
func startChild(log, binary string, args ...string) (*child, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer file.Close()
	c := &child{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = file, file
	c.cmd.SysProcAttr = dieWithParent()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the death signal comes when the thread that started it ends, so this one lives as long as the child
		defer close(c.done)
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // why it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("bench: starting %s: %w", filepath.Base(binary), err)
	}
	return c, nil
}

// stop asks the child to end, and waits.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		_ = c.cmd.Process.Kill()
	}
}

// waitSocket waits until the child accepts connections at a unix socket.
func (c *child) waitSocket(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.done:
			return fmt.Errorf("bench: %s ended at once", c.cmd.Args)
		case <-ctx.Done():
			return fmt.Errorf("bench: %s does not listen: %w", c.cmd.Args, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
