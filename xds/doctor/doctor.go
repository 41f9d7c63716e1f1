package doctor

import (
	"fmt"
	"strings"
)

// Severity says how bad a finding is.
type Severity string

// The two severities.
const (
	Error   Severity = "error"   // a request can pass unjudged or mean two things, or a stranger can change what Envoy does
	Warning Severity = "warning" // a bound is missing, or something cannot be judged from here
)

// Finding is one deviation.
type Finding struct {
	Rule     string // a stable word
	Severity Severity
	Where    string // from the outside in, such as: listener ingress, chain 0, filter envoy.filters.http.ext_authz
	Reason   string // a sentence
	Mend     string // what to set
}

// Report is what Examine finds, in the order of the configuration.
type Report struct {
	Findings []Finding
	Notes    []string // what was passed over, and why
}

// Examine reads a configuration: the JSON of Envoy's /config_dump, or a bootstrap in YAML or JSON. The error says that it is none of these or
// cannot be read; it is not safe then, it is unknown.
func Examine(raw []byte) (Report, error) {
	c, err := parse(raw)
	if err != nil {
		return Report{}, fmt.Errorf("doctor: %w", err)
	}
	e := &examiner{configuration: c}
	e.operation()
	for i, l := range c.listeners {
		e.listener(nameOr(l.GetName(), i), l)
	}
	for _, name := range c.clusterNames() {
		e.cluster(c.clusters[name])
	}
	return Report{Findings: e.findings, Notes: c.notes}, nil
}

type examiner struct {
	*configuration
	findings []Finding
}

// found notes a finding; the details fill the rule's reason.
func (e *examiner) found(r rule, at place, details ...any) {
	reason := r.reason
	if len(details) > 0 {
		reason = fmt.Sprintf(reason, details...)
	}
	e.findings = append(e.findings, Finding{Rule: r.name, Severity: r.severity, Where: string(at), Reason: reason, Mend: r.mend})
}

// must is found where something does not hold.
func (e *examiner) must(holds bool, r rule, at place) {
	if !holds {
		e.found(r, at)
	}
}

// place is where something stands.
type place string

func (p place) in(kind, name string) place {
	step := strings.TrimSpace(kind + " " + name)
	if p == "" {
		return place(step)
	}
	return p + place(", "+step)
}

// nameOr is a name, or the place in the list of what has none.
func nameOr(name string, i int) string {
	if name == "" {
		return fmt.Sprintf("%d", i)
	}
	return name
}
