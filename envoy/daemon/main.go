package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses of a daemon.
const (
	exitOK     = 0
	exitFailed = 1 // it could not start, or ended with an error
	exitFaults = 2 // its file or its command line is wrong: every fault is on standard error
)

// A Process is what Main gives to a daemon's own code.
type Process struct {
	File  string // the configuration file
	Log   *slog.Logger
	Admin *Admin
}

// Main is the whole main function of a daemon, given its arguments: it reads -config FILE with load, ends there with -check, builds the units with start and
// runs them until SIGTERM or an interrupt. The result is the exit status.
func Main[C any](name string, args []string, load func(file string) (C, error), start func(context.Context, *Process, C) ([]Unit, error)) int {
	return run(name, args, os.Stdout, os.Stderr, load, start)
}

func run[C any](name string, args []string, stdout, stderr io.Writer, load func(string) (C, error), start func(context.Context, *Process, C) ([]Unit, error)) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "the YAML `file` to run with (required)")
	check := flags.Bool("check", false, "validate the file and exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitFaults
	}
	if *file == "" || flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: -config FILE is required, and nothing else is read\n", name)
		return exitFaults
	}
	config, err := load(*file)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFaults
	}
	if *check {
		fmt.Fprintf(stdout, "%s: ok\n", *file)
		return exitOK
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	p := &Process{File: *file, Log: slog.New(slog.NewJSONHandler(stderr, nil)).With("daemon", name), Admin: NewAdmin()}
	slog.SetDefault(p.Log) // what libraries print, net/http among them, becomes a line of the same log
	if err := serve(ctx, p, config, start); err != nil {
		p.Log.Error("ended", "error", err.Error())
		return exitFailed
	}
	p.Log.Info("ended")
	return exitOK
}

func serve[C any](ctx context.Context, p *Process, config C, start func(context.Context, *Process, C) ([]Unit, error)) error {
	units, err := start(ctx, p, config)
	if err != nil {
		return err
	}
	p.Log.Info("started", "config", p.File)
	return runUnits(ctx, p.Log, p.Admin.Drain, units...)
}
