package run

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soon bounds what takes a second at most on an idle machine.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWaitLive(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	controlPlane(t, o, "first")
	e := mustStart(t, o)
	if err := e.WaitLive(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := e.WaitListener(soon(t), "first"); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := e.WaitListener(short, "second"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "last seen: the listeners [{first}]") {
		t.Errorf("waiting for a listener that does not come: %v", err)
	}
}

// Without a control plane, Envoy gives up waiting for clusters and then for listeners, here 1 s each, and then calls itself LIVE.
func TestWaitLiveWithoutAControlPlane(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	o.Bootstrap = bytes.ReplaceAll(o.Bootstrap, []byte(`"initial_fetch_timeout": "5s"`), []byte(`"initial_fetch_timeout": "1s"`))
	e := mustStart(t, o)
	short, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	err := e.WaitLive(short)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "last seen: state PRE_INITIALIZING") || !strings.Contains(err.Error(), "initializing cds") {
		t.Errorf("before Envoy gives up: %v", err)
	}
	eventually(t, "LIVE", func() bool {
		info, err := e.Admin(t.Context(), http.MethodGet, "/server_info")
		return err == nil && strings.Contains(string(info), `"LIVE"`)
	})
	short, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err = e.WaitLive(short)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "last seen: state LIVE, but no listeners from its control plane") {
		t.Errorf("after Envoy gave up: %v", err)
	}
	if err := e.Err(); err != nil {
		t.Errorf("it runs, but: %v", err)
	}
}

