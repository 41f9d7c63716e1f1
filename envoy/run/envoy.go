package run

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTime is how long an Envoy may take to end after SIGTERM. It does not drain then: whatever stands before it drains first.
const stopTime = 5 * time.Second

// Envoy is a process that Start started. Its methods may be called at any time and by several at once.
type Envoy struct {
	name    string
	admin   string
	log     string
	from    int64 // where this process's lines begin in the log
	client  *http.Client
	process *os.Process

	asked atomic.Bool   // somebody called Stop
	done  chan struct{} // closed when the process was waited for
	err   error         // set before done is closed
}

// Pid is the process's id.
func (e *Envoy) Pid() int { return e.process.Pid }

// AdminSocket is the path of the socket that Admin asks.
func (e *Envoy) AdminSocket() string { return e.admin }

// LogFile is the path of the file that holds what this and earlier processes of that name printed.
func (e *Envoy) LogFile() string { return e.log }

// Done is closed when the process has ended.
func (e *Envoy) Done() <-chan struct{} { return e.done }

// Err is nil while the process runs and when it ended because Stop or the context of Start asked it to. Else it says how it ended.
func (e *Envoy) Err() error {
	select {
	case <-e.done:
	default:
		return nil
	}
	if e.err == nil {
		return nil
	}
	return fmt.Errorf("run: envoy %s %w", e.name, e.err)
}

func (e *Envoy) ending(state *os.ProcessState) error {
	if e.asked.Load() && (state.Success() || signalled(state, syscall.SIGTERM)) {
		return nil // the signal itself ends an Envoy that has not yet come to handle it
	}
	return fmt.Errorf("ended: %s (log: %s)", state, e.log)
}

func signalled(state *os.ProcessState, by syscall.Signal) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == by
}

// Stop ends the process and returns when it is gone: SIGTERM first, SIGKILL after 5 s, which is an error. A process that is gone already
// is none, so Stop may be called again.
func (e *Envoy) Stop() error {
	e.asked.Store(true)
	if err := e.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-e.done:
		return nil
	case <-time.After(stopTime):
	}
	if err := e.Kill(); err != nil {
		return err
	}
	return fmt.Errorf("run: envoy %s did not end within %s and was killed (log: %s)", e.name, stopTime, e.log)
}

// Kill ends the process as a crash would, with SIGKILL, and returns when it is gone.
func (e *Envoy) Kill() error {
	if err := e.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-e.done
	return nil
}

func (e *Envoy) signal(s syscall.Signal) error {
	if err := e.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("run: sending %s to envoy %s: %w", s, e.name, err)
	}
	return nil
}
