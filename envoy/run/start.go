package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

const defaultDrain = 10 * time.Second

// Options say how to run one Envoy. All but Concurrency and DrainTime are required.
type Options struct {
	Binary      string        // as Find gives it
	Bootstrap   []byte        // JSON or YAML
	AdminSocket string        // the one that the bootstrap names
	Dir         string        // for the bootstrap and the log; made with mode 0700 if absent
	Name        string        // names the files, NAME.yaml and NAME.log, and the Envoy in errors
	Concurrency int           // worker threads; one for each core if 0
	DrainTime   time.Duration // whole seconds, rounded up, that a connection outlives the listener that a new one replaced; 10 s if 0
}

func (o Options) validate() error {
	var faults []error
	for _, need := range []struct{ what, value string }{
		{"binary", o.Binary}, {"bootstrap", string(o.Bootstrap)}, {"folder", o.Dir}, {"path of the admin socket", o.AdminSocket},
	} {
		if need.value == "" {
			faults = append(faults, fmt.Errorf("a %s is required", need.what))
		}
	}
	if o.Name == "" || o.Name != filepath.Base(o.Name) || !filepath.IsLocal(o.Name) {
		faults = append(faults, fmt.Errorf("the name %q must be one for a file", o.Name))
	}
	if o.Concurrency < 0 || o.DrainTime < 0 {
		faults = append(faults, errors.New("concurrency and drain time cannot be negative"))
	}
	return errors.Join(faults...)
}

// flags turn hot restart off, so that several run on one machine; drain replaced listeners without a gradual phase; and escape what
// strangers can put into the log. Envoy's main log below warnings is the list of all extensions, at each start; its HTTP log has an error line with
// address, path and query for each body that is too large, which anybody can cause.
func (o Options) flags(config string) []string {
	drain := o.DrainTime
	if drain == 0 {
		drain = defaultDrain
	}
	flags := []string{
		"-c", config,
		"--disable-hot-restart",
		"--drain-strategy", "immediate",
		"--drain-time-s", strconv.Itoa(int((drain + time.Second - 1) / time.Second)),
		"--file-flush-interval-msec", "100",
		"--log-level", "info",
		"--component-log-level", "main:warning,http:critical",
		"--log-format", "[%Y-%m-%d %T.%e][%l][%n] %v",
		"--log-format-escaped",
	}
	if o.Concurrency > 0 {
		flags = append(flags, "--concurrency", strconv.Itoa(o.Concurrency))
	}
	return flags
}

// Start writes the bootstrap, appends the process's output to its log, and returns once the process exists; WaitLive says when it serves.
// The process ends, as by Stop, when ctx does, and is killed when this process dies (on Linux). It stands in a process group of its own:
// an interrupt at the terminal does not reach it.
func Start(ctx context.Context, o Options) (*Envoy, error) {
	e, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("run: starting envoy %s: %w", o.Name, err)
	}
	go func() {
		select {
		case <-ctx.Done():
			_ = e.Stop() // the process is gone either way; Err tells how
		case <-e.done:
		}
	}()
	return e, nil
}

func start(ctx context.Context, o Options) (*Envoy, error) {
	if err := errors.Join(ctx.Err(), o.validate()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(o.Dir, o.Name+".yaml")
	if err := os.WriteFile(config, o.Bootstrap, 0o600); err != nil {
		return nil, err
	}
	e := &Envoy{name: o.Name, admin: o.AdminSocket, log: filepath.Join(o.Dir, o.Name+".log"), done: make(chan struct{})}
	e.client = &http.Client{Transport: &http.Transport{DialContext: e.dial, DisableKeepAlives: true}}
	log, from, err := openLog(e.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own descriptor
	e.from = from
	cmd := exec.Command(o.Binary, o.flags(config)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, attributes()
	return e, e.launch(cmd)
}

// launch starts the process and waits for its end on one thread, which it keeps until then: the death signal comes when the thread that
// started the process ends, and Go ends threads as it likes.
func (e *Envoy) launch(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		e.process = cmd.Process
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // the state below says all that the error does
		e.err = e.ending(cmd.ProcessState)
		close(e.done)
	}()
	return <-started
}