func TestWaitLiveWithAStaticBootstrap(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	o.Bootstrap = []byte("admin: {address: {pipe: {path: " + o.AdminSocket + "}}}\n")
	e := mustStart(t, o)
	if err := e.WaitLive(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestBadBootstrap(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, bootstrap, want string }{
		{"unknown field", `{"nod": {}}`, "has unknown fields"},
		{"not even JSON", `{"node": `, "end of map flow not found"},
		{"a broken rule", `{"admin": {"address": {"pipe": {"path": ""}}}}`, "Proto constraint validation failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := setUp(t)
			if err := os.WriteFile(filepath.Join(o.Dir, o.Name+".log"), []byte("words of the last run\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			o.Bootstrap = []byte(tt.bootstrap)
			e := mustStart(t, o)
			err := e.WaitLive(soon(t))
			if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want Envoy's own words %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "words of the last run") {
				t.Errorf("%v holds lines of an earlier process", err)
			}
			log, readErr := os.ReadFile(e.LogFile())
			if readErr != nil || !strings.HasPrefix(string(log), "words of the last run\n") {
				t.Errorf("the log was not appended to: %q, %v", log, readErr)
			}
			if e.Err() == nil {
				t.Error("Err is nil after a failed start")
			}
		})
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	controlPlane(t, o, "first")
	e := mustStart(t, o)
	if err := e.WaitLive(soon(t)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
	<-e.Done()
	if err := errors.Join(e.Err(), e.Kill()); err != nil {
		t.Errorf("after Stop: %v", err)
	}
	if answers(e.AdminSocket()) {
		t.Error("it still answers")
	}
	if err := e.WaitLive(soon(t)); !errors.Is(err, errStopped) {
		t.Errorf("waiting for one that was stopped: %v", err)
	}
}

func TestStopBeforeItCouldListen(t *testing.T) {
	t.Parallel()
	e := mustStart(t, setUp(t))
	if err := errors.Join(e.Stop(), e.Err()); err != nil {
		t.Error(err)
	}
}

func TestStopKillsOneThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	o.Binary = filepath.Join(o.Dir, "deaf")
	script(t, o.Binary, "trap '' TERM; echo deaf; while :; do /bin/sleep 0.1; done")
	e := mustStart(t, o)
	eventually(t, "the script runs", func() bool { return tail(e.log, 0) == "deaf" })
	if err := e.Stop(); err == nil || !strings.Contains(err.Error(), "did not end within 5s") {
		t.Errorf("Stop: %v", err)
	}
	if e.Err() == nil {
		t.Error("Err is nil, though it was killed")
	}
}

func TestTheContextEndsIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	e, err := Start(ctx, setUp(t))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-e.Done()
	if err := e.Err(); err != nil {
		t.Error(err)
	}
	if _, err := Start(ctx, setUp(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("starting with a context that has ended: %v", err)
	}
}

func TestKillAndStartAgain(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	controlPlane(t, o, "first")
	for range 2 {
		e := mustStart(t, o)
		if err := e.WaitLive(soon(t)); err != nil {
			t.Fatal(err) // the second time, over the socket that the first one left behind
		}
		if err := e.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := e.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("Err: %v", err)
		}
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	controlPlane(t, o, "first")
	e := mustStart(t, o)
	if err := e.WaitLive(soon(t)); err != nil {
		t.Fatal(err)
	}
	if body, err := e.Admin(t.Context(), http.MethodGet, "/ready"); err != nil || string(body) != "LIVE\n" {
		t.Errorf("/ready: %q, %v", body, err)
	}
	if _, err := e.Admin(t.Context(), http.MethodPost, "/healthcheck/fail"); err != nil {
		t.Errorf("POST: %v", err)
	}
	if body, err := e.Admin(t.Context(), http.MethodGet, "/ready"); body != nil || err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: DRAINING") {
		t.Errorf("/ready when it drains: %q, %v", body, err)
	}
	info, err := os.Stat(e.AdminSocket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the admin socket: %v, %v", info, err)
	}
}

func TestItsProcess(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	controlPlane(t, o, "first")
	started := make(chan *Envoy)
	go func() {
		runtime.LockOSThread() // and end with it: the thread ends too, and must not take the process with it
		e, err := Start(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		started <- e
	}()
	e := <-started
	if e == nil {
		return
	}
	t.Cleanup(func() { _ = e.Kill() })
	if err := e.WaitLive(soon(t)); err != nil {
		t.Fatal(err)
	}
	if group, err := syscall.Getpgid(e.Pid()); err != nil || group != e.Pid() {
		t.Errorf("process %d is in group %d, %v: an interrupt at the terminal would end it", e.Pid(), group, err)
	}
}

func TestStartRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no binary", func(o *Options) { o.Binary = "" }, "a binary is required"},
		{"an absent binary", func(o *Options) { o.Binary = "/nonexistent/envoy" }, "no such file"},
		{"no bootstrap", func(o *Options) { o.Bootstrap = nil }, "a bootstrap is required"},
		{"no folder", func(o *Options) { o.Dir = "" }, "a folder is required"},
		{"no admin socket", func(o *Options) { o.AdminSocket = "" }, "path of the admin socket is required"},
		{"no name", func(o *Options) { o.Name = "" }, `the name ""`},
		{"a name elsewhere", func(o *Options) { o.Name = "../ingress" }, `the name "../ingress"`},
		{"a name above", func(o *Options) { o.Name = ".." }, `the name ".."`},
		{"negative concurrency", func(o *Options) { o.Concurrency = -1 }, "cannot be negative"},
		{"negative drain time", func(o *Options) { o.DrainTime = -1 }, "cannot be negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Binary: "/bin/sh", Bootstrap: []byte("{}"), AdminSocket: filepath.Join(dir, "admin.sock"), Dir: dir, Name: "ingress"}
			tt.change(&o)
			e, err := Start(t.Context(), o)
			if e != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want %q", e, err, tt.want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	tests := []struct {
		name string
		in   Options
		want string
		not  string
	}{
		{"default drain time", Options{}, "--drain-time-s 10 ", "--concurrency"},
		{"drain time", Options{DrainTime: 3 * time.Second}, "--drain-time-s 3 ", "--concurrency"},
		{"drain time below a second", Options{DrainTime: time.Millisecond}, "--drain-time-s 1 ", "--concurrency"},
		{"concurrency", Options{Concurrency: 2}, "--concurrency 2", "--hot-restart"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(tt.in.flags("/x.yaml"), " ")
			if !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
				t.Errorf("got %s, want %q and not %q", got, tt.want, tt.not)
			}
		})
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	lines := strings.Repeat("x\n", 100)
	long := strings.Repeat("y", 2*tailBytes)
	tests := []struct {
		name string
		log  string
		from int64
		want string
	}{
		{"empty", "", 0, ""},
		{"few", "a\nb\n", 0, "a\nb"},
		{"not before the offset", "a\nb\n", 2, "b"},
		{"forty", lines, 0, strings.TrimSpace(strings.Repeat("x\n", 40))},
		{"bounded", long, 0, long[:tailBytes]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.log), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := tail(path, tt.from); got != tt.want {
				t.Errorf("got %d bytes %.80q, want %d bytes %.80q", len(got), got, len(tt.want), tt.want)
			}
		})
	}
}
