package kubernetes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// pod is what a kubelet would make of a Deployment: a network namespace, volumes, and containers that see nothing else of the machine.
type pod struct {
	*namespace
	of      *appsv1.Deployment
	dir     string // volumes, and what the containers write out
	etc     string // folder of the files of /etc that each container gets
	running []*process
}

// process is a container that was started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended
}

func (p *process) wait() error {
	<-p.ended
	return p.err
}

// programs are the files that the images hold, by their paths there.
type programs map[string]string

// run starts one container. Its user, its groups, its read-only root and its mounts are those of the manifest.
func (p *pod) run(c corev1.Container, have programs) (*process, error) {
	script, err := p.script(c, have)
	if err != nil {
		return nil, err
	}
	log, err := p.logged(c)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", "-euc", script, "sh")
	command := c.Command
	if len(command) == 0 {
		command = []string{"/usr/local/bin/" + imageOf(c)}
	}
	cmd.Args = append(cmd.Args, slices.Concat(command, c.Args)...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin", imageVariable + "=" + imageOf(c)}
	for _, e := range c.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	cmd.Stdout, cmd.Stderr = log, log
	// The shell is the first process of its own process namespace: when it ends, or this process does, everything in there is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	one, started := &process{cmd: cmd, ended: make(chan struct{})}, make(chan error, 1)
	go func() {
		defer close(one.ended)
		one.err = p.do(func() error { // the thread that starts a process must live as long as it does, see PR_SET_PDEATHSIG in prctl(2)
			err := cmd.Start()
			started <- err
			if err != nil {
				return err
			}
			return cmd.Wait()
		})
	}()
	p.running = append(p.running, one)
	return one, <-started
}

// logged is the container's standard output: a pipe, which is its user's, since Envoy opens it anew by its name.
func (p *pod) logged(c corev1.Container) (*os.File, error) {
	file, err := os.Create(p.log(c.Name))
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.Copy(file, read) // until the container ends
		file.Close()
		read.Close()
	}()
	return write, write.Chown(int(p.userOf(c)), -1)
}

func (p *pod) userOf(c corev1.Container) int64 {
	if c.SecurityContext.RunAsUser != nil {
		return *c.SecurityContext.RunAsUser
	}
	return *p.of.Spec.Template.Spec.SecurityContext.RunAsUser
}

func (p *pod) log(container string) string { return filepath.Join(p.dir, container+".log") }

// script makes a root that holds the mounts of the manifest, the image and little else, and runs the container's command there.
func (p *pod) script(c corev1.Container, have programs) (string, error) {
	root := filepath.Join(p.dir, "root-"+c.Name)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	lines := []string{"root=" + root, `mount -t tmpfs -o mode=0755 none "$root"`, "umask 022",
		`mkdir -p "$root/proc" "$root/dev" "$root/etc/ssl/certs" "$root/usr/local/bin"`, `mount -t proc proc "$root/proc"`,
		`: >"$root/dev/null"; mount --bind /dev/null "$root/dev/null"; ln -s /proc/self/fd/1 "$root/dev/stdout"`,
		`for f in bin lib lib64; do [ -e "/usr/$f" ] || continue`,
		`mkdir "$root/usr/$f"; mount --bind "/usr/$f" "$root/usr/$f"; ln -s "usr/$f" "$root/$f"; done`,
		fmt.Sprintf(`cp %s/hosts %s/resolv.conf "$root/etc/"; cp %s/ca-certificates.crt "$root/etc/ssl/certs/"`, p.etc, p.etc, p.etc),
	}
	for inside, outside := range have {
		lines = append(lines, fmt.Sprintf(`: >"$root%s"; mount --bind %s "$root%s"`, inside, outside, inside))
	}
	for _, v := range c.VolumeMounts {
		options := "bind"
		if v.ReadOnly {
			options = "bind,ro"
		}
		at := `"$root` + v.MountPath + `"`
		lines = append(lines, fmt.Sprintf("mkdir -p %s; mount -o %s %s %s", at, options, p.volume(v.Name), at))
	}
	if is(c.SecurityContext.ReadOnlyRootFilesystem, true) {
		lines = append(lines, `mount -o remount,ro "$root"`)
	}
	security := p.of.Spec.Template.Spec.SecurityContext
	lines = append(lines, fmt.Sprintf(
		`chroot "$root" setpriv --reuid=%d --regid=%d --groups=%d --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@" & wait $!`,
		p.userOf(c), *security.RunAsGroup, *security.FSGroup))
	return strings.Join(lines, "\n"), nil
}

func (p *pod) volume(name string) string { return filepath.Join(p.dir, "volume-"+name) }

// makeVolumes writes the volumes as a kubelet does.
func (p *pod) makeVolumes(m *manifests, secrets map[string]map[string][]byte) error {
	group := int(*p.of.Spec.Template.Spec.SecurityContext.FSGroup)
	for _, v := range p.of.Spec.Template.Spec.Volumes {
		var err error
		switch dir := p.volume(v.Name); {
		case v.Secret != nil:
			mode := os.FileMode(*v.Secret.DefaultMode) | 0o440 // fsGroup does that
			err = project(dir, "..first", secrets[p.of.Namespace+"/"+v.Secret.SecretName], mode, group)
		case v.ConfigMap != nil:
			data := map[string][]byte{}
			for name, text := range m.configs[p.of.Namespace+"/"+v.ConfigMap.Name].Data {
				data[name] = []byte(text)
			}
			err = project(dir, "..first", data, 0o644, group)
		default:
			err = errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, 0, group), os.Chmod(dir, 0o777|os.ModeSetgid))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// project writes the files of a Secret or a ConfigMap into a folder of its own, and then swaps the link by which all are found.
func project(dir, version string, data map[string][]byte, mode os.FileMode, group int) error {
	if err := os.MkdirAll(filepath.Join(dir, version), 0o755); err != nil {
		return err
	}
	for name, content := range data {
		file := filepath.Join(dir, version, name)
		if err := errors.Join(os.WriteFile(file, content, mode), os.Chmod(file, mode), os.Chown(file, 0, group)); err != nil {
			return err
		}
	}
	next := filepath.Join(dir, "..data_tmp")
	if err := errors.Join(os.Symlink(version, next), os.Rename(next, filepath.Join(dir, "..data"))); err != nil {
		return err
	}
	for name := range data {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// stop kills everything in the pod, and returns when it is gone.
func (p *pod) stop() {
	for _, one := range p.running {
		if one.cmd.Process != nil {
			_ = one.cmd.Process.Kill() // it may have ended
			<-one.ended
		}
	}
	p.file.Close()
}
