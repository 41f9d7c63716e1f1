package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"isogate/xds/doctor"
)

const doctorUsage = `Usage: xds doctor FILE

Names each place of an Envoy configuration where a request could pass unjudged, be read in two ways, or be changed after it was judged; and what to
set instead. FILE is a config dump (JSON) or a bootstrap (YAML or JSON); - is standard input:

  curl --unix-socket admin.sock http://envoy/config_dump | xds doctor -

The exit status is 0 where nothing was found, 1 where something was, 2 where the file cannot be read.
`

const maxExamined = 256 << 20 // bytes; a dump of many thousand routes has some dozen megabytes

// examine is xds doctor. The result is the exit status.
func examine(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, doctorUsage) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() != 1 {
		fmt.Fprintln(stderr, "xds doctor: one FILE is required, and nothing else is read")
		return 2
	}
	raw, err := readAll(flags.Arg(0), stdin)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	report, err := doctor.Examine(raw)
	if err != nil {
		fmt.Fprintln(stderr, printable(flags.Arg(0)+": "+err.Error()))
		return 2
	}
	show(stdout, report)
	if len(report.Findings) > 0 {
		return 1
	}
	return 0
}

func readAll(file string, stdin io.Reader) ([]byte, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("xds: %w", err)
		}
		defer f.Close()
		stdin = f
	}
	raw, err := io.ReadAll(io.LimitReader(stdin, maxExamined+1))
	if err != nil {
		return nil, fmt.Errorf("xds: %w", err)
	}
	if len(raw) > maxExamined {
		return nil, fmt.Errorf("xds: %s is larger than %d bytes", file, maxExamined)
	}
	return raw, nil
}

func show(w io.Writer, report doctor.Report) {
	for _, f := range report.Findings {
		fmt.Fprintf(w, "%s %s\n  at   %s\n  why  %s\n  fix  %s\n", f.Severity, f.Rule, printable(f.Where), printable(f.Reason), f.Mend)
	}
	for _, note := range report.Notes {
		fmt.Fprintf(w, "note %s\n", printable(note))
	}
	fmt.Fprintf(w, "doctor: %d findings, %d notes\n", len(report.Findings), len(report.Notes))
}

// printable keeps what somebody wrote into a configuration from ending a line or colouring a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
