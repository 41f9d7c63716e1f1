package world

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"isogate/envoy/bootstrap"
	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
)

// readyWithin is how long a daemon may take until it is ready.
const readyWithin = time.Minute

// build compiles the daemons. With the race detector on here, it is on in them too.
func (w *World) build(ctx context.Context) error {
	args := []string{"build", "-o", w.binaries() + string(filepath.Separator)}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./extauthz", "./xds", "./oidcprovider")...)
	cmd.Dir = w.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (w *World) binaries() string {
	if raceDetector {
		return filepath.Join(w.Root, ".bin", "race")
	}
	return filepath.Join(w.Root, ".bin")
}

// daemons says how each daemon is started.
func (w *World) daemon(name string) (binary, config string, admin int) {
	switch name {
	case "xds":
		return "xds", w.File(), w.ports.xds
	case "xds-commercial":
		return "xds", w.commercial(), w.ports.commercial
	case "oidcprovider":
		return "oidcprovider", w.File(), w.ports.oauth
	default:
		return "extauthz", w.File(), w.ports.extauth
	}
}

func (w *World) startDaemons(ctx context.Context, names ...string) error {
	for _, name := range names {
		binary, config, admin := w.daemon(name)
		part := w.part(name, func(ctx context.Context) (process, error) {
			return w.startDaemon(ctx, name, binary, config, admin)
		})
		if err := part.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) part(name string, start func(context.Context) (process, error)) *Part {
	p := &Part{Name: name, start: start, again: func() { _ = w.writeManifest() }}
	w.Parts[name] = p
	w.order = append(w.order, p)
	return p
}

// child is a daemon of ours as a process of its own.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (c *child) Pid() int              { return c.cmd.Process.Pid }
func (c *child) Done() <-chan struct{} { return c.done }
func (c *child) Kill() error           { return c.cmd.Process.Kill() }

// Stop sends SIGTERM, waits for the drain, and kills what did not end.
func (c *child) Stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-c.done:
		return nil
	case <-time.After(20 * time.Second):
		return c.Kill()
	}
}

func (w *World) startDaemon(ctx context.Context, name, binary, config string, admin int) (process, error) {
	log, err := os.OpenFile(w.logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(w.binaries(), binary), "-config", config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// A process whose parent's thread ends gets its death signal, so the thread that starts it must live as long as it does.
		runtime.LockOSThread()
		defer close(c.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // why it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	if err := w.waitReady(ctx, c, name, admin); err != nil {
		_ = c.Kill()
		return nil, err
	}
	return c, nil
}

// waitReady asks a daemon until it says that it can do its work.
func (w *World) waitReady(ctx context.Context, c *child, name string, admin int) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+local(admin)+"/readyz", nil)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-c.done:
			return fmt.Errorf("it ended at once; its log:\n%s", w.tail(name))
		case <-ctx.Done():
			return fmt.Errorf("it is not ready after %s; its log:\n%s", readyWithin, w.tail(name))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *World) logFile(name string) string { return filepath.Join(w.Dir, "log", name+".log") }

func (w *World) tail(name string) []byte {
	raw, err := os.ReadFile(w.logFile(name))
	if err != nil {
		return []byte(err.Error())
	}
	return raw[max(0, len(raw)-4096):]
}

func (w *World) startEnvoys(ctx context.Context) error {
	cache, err := run.CacheDir()
	if err != nil {
		return err
	}
	binary, err := run.Find(ctx, cache, w.Progress)
	if err != nil {
		return err
	}
	for _, role := range roles {
		part := w.part("envoy-"+string(role), func(ctx context.Context) (process, error) { return w.startEnvoy(ctx, binary, role) })
		if err := part.Start(ctx); err != nil {
			return err
		}
		if err := part.running.(*run.Envoy).WaitLive(ctx); err != nil {
			return err
		}
	}
	return nil
}

// adminSocket is where the running Envoy of a role can be asked. Two of them may run side by side while one replaces the other, so each start
// has its own.
func (w *World) adminSocket(role topology.Role) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return filepath.Join(w.sockets, fmt.Sprintf("admin-%s-%d.sock", role, w.starts[role]))
}

func (w *World) startEnvoy(ctx context.Context, binary string, role topology.Role) (process, error) {
	w.mu.Lock()
	w.starts[role]++
	w.mu.Unlock()
	admin := w.adminSocket(role)
	config, err := bootstrap.For(bootstrap.Options{
		Role: role, NodeID: string(role) + "-1", AdminSocket: admin, XDSSocket: topology.Cloud{Sockets: daemon.Path(w.sockets)}.XDSSocket(role),
	})
	if err != nil {
		return nil, err
	}
	return run.Start(context.WithoutCancel(ctx), run.Options{ // it ends in its turn, with Stop
		Binary: binary, Bootstrap: config, AdminSocket: admin, Dir: filepath.Join(w.Dir, "log"), Name: "envoy-" + string(role),
		Concurrency: 1, DrainTime: drainTime,
	})
}

// drainTime is how long an Envoy that is replaced goes on answering, while it tells its clients to connect anew.
const drainTime = 3 * time.Second

// ReplaceEnvoy puts a new Envoy of a role in the place of the running one, without a gap: both listen on the same port while the old one
// drains. An edge cannot tell the clients of its connections anything, since it does not decrypt them: it waits, and then cuts what is left.
func (w *World) ReplaceEnvoy(ctx context.Context, role topology.Role) error {
	return w.Parts["envoy-"+string(role)].Replace(ctx, func(old, fresh process) error {
		if err := fresh.(*run.Envoy).WaitLive(ctx); err != nil {
			return err
		}
		if _, err := old.(*run.Envoy).Admin(ctx, "POST", "/drain_listeners?graceful"); err != nil {
			return err
		}
		time.Sleep(drainTime + time.Second)
		return nil
	})
}
