package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/profile"
	"isogate/policies"
)

// What policy exits with, beside 0: the policies do not hold, the command line is wrong, the call would be denied.
const (
	policyFault  = 1
	policyUsage  = 2
	policyDenied = 3
)

const policyHelp = `usage:
  extauthz policy check DIR
      compile the policies of a directory, run their tests, and warn of entries that should be looked at
  extauthz policy explain [flags] DIR PRODUCT METHOD PATH[?QUERY]
      say what the gateway would do with a call, and why

exits with 0 if the policies hold and the call is allowed, 1 if they do not hold, 3 if the call is denied

flags of explain:
`

// policy tells people what a directory of policies means, without a daemon.
func policy(args []string, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 2 && args[0] == "check" && !strings.HasPrefix(args[1], "-"): // a flag, such as -h, is no directory
		return policyCheck(args[1], stdout, stderr)
	case len(args) > 0 && args[0] == "explain":
		return policyExplain(args[1:], stdout, stderr)
	}
	return usage(new(call).flags(), stderr)
}

func usage(flags *flag.FlagSet, stderr io.Writer) int {
	fmt.Fprint(stderr, policyHelp)
	flags.SetOutput(stderr)
	flags.PrintDefaults()
	return policyUsage
}

func policyCheck(dir string, stdout, stderr io.Writer) int {
	warnings, err := policies.Check(context.Background(), dir, time.Now())
	if err != nil {
		fmt.Fprintln(stderr, err)
		return policyFault
	}
	for _, w := range warnings {
		fmt.Fprintf(stdout, "warning: %v\n", w)
	}
	fmt.Fprintf(stdout, "the policies hold, %d warnings\n", len(warnings))
	return 0
}

// call is what the command line of explain says.
type call struct {
	in          policies.CrossInput
	groups, amr string
	body        bool
}

func (c *call) flags() *flag.FlagSet {
	f := flag.NewFlagSet("explain", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.in.Caller, "caller", "", "`SPIFFE` id of the calling service; without it, nobody calls")
	f.StringVar(&c.in.Client, "client", "", "`id` of the OAuth client that the token was issued to")
	f.StringVar(&c.in.Cloud, "cloud", "", "`id` of the isolated cloud")
	f.BoolVar(&c.body, "body", false, "the call has a body")
	f.StringVar(&c.in.User.Provider, "provider", "", "`id` of the person's identity provider")
	f.StringVar(&c.groups, "groups", "", "the person's groups, as `a,b`")
	f.StringVar(&c.in.User.ACR, "acr", "", "authentication context `class` of the sign-in")
	f.StringVar(&c.amr, "amr", "", "authentication methods of the sign-in, as `a,b`")
	return f
}

func policyExplain(args []string, stdout, stderr io.Writer) int {
	var c call
	flags := c.flags()
	if err := flags.Parse(args); err != nil || flags.NArg() != 4 {
		return usage(flags, stderr)
	}
	dir, path := flags.Arg(0), flags.Arg(3)
	c.in.Product, c.in.Method = flags.Arg(1), flags.Arg(2)
	if err := c.readPath(path); err != nil {
		fmt.Fprintln(stderr, err)
		return policyUsage
	}
	bundle, err := policies.Load(context.Background(), dir)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return policyFault
	}
	told, err := bundle.Explain(context.Background(), c.in, c.body, time.Now())
	for _, step := range told.Steps {
		fmt.Fprintln(stdout, step)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return policyFault
	}
	if !told.Decision.Allow {
		fmt.Fprintln(stdout, "denied")
		return policyDenied
	}
	fmt.Fprintln(stdout, "allowed")
	return 0
}

// readPath takes the path and the names of the query as the gateway does. What that would refuse as unclear is no call to explain.
func (c *call) readPath(target string) error {
	raw, query, _ := strings.Cut(target, "?")
	path, err := check.Path(raw)
	names, plain := profile.QueryNames(query)
	if err != nil || !plain {
		return fmt.Errorf("%q is refused before any rule: it is no path with a query that everybody reads alike", target)
	}
	c.in.Path, c.in.Query = path, names
	c.in.User.Groups, c.in.User.AMR = fields(c.groups), fields(c.amr)
	return nil
}

// fields splits a list with commas; an empty one has no member.
func fields(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" })
}
