package run

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestItDiesWithItsParent(t *testing.T) {
	t.Parallel()
	o := setUp(t)
	socket := filepath.Join(o.Dir, "admin.sock")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asParent+"="+o.Dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	eventually(t, "its Envoy answers", func() bool { return answers(socket) })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its Envoy is gone", func() bool { return !answers(socket) })
}
