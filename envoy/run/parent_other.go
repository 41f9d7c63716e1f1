//go:build !linux

package run

import "syscall"

// attributes put the process into a group of its own. No other kernel tells it of its parent's death.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
