package daemon

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The YAML library's words. Some of them quote the value, which may be a secret in the wrong place: none of those passes on.
var (
	lineText  = regexp.MustCompile(`(?s)^line (\d+): (?:column (\d+): )?(.*)$`)
	unknown   = regexp.MustCompile(`(?s)^field (.*) not found in type .+$`)
	doubled   = regexp.MustCompile(`(?s)^mapping key (".*") already defined at line (\d+)$`)
	wrongType = regexp.MustCompile("(?s)^cannot unmarshal (!\\S*)(?: `(.*)`)? into (.+)$")
	syntax    = regexp.MustCompile(`^(did not find|could not find|found|mapping values|mapping keys|block sequence|exceeded) `)
	fromZero  = regexp.MustCompile(`^did not find expected (<document start>|node content|key$|'-'|',')|^found (undefined|duplicate|incompatible) `)
)

// typeFault puts a fault of the library, or of an UnmarshalYAML of ours, into our words and finds its path. It also says whose values the
// library has not read for it.
func typeFault(text string, root *yaml.Node) (f Fault, unread []string) {
	m := lineText.FindStringSubmatch(text)
	if m == nil {
		return Fault{Text: "holds a value that cannot be read here"}, []string{""}
	}
	f.Line, _ = strconv.Atoi(m[1])
	column, text := m[2], m[3]
	if column != "" {
		f.Text, f.Path = text, pathTo(root, func(_, value *yaml.Node) bool { return value.Line == f.Line && strconv.Itoa(value.Column) == column })
		return f, []string{whole(f.Path)}
	}
	if m := unknown.FindStringSubmatch(text); m != nil {
		f.Text, f.Path = fmt.Sprintf("unknown key %q", m[1]), pathTo(root, keyAt(f.Line, m[1]))
		return f, nil
	}
	if m := doubled.FindStringSubmatch(text); m != nil {
		key, _ := strconv.Unquote(m[1])
		f.Text, f.Path = fmt.Sprintf("key %q stands twice, first in line %s", key, m[2]), pathTo(root, keyAt(f.Line, key))
		return f, []string{whole(strings.TrimSuffix(strings.TrimSuffix(f.Path, key), "."))}
	}
	if m := wrongType.FindStringSubmatch(text); m != nil {
		f.Text = fmt.Sprintf("cannot be %s here: want %s", kind(m[1]), kind(m[3]))
		f.Path = pathTo(root, func(_, value *yaml.Node) bool {
			return value.Line == f.Line && value.ShortTag() == m[1] && quotes(m[2], value.Value)
		})
		return f, []string{whole(f.Path)}
	}
	f.Text = "holds a value that cannot be read here"
	return f, []string{""}
}

// quotes is true where the library would quote a value so.
func quotes(quoted, value string) bool {
	if len(value) > 10 {
		value = value[:7] + "..."
	}
	return quoted == value
}

// whole is the list where a path ends in an item: the library leaves an unread item out, and those after it move up.
func whole(path string) string {
	if i := strings.LastIndexByte(path, '['); i >= 0 && strings.HasSuffix(path, "]") {
		return path[:i]
	}
	return path
}

// syntaxFault is for what ends the library's reading at once. The library counts some lines from zero, and leaves the first one out.
func syntaxFault(err error) Fault {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	f := Fault{Text: text}
	if m := lineText.FindStringSubmatch(text); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Text = m[3]
	}
	switch text := f.Text; {
	case syntax.MatchString(text):
		if f.Line == 0 || fromZero.MatchString(text) {
			f.Line++
		}
	case strings.HasPrefix(text, "unknown anchor "):
		f.Text = "refers with * to an anchor that no & sets"
	case strings.HasPrefix(text, "document contains excessive"), strings.HasPrefix(text, "map merge requires"), strings.HasPrefix(text, "control characters"):
	default:
		f.Text = "holds a value that cannot be read here, or is no YAML"
	}
	return f
}

// kinds names YAML tags and Go types for somebody who writes YAML.
var kinds = map[string]string{
	"!!str": "text", "string": "text", "daemon.Path": "text",
	"!!int": "a whole number", "int": "a whole number", "int64": "a whole number", "uint32": "a whole number",
	"!!float": "a number", "float64": "a number",
	"!!bool": "true or false", "bool": "true or false",
	"!!seq": "a list", "!!null": "empty", "!!timestamp": "a date",
	"!!map": "a mapping", "!!merge": "a mapping",
}

func kind(name string) string {
	switch known := kinds[name]; {
	case known != "":
		return known
	case strings.HasPrefix(name, "!"):
		return "a value with a tag of its own"
	case strings.HasPrefix(name, "[]"):
		return "a list"
	default:
		return "a mapping"
	}
}
