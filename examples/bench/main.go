// Bench measures what a check costs and what it adds to a request, on this machine and in one run: ours beside a gRPC server that answers OK
// to everything, in rounds that alternate. Its figures are ratios of the two, since the time of any one of them says more about the machine.
//
//	go run ./examples/bench           all figures, in about six minutes
//	go run ./examples/bench -quick    a smoke test of the same, whose figures mean little
//
// The report goes to standard output as text and to .bench/report.json; CPU profiles go beside that file. Bench owns the way of measuring; the
// world that is measured is that of package world.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childWord {
		os.Exit(runChild(os.Args[2:]))
	}
	quick := flag.Bool("quick", false, "few and short rounds: a smoke test")
	profiles := flag.Bool("profile", true, "write CPU profiles and say what dominates; never with -quick")
	out := flag.String("out", "", "folder of report.json and the profiles; .bench in the project's folder if empty")
	flag.Parse()
	plan := full
	if *quick {
		plan = smoke
	}
	plan.profiles = plan.profiles && *profiles
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, plan, *out); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// plan says how much is measured.
type plan struct {
	rounds   int           // of the checks; each measures both servers once
	checks   int           // in a round, for one server
	firsts   int           // the same where each check takes a session of its own, which somebody had to sign in for
	loads    int           // rounds through Envoy
	load     time.Duration // of one of them, for one server
	rate     int           // requests per second where the 99th percentile is taken
	many     int           // endpoints, where it matters that there are many
	asked    int           // checks of calls in a round, for one server
	calls    int           // rounds of calls through the gateway's Envoy, as long as those above
	lists    []int         // how many endpoints there are where policies are edited
	edits    int           // of each kind, for each list
	profiles bool
	quick    bool
}

var (
	full = plan{
		rounds: 11, checks: 2000, firsts: 60, loads: 5, load: 2 * time.Second, rate: 400, profiles: true,
		many: 10_000, asked: 1500, calls: 3, lists: []int{fewEndpoints, 1000, 10_000}, edits: 6,
	}
	smoke = plan{
		rounds: 2, checks: 200, firsts: 5, loads: 2, load: 500 * time.Millisecond, rate: 100, quick: true,
		many: 10_000, asked: 200, calls: 2, lists: []int{fewEndpoints, 10_000}, edits: 2,
	}
)

// measure sets the stage, takes every figure, and writes the report.
func measure(ctx context.Context, p plan, out string) error {
	s, err := openStage(ctx, p)
	if err != nil {
		return err
	}
	defer s.close()
	if out == "" {
		out = filepath.Join(s.world.Root, ".bench")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	r, err := s.report(ctx, p, out)
	if err != nil {
		return err
	}
	if err := r.write(filepath.Join(out, "report.json")); err != nil {
		return err
	}
	fmt.Print(r.text())
	return nil
}

// report takes the figures one after the other: nothing else of ours runs while one is taken.
func (s *stage) report(ctx context.Context, p plan, out string) (r Report, err error) {
	if r, err = s.about(ctx, p); err != nil {
		return r, err
	}
	if r.Checks, err = s.measureChecks(ctx, p); err != nil {
		return r, err
	}
	figures, gateway, err := s.measureCalls(ctx, p)
	if err != nil {
		return r, err
	}
	r.Checks, r.Gateway = append(r.Checks, figures...), gateway
	if r.Envoy, err = s.measureEnvoy(ctx, p); err != nil {
		return r, err
	}
	if r.Gateway.Throughput, err = s.measureCrossings(ctx, p); err != nil {
		return r, err
	}
	if r.Edits, err = s.measureEdits(ctx, p); err != nil {
		return r, err
	}
	r.Goals = r.goals()
	if p.profiles {
		r.Profiles, err = s.measureProfiles(ctx, out)
	}
	return r, err
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "… "+format+"\n", args...) }
