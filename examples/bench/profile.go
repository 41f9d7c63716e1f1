package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
	"isogate/extauthz/usercontext"
	"isogate/policies"
)

// Profile says what a check's CPU time goes to.
type Profile struct {
	Name   string  `json:"name"`
	File   string  `json:"file"`
	Shares []Share `json:"shares"`
}

// Share is the part of the samples in which a function was at work, what it called included; shares overlap.
type Share struct {
	What     string  `json:"what"`
	Function string  `json:"function"`
	Percent  float64 `json:"percent"`
}

// watched are the functions that tell the parts of a check apart.
var watched = []Share{
	{What: "our check, from the question's bytes to those of the answer", Function: "isogate/extauthz/check.(*Server).check"},
	{What: "  reading the question into a request", Function: "isogate/extauthz/check.Parse"},
	{What: "  deciding", Function: "isogate/extauthz/profile.(*Ingress).Decide"},
	{What: "    finding the session", Function: "isogate/extauthz/session.(*Stored).Living"},
	{What: "      reading the store", Function: "isogate/extauthz/kv.(*Bolt).Get"},
	{What: "      reading JSON", Function: "encoding/json.Unmarshal"},
	{What: "    the policies", Function: "isogate/policies.(*Bundle).Decide"},
	{What: "    the token", Function: "isogate/extauthz/usercontext.(*Minter).Mint"},
	{What: "    the page or problem of a denial", Function: "isogate/extauthz/page.Denial"},
	{What: "  writing the answer", Function: "isogate/extauthz/check.Encode"},
	{What: "HTTP/2: reading frames", Function: "google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams"},
	{What: "HTTP/2: writing frames", Function: "google.golang.org/grpc/internal/transport.(*loopyWriter).run"},
	{What: "system calls", Function: "internal/runtime/syscall/linux.Syscall6"},
	{What: "allocating", Function: "runtime.mallocgc"},
	{What: "collecting garbage", Function: "runtime.gcBgMarkWorker"},
	{What: "the scheduler", Function: "runtime.schedule"},
}

// serveProfiled serves checks of the world's file from the parts that extauthz is made of, inside this process, which writes its CPU profile
// when it ends: the daemon itself never shows its profile anywhere. It opens one session and writes its handle into dir.
func serveProfiled(ctx context.Context, config, dir, socket string) error {
	file, err := readFile(config)
	if err != nil {
		return err
	}
	cloud := *file.Cloud
	store, err := kv.OpenBolt(filepath.Join(dir, "sessions.db"), time.Now)
	if err != nil {
		return err
	}
	defer store.Close()
	sessions := session.NewStored(store, time.Now)
	limits := session.Policies{
		Believed: map[string][]string{"corp": {"acme.example"}}, Default: session.Limits{Idle: 30 * time.Minute, Absolute: 12 * time.Hour},
	}
	if err := openOne(ctx, sessions, limits.Default, "issues."+cloud.Domain, filepath.Join(dir, "handle")); err != nil {
		return err
	}
	signers, err := keys.OpenSigners(filepath.Join(dir, "uct"), time.Now)
	if err != nil {
		return err
	}
	sealers, err := keys.OpenSealers(filepath.Join(dir, "sealing"), time.Now)
	if err != nil {
		return err
	}
	bundle, err := policies.Load(ctx, filepath.Join(filepath.Dir(config), "policies"))
	if err != nil {
		return err
	}
	decider := profile.NewIngress(cloud, signin.Flows{Site: signin.OfCloud(cloud), Seal: sealers, Now: time.Now}, sessions, limits,
		usercontext.NewMinter(signers, time.Now), func() *policies.Bundle { return bundle })
	server := check.NewServer("ingress", decider, slog.Default(), check.Metrics(prometheus.NewRegistry())).GRPC()
	debug.SetGCPercent(400) // as extauthz does
	return underProfile(filepath.Join(dir, "cpu.pprof"), func() error {
		listener, err := daemon.ListenUnix(socket)
		if err != nil {
			return err
		}
		return daemon.GRPC("profiled", listener, server).Run(ctx)
	})
}

func underProfile(file string, work func() error) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return work()
}

// openOne opens a session of somebody like the world's people and writes its handle to a file.
func openOne(ctx context.Context, sessions *session.Stored, l session.Limits, host, file string) error {
	who := session.Identity{
		User: "kJx2w5mQ0m7VbT1c9fYzHg", Provider: "corp", Email: "bob@acme.example", Name: "Bob Birch", Groups: []string{"staff"},
		AuthTime: time.Now().UTC(), ACR: "urn:acr:pwd", AMR: []string{"pwd"},
	}
	opened, err := sessions.Open(ctx, who, l)
	if err != nil {
		return err
	}
	handle, err := sessions.Handle(ctx, opened, host, l)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(string(handle)), 0o600)
}

// measureProfiles profiles the two kinds of a browser's check that have a goal.
func (s *stage) measureProfiles(ctx context.Context, out string) (profiles []Profile, err error) {
	for i, kind := range scenarios[:2] {
		say("profiling: %s", kind.name)
		file := filepath.Join(out, "cpu-"+strings.Fields(kind.name)[0]+".pprof")
		if err := s.profileOne(ctx, kind, filepath.Join(s.dir, "p"+strconv.Itoa(i)), file); err != nil {
			return nil, fmt.Errorf("bench: profiling: %s: %w", kind.name, err)
		}
		shares, err := readShares(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("bench: reading a profile: %w", err)
		}
		profiles = append(profiles, Profile{Name: kind.name, File: file, Shares: shares})
	}
	return profiles, nil
}

// profileChecks is how many checks one profile covers: some seconds of CPU time.
const profileChecks = 60000

func (s *stage) profileOne(ctx context.Context, kind scenario, dir, file string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	socket := filepath.Join(dir, "c.sock")
	served, err := startSelf(filepath.Join(dir, "log"), "profiled", s.world.File(), dir, socket)
	if err != nil {
		return err
	}
	defer served.stop()
	if err := served.waitSocket(ctx, socket); err != nil {
		return err
	}
	handle, err := os.ReadFile(filepath.Join(dir, "handle"))
	if err != nil {
		return err
	}
	local := *s
	local.sessions = []string{string(handle)}
	on, err := dialServer(socket, func() int { return served.cmd.Process.Pid })
	if err != nil {
		return err
	}
	defer on.conn.Close()
	messages := local.messages(kind, 1000, 0)
	for range profileChecks / len(messages) {
		if err := on.send(ctx, messages, s.questions[kind.name].meta, kind.status); err != nil {
			return err
		}
	}
	served.stop()
	return os.Rename(filepath.Join(dir, "cpu.pprof"), file)
}

// readShares asks go tool pprof how much of the samples each watched function was part of.
func readShares(ctx context.Context, file string) ([]Share, error) {
	raw, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=100000", "-nodefraction=0", file).Output()
	if err != nil {
		return nil, err
	}
	percent := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line) // flat flat% sum% cum cum% function
		if len(fields) >= 6 {
			if v, err := strconv.ParseFloat(strings.TrimSuffix(fields[4], "%"), 64); err == nil {
				percent[fields[5]] = v
			}
		}
	}
	var shares []Share
	for _, w := range watched {
		if v, ok := percent[w.Function]; ok {
			w.Percent = v
			shares = append(shares, w)
		}
	}
	return shares, nil
}

func (p Profile) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nwhat dominates: %s (share of the samples, callees included; %s)\n", p.Name, p.File)
	for _, s := range p.Shares {
		fmt.Fprintf(&b, "  %5.1f%%  %s\n", s.Percent, s.What)
	}
	return b.String()
}
