package main

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the user and system time that a process has used in all its threads, those that have ended included. It is read from the
// process's own CPU clock (clock_getcpuclockid(3)), which the scheduler advances in nanoseconds; the fields of /proc/PID/stat, in ticks of
// 10 ms, would be off by several per cent over the shorter rounds.
func cpuTime(pid int) (time.Duration, error) {
	const perProcessScheduler = 2 // CPUCLOCK_SCHED of a process: the low three bits of the clock id that the kernel makes of a pid
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcessScheduler), &t); err != nil {
		return 0, fmt.Errorf("bench: the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// threadTime is the same of the thread that asks.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("bench: the CPU clock of a thread: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
