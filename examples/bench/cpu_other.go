//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

func cpuTime(int) (time.Duration, error) {
	return 0, errors.New("bench: the CPU time of another process is read from its CPU clock, which only Linux has")
}

func threadTime() (time.Duration, error) { return cpuTime(0) }

func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
