package run

import "syscall"

// attributes put the process into a group of its own and have the kernel kill it when its parent dies, whatever the parent dies of.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
