package world

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
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

// program is how one of our daemons is started.
type program struct {
	part, binary, config string
	admin                int
	args                 []string // before -config; mostly none
}

// stage is when it starts: each stage begins when all of the one before can do their work.
func (p program) stage() int {
	if p.binary == "oidcprovider" { // it reads keys of extauthz
		return 1
	}
	return 0
}

// programs are the daemons of an isolated cloud.
func (c *Cloud) programs() []program {
	return []program{
		{c.Part("xds"), "xds", c.File(), c.ports.xds, nil},
		{c.Part("extauthz"), "extauthz", c.File(), c.ports.extauth, nil},
		{c.Part("oidcprovider"), "oidcprovider", c.File(), c.ports.oauth, nil},
	}
}

// programs are the daemons of the commercial side.
func (p *Platform) programs() []program {
	all := []program{{"xds-commercial", "xds", p.file, p.ports.xds, nil}, {"extauthz-commercial", "extauthz", p.file, p.ports.extauth, nil}}
	for _, id := range sidecars() {
		all = append(all, program{"extauthz-" + string(topology.EgressRole(id)), "extauthz", p.file, p.ports.sidecarAdmins[id], []string{"egress", id}})
	}
	return all
}

// proxy is how one Envoy is started.
type proxy struct {
	part    string
	role    topology.Role
	sockets string // of its control plane
}

func (c *Cloud) proxies() []proxy {
	return []proxy{{c.Part("envoy-ingress"), topology.Ingress, c.sockets}, {c.Part("envoy-gateway"), topology.Gateway, c.sockets}}
}

func (p *Platform) proxies() []proxy {
	all := []proxy{{"envoy-edge", topology.Edge, p.sockets}, {"envoy-commercial", topology.Commercial, p.sockets}}
	for _, id := range sidecars() {
		role := topology.EgressRole(id)
		all = append(all, proxy{"envoy-" + string(role), role, p.sockets})
	}
	return all
}

// declare makes the parts, in the stages in which they start.
func (w *World) declare(ctx context.Context) error {
	cache, err := run.CacheDir()
	if err != nil {
		return err
	}
	envoy, err := run.Find(ctx, cache, w.Progress)
	if err != nil {
		return err
	}
	w.stages = make([][]*Part, 2)
	programs, proxies := w.Platform.programs(), w.Platform.proxies()
	for _, c := range w.clouds() {
		programs, proxies = append(programs, c.programs()...), append(proxies, c.proxies()...)
	}
	for _, p := range programs {
		w.part(p.stage(), p.part, func(ctx context.Context) (process, error) { return w.startDaemon(ctx, p) })
	}
	for _, p := range proxies {
		w.part(1, p.part, func(ctx context.Context) (process, error) { return w.startEnvoy(ctx, envoy, p) })
	}
	return nil
}

func (w *World) part(stage int, name string, start func(context.Context) (process, error)) {
	p := &Part{Name: name, start: start, again: func() { _ = w.writeManifest() }}
	w.Parts[name] = p
	w.stages[stage] = append(w.stages[stage], p)
}

func (w *World) startStage(ctx context.Context, stage int) error {
	return atOnce(w.stages[stage], func(p *Part) error {
		if err := p.Start(ctx); err != nil {
			return err
		}
		if envoy, ok := p.running.(*run.Envoy); ok {
			return envoy.WaitLive(ctx)
		}
		return nil
	})
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

func (w *World) startDaemon(ctx context.Context, p program) (process, error) {
	log, err := os.OpenFile(w.logFile(p.part), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(w.binaries(), p.binary), append(slices.Clone(p.args), "-config", p.config)...)
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
	if err := w.waitReady(ctx, c, p); err != nil {
		_ = c.Kill()
		return nil, err
	}
	return c, nil
}

// waitReady asks a daemon until it says that it can do its work.
func (w *World) waitReady(ctx context.Context, c *child, p program) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+local(p.admin)+"/readyz", nil)
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
			return fmt.Errorf("it ended at once; its log:\n%s", w.tail(p.part))
		case <-ctx.Done():
			return fmt.Errorf("it is not ready after %s; its log:\n%s", readyWithin, w.tail(p.part))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *World) logFile(part string) string { return filepath.Join(w.Dir, "log", part+".log") }

func (w *World) tail(part string) []byte {
	raw, err := os.ReadFile(w.logFile(part))
	if err != nil {
		return []byte(err.Error())
	}
	return raw[max(0, len(raw)-4096):]
}

// adminSocket is where the running Envoy of a part can be asked. Two of them may run side by side while one replaces the other, so each start
// has its own.
func (w *World) adminSocket(part string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return filepath.Join(w.base, fmt.Sprintf("%s-%d.sock", part, w.starts[part]))
}

func (w *World) startEnvoy(ctx context.Context, binary string, p proxy) (process, error) {
	w.mu.Lock()
	w.starts[p.part]++
	w.mu.Unlock()
	admin := w.adminSocket(p.part)
	config, err := bootstrap.For(bootstrap.Options{
		Role: p.role, NodeID: string(p.role) + "-1", AdminSocket: admin, XDSSocket: topology.Cloud{Sockets: daemon.Path(p.sockets)}.XDSSocket(p.role),
	})
	if err != nil {
		return nil, err
	}
	return run.Start(context.WithoutCancel(ctx), run.Options{ // it ends in its turn, with Stop
		Binary: binary, Bootstrap: config, AdminSocket: admin, Dir: filepath.Join(w.Dir, "log"), Name: p.part,
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

// EnvoyAdmin asks the Envoy of a part, such as envoy-edge for /config_dump.
func (w *World) EnvoyAdmin(ctx context.Context, part, path string) ([]byte, error) {
	p := w.Parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	envoy, ok := p.running.(*run.Envoy)
	if !ok {
		return nil, fmt.Errorf("world: no Envoy runs as %s", part)
	}
	return envoy.Admin(ctx, "GET", path)
}
