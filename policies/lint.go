package policies

import (
	"context"
	"fmt"
	"time"
)

// soon is how long before its end an entry is pointed out.
const soon = 30 * 24 * time.Hour

// Warning is something about a directory that works and should still be looked at.
type Warning struct {
	Entry string // as it is written in Rego: endpoints["issue.read"]; empty: it is about the whole directory
	Text  string // what it is, and what to do
}

func (w Warning) String() string {
	if w.Entry == "" {
		return w.Text
	}
	return w.Entry + " " + w.Text
}

// Check loads dir as Load does, and says what a careful reader would about a directory that works and its entries.
func Check(ctx context.Context, dir string, now time.Time) ([]Warning, error) {
	b, err := Load(ctx, dir)
	if err != nil {
		return nil, err
	}
	var list []Warning
	if !b.crosses {
		list = append(list, Warning{Text: "no file is of package " + gatewayName + ": a cloud with a gateway refuses this folder; put gateway.rego there"})
	}
	for _, a := range b.anonymous {
		list = append(list, lint("anonymous", a.ID, a.Purpose, a.Owner, a.Expires, now)...)
	}
	for _, e := range b.endpoints {
		list = append(list, lint("endpoints", e.ID, e.Purpose, e.Owner, e.Expires, now)...)
	}
	return list, nil
}

func lint(rule, id, purpose, owner string, end, now time.Time) (list []Warning) {
	warn := func(text string) { list = append(list, Warning{fmt.Sprintf("%s[%q]", rule, id), text}) }
	if owner == "" {
		warn("has no owner; say who answers for it")
	}
	if purpose == "" {
		warn("has no purpose; say what it is for")
	}
	lastDay := end.AddDate(0, 0, -1).Format(time.DateOnly)
	switch {
	case end.IsZero():
	case ended(end, now):
		warn("ended with " + lastDay + "; remove it, or set another day")
	case end.Sub(now) <= soon:
		warn("ends with " + lastDay + "; set another day if it is still needed")
	}
	return list
}
