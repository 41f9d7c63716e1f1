package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Machine is where a report was taken.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
}

// Versions are of what was measured.
type Versions struct {
	Go     string `json:"go"`
	Envoy  string `json:"envoy"`
	Commit string `json:"commit"` // of this module; "+changes" where the working tree differs, "unknown" without git
}

// about fills in what a figure is worth nothing without.
func (s *stage) about(ctx context.Context, p plan) (Report, error) {
	version, err := s.envoyVersion(ctx)
	if err != nil {
		return Report{}, err
	}
	return Report{
		Taken: time.Now().UTC().Format(time.RFC3339), Quick: p.quick, Race: raceBuild(), InFlight: inFlight, Baselines: baselines,
		Machine:  Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Kernel: firstLine("/proc/sys/kernel/osrelease")},
		Versions: Versions{Go: runtime.Version(), Envoy: version, Commit: commit(ctx, s.world.Root)},
	}, nil
}

// envoyVersion is such as 1.40.0.
func (s *stage) envoyVersion(ctx context.Context) (string, error) {
	raw, err := s.envoys[0].Admin(ctx, "GET", "/server_info")
	if err != nil {
		return "", err
	}
	var info struct{ Version string }
	if err := json.Unmarshal(raw, &info); err != nil {
		return "", fmt.Errorf("bench: reading Envoy's version: %w", err)
	}
	if parts := strings.Split(info.Version, "/"); len(parts) > 1 { // commit/version/state/build/TLS library
		return parts[1], nil
	}
	return info.Version, nil
}

// commit asks git; go run stamps no revision into the binary.
func commit(ctx context.Context, root string) string {
	head, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changes, err := exec.CommandContext(ctx, "git", "-C", root, "status", "--porcelain").Output()
	if err != nil || len(changes) > 0 {
		return strings.TrimSpace(string(head)) + "+changes"
	}
	return strings.TrimSpace(string(head))
}

func cpuModel() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

func firstLine(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	return line
}

// raceBuild tells whether this program, and so the daemons of its world, has the race detector.
func raceBuild() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
