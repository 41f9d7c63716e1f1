package policies

import (
	"fmt"
	"strings"
)

// Bounds of a template. Envoy's matcher refuses longer ones (UriTemplateMatchConfig.path_template), more variables and longer
// names, and one template that it refuses takes every route of the gateway with it.
const (
	maxTemplate  = 256 // characters
	maxSegments  = 32
	maxVariables = 5
	maxName      = 16 // characters
)

// templateFault says why a path template cannot be matched by everybody alike, and what to change; empty if it can. What
// is left is less than Envoy's uri_template matcher accepts: each segment is a literal or exactly one {name}, which
// stands for one segment that is not empty. A slash at the end counts: /a and /a/ are two paths.
func templateFault(template string) string {
	if len(template) > maxTemplate {
		return fmt.Sprintf("is longer than %d characters; shorten it", maxTemplate)
	}
	segments := strings.Split(strings.TrimPrefix(template, "/"), "/")
	if len(segments) > maxSegments {
		return fmt.Sprintf("has more than %d segments; shorten it", maxSegments)
	}
	names := map[string]bool{}
	literal := template
	for _, s := range segments {
		if !isVariable(s) {
			continue
		}
		name := s[1 : len(s)-1]
		if why := nameFault(name, names); why != "" {
			return why
		}
		names[name] = true
		literal = strings.Replace(literal, s, "x", 1)
	}
	if len(names) > maxVariables {
		return fmt.Sprintf("has more than %d variables; write some segments out", maxVariables)
	}
	if strings.ContainsAny(literal, "{}*") {
		return "holds a segment that is neither a literal nor exactly one {name}; make it one of the two"
	}
	return pathFault(literal)
}

func nameFault(name string, seen map[string]bool) string {
	switch {
	case !isName(name, maxName, "_") || name[0] < 'A' || name[0] == '_':
		return fmt.Sprintf("holds the variable {%s}; a name is a letter, then letters, digits and underscores, at most %d characters", name, maxName)
	case seen[name]:
		return fmt.Sprintf("holds the variable {%s} twice; give one another name", name)
	}
	return ""
}

// isVariable tells whether a segment is meant as one variable.
func isVariable(segment string) bool {
	return len(segment) >= 2 && segment[0] == '{' && strings.IndexByte(segment, '}') == len(segment)-1
}
