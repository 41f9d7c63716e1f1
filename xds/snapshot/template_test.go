package snapshot

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"isogate/policies"
)

func TestReaches(t *testing.T) {
	cases := []struct {
		template, beginning string
		want                bool
	}{
		{"/{a}", "/", true},
		{"/{a}", "/x", true},
		{"/{a}", "/x/", false},
		{"/{a}/", "/x/", true},
		{"/{a}/b", "/x/", true},
		{"/{a}/b", "/x/b", true},
		{"/{a}/b", "/x/c", false},
		{"/{a}/bcd", "/x/bc", true},
		{"/{a}/b", "/x/bc", false},
		{"/{a}/{b}", "/x/y/", false},
		{"/{a}/{b}", "/x/y", true},
		{"/a/{b}", "/a/", true},
		{"/a/{b}", "/b/", false},
		{"/a/{b}", "/a/b", true},
		{"/a/{b}/c/{d}", "/a/x/c/y", true},
		{"/a/{b}/c/{d}", "/a/x/d/y", false},
		{"/a", "/a", true},
		{"/a", "/a/", false},
		{"/", "/a", false},
	}
	for _, c := range cases {
		if got := newTemplate(&policies.Endpoint{Path: c.template}).reaches(c.beginning); got != c.want {
			t.Errorf("%s, a path that begins with %s: got %t", c.template, c.beginning, got)
		}
	}
}

// A path that has a template's shape, and what its route asks besides, is one that the template matches; no other is.
func TestRoutesMatchTheirTemplatesOnly(t *testing.T) {
	templates := []string{"/", "/a", "/a/", "/{x}", "/{x}/", "/a/{x}", "/a/{x}/", "/a/{x}/b", "/a/{x}/{y}", "/a/{x}/b/{y}", "/{x}/{y}", "/{x}/b/"}
	paths := []string{"", "/b", "/a/b/a", "/a/x/b/y/", "/a//b", "//", "/a/x/y/z", "/a/b;c", "/a/b%20c", "/a/{", "/A", "/a/x\n"}
	for _, p := range templates {
		paths = append(paths, p, strings.ReplaceAll(strings.ReplaceAll(p, "{x}", "x.1"), "{y}", "y"))
	}
	matched := 0
	for _, path := range templates {
		e := newTemplate(&policies.Endpoint{Path: path})
		pattern := regexp.MustCompile("^(?:" + patternOf([]shape{e.shape()}) + ")$")
		for _, path := range paths {
			for _, query := range []string{"", "?", "?a=/b", "?/"} {
				routed := pattern.MatchString(path + query)
				switch {
				case e.literal == e.Path:
					routed = routed && path == e.Path
				case e.endsInVariables():
					routed = routed && strings.HasPrefix(path+query, e.literal)
				default:
					routed = routed && e.matches(path)
				}
				if want := path != "" && !strings.ContainsAny(path, ";{\n") && e.matches(path); routed != want {
					t.Errorf("%s at %s%s: %t", e.Path, path, query, routed)
				} else if routed {
					matched++
				}
			}
		}
	}
	if matched < 4*2*len(templates) {
		t.Errorf("only %d matched", matched)
	}
}

// lists is what Envoy does with the result of split: the longest beginning counts, and in its list the first template that matches.
type lists map[string][]*template

func listsOf(all []*template) lists {
	out := lists{}
	split(all, nil, func(beginning string, templates []*template) { out[beginning] = slices.Clone(templates) })
	return out
}

func (l lists) find(path string) string {
	for n := len(path); n > 0; n-- {
		if list, ok := l[path[:n]]; ok {
			return firstOf(list, path)
		}
	}
	return ""
}

func firstOf(list []*template, path string) string {
	for _, t := range list {
		if t.matches(path) {
			return t.ID
		}
	}
	return ""
}

// matches is what Envoy's matchers do, for paths of plain characters.
func (t *template) matches(path string) bool {
	segments := strings.Split(path[1:], "/")
	return slices.EqualFunc(t.segments, segments, func(mine, segment string) bool { return mine == segment || mine == variable && segment != "" })
}

// Whatever is exposed, the lists name the template that wins among all: at each segment from the left, a literal before a variable.
func TestSplitLosesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "ab", "abc", "b", "ba", "", "c", "{v}", "{v}"}
	draw := func(words []string) string {
		path := ""
		for i := range 1 + random.IntN(4) {
			path += "/" + strings.ReplaceAll(words[random.IntN(len(words))], "v", fmt.Sprint("v", i))
		}
		return path
	}
	matched := 0
	for range 500 {
		var all []*template
		seen := map[string]bool{}
		for i := range 1 + random.IntN(200) {
			path := draw(words)
			if shape := strings.Join(newTemplate(&policies.Endpoint{Path: path}).segments, "/"); !seen[shape] {
				seen[shape] = true
				all = append(all, newTemplate(&policies.Endpoint{ID: fmt.Sprint(i), Path: path}))
			}
		}
		sorted := slices.SortedFunc(slices.Values(all), func(a, b *template) int { return cmp.Compare(a.order, b.order) })
		got := listsOf(all)
		if n := got.size(); n > 2*len(all) {
			t.Fatalf("%d templates stand %d times in the lists", len(all), n)
		}
		for range 40 {
			path := draw([]string{"a", "ab", "abc", "abcd", "b", "ba", "", "c", "d"})
			want := firstOf(sorted, path)
			if want != "" {
				matched++
			}
			if id := got.find(path); id != want {
				t.Fatalf("%s: %q, want %q; the lists are %v", path, id, want, got)
			}
		}
	}
	if matched < 2500 {
		t.Errorf("only %d paths matched anything: this proves little", matched)
	}
}

func (l lists) size() (n int) {
	for _, list := range l {
		n += len(list)
	}
	return n
}

func (t *template) String() string { return t.ID + ":" + t.Path }

// Many templates stay in short lists, also beside some that reach all of them; and templates that reach everything do not multiply.
func TestListsStayShort(t *testing.T) {
	many := func(n int, format string) (list []*template) {
		for i := range n {
			list = append(list, newTemplate(&policies.Endpoint{ID: fmt.Sprint(format, i), Path: fmt.Sprintf(format, i)}))
		}
		return list
	}
	cases := []struct {
		name    string
		all     []*template
		longest int
	}{
		{"literals", many(10_000, "/rest/api/%d/issue/{key}"), together},
		{"literals, and a few that reach all", append(many(10_000, "/rest/api/%d/issue/{key}"), many(5, "/rest/api/{kind}/issue/%d")...), 60},
		{"as many as reach all", append(many(3000, "/a%d/{x}/z"), many(3000, "/{x}/b%d/z")...), 6000},
	}
	for _, c := range cases {
		got, longest := listsOf(c.all), 0
		for _, list := range got {
			longest = max(longest, len(list))
		}
		if longest > c.longest || got.size() > 2*len(c.all) {
			t.Errorf("%s: the longest list has %d, want at most %d; all have %d for %d templates", c.name, longest, c.longest, got.size(), len(c.all))
		}
	}
}
