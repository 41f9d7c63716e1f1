package policies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// record says how an entry of a list is read.
type record []field

// field is one key of an entry and where its value goes, to text or to list.
type field struct {
	key      string
	required bool
	text     *string
	list     *[]string // an array or a set in Rego; sorted here
	choice   string    // what the text can be, as an error says it; empty: anything
}

// read fills in what is given, and says everything that is wrong with the entry's form.
func (r record) read(value ast.Value) (wrong []string) {
	entry, ok := value.(ast.Object)
	if !ok {
		required := slices.DeleteFunc(slices.Clone(r), func(f field) bool { return !f.required })
		return []string{fmt.Sprintf("is %s; write an object with %s", kind(value), required.keys())}
	}
	known := 0
	for _, f := range r {
		t := entry.Get(keyTerm(f.key))
		if t == nil {
			if f.required {
				wrong = append(wrong, f.key+" is missing; add it")
			}
			continue
		}
		known++
		if why := f.take(t.Value); why != "" {
			wrong = append(wrong, why)
		}
	}
	if known < entry.Len() {
		wrong = append(wrong, r.unknown(entry)...)
	}
	return wrong
}

// unknown says of each key that is none of the record's which ones are.
func (r record) unknown(entry ast.Object) (wrong []string) {
	entry.Foreach(func(k, _ *ast.Term) {
		name, ok := k.Value.(ast.String)
		if !ok || !slices.ContainsFunc(r, func(f field) bool { return f.key == string(name) }) {
			wrong = append(wrong, fmt.Sprintf("unknown key %v; the keys are %s", k, r.keys()))
		}
	})
	return wrong
}

// keys lists the keys as a sentence does.
func (r record) keys() string {
	var list strings.Builder
	for i, f := range r {
		switch {
		case i == 0:
		case i == len(r)-1:
			list.WriteString(" and ")
		default:
			list.WriteString(", ")
		}
		list.WriteString(f.key)
	}
	return list.String()
}

// take reads the key's value, and says why it cannot.
func (f field) take(value ast.Value) (wrong string) {
	if f.list != nil {
		var ok bool
		if *f.list, ok = texts(value); !ok {
			return f.key + " must be a list of strings, each once"
		}
		return ""
	}
	text, isText := value.(ast.String)
	if !isText || text == "" {
		return f.key + " must be " + cmp.Or(f.choice, "a string that is not empty")
	}
	*f.text = string(text)
	return ""
}

// texts gives the members of an array or set, sorted; not ok if one is no string or is there twice.
func texts(value ast.Value) (list []string, ok bool) {
	list, ok = []string{}, true
	add := func(t *ast.Term) {
		s, isText := t.Value.(ast.String)
		ok = ok && isText
		list = append(list, string(s))
	}
	switch v := value.(type) {
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	default:
		return nil, false
	}
	slices.Sort(list)
	if !ok || repeats(list) {
		return nil, false
	}
	return list, true
}

// repeats tells whether a sorted list holds something twice.
func repeats(list []string) bool {
	for i := 1; i < len(list); i++ {
		if list[i] == list[i-1] {
			return true
		}
	}
	return false
}

// idFault says why an entry's id is none.
func idFault(id string) (wrong []string) {
	if !isWord(id, "._-") {
		wrong = append(wrong, "the id must be of a-z, 0-9, dot, underscore and hyphen, at most 64 characters")
	}
	return wrong
}

// methodFault says why a method that is given cannot be listed.
func methodFault(method string, allowed []string) (wrong []string) {
	if method != "" && !slices.Contains(allowed, method) {
		wrong = append(wrong, fmt.Sprintf("method %q; it must be one of %s", method, strings.Join(allowed, ", ")))
	}
	return wrong
}

// parseEnd turns a last day into the instant of its end in UTC; none is the zero time.
func parseEnd(day string) (end time.Time, wrong []string) {
	if day == "" {
		return end, nil
	}
	last, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return end, []string{fmt.Sprintf("expires %q; write the last day as YYYY-MM-DD", day)}
	}
	return last.AddDate(0, 0, 1), nil
}

// ended tells whether an entry with this end is over at now.
func ended(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// kind names a value's type in an error.
func kind(v ast.Value) string { return "of type " + ast.ValueName(v) }

// isWord accepts 1 to 64 characters of a-z, 0-9 and extra.
func isWord(s, extra string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(extra, r))
	}) < 0
}
