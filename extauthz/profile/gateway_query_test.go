package profile

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"isogate/extauthz/check"
	"isogate/policies"
)

func TestWhichQueriesPass(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
		ok       bool
	}{
		{"none", "", nil, true},
		{"one", "fields=summary", []string{"fields"}, true},
		{"both", "fields=a&expand=b", []string{"expand", "fields"}, true},
		{"a name alone", "fields", []string{"fields"}, true},
		{"without a value", "fields=", []string{"fields"}, true},
		{"twice", "fields=a&fields=b", []string{"fields"}, true},
		{"values with everything that is data", "fields=a%26b%3Bc%23%00%C3%A9+d=e?f/../g:@!$'()*,", []string{"fields"}, true},
		{"another", "jql=x", nil, false},
		{"another behind", "fields=a&jql=x", nil, false},
		{"another before", "jql&fields=a", nil, false},
		{"another case", "Fields=a", nil, false},
		{"a longer name", "fieldsx=a", nil, false},
		{"an index", "fields[]=a", nil, false},
		{"a nested name", "fields[jql]=a", nil, false},
		{"an escaped spelling", "%66ields=a", nil, false},
		{"an escaped end", "fields%3D=a", nil, false},
		{"an escaped NUL", "fields%00=a", nil, false},
		{"a space before", "+fields=a", nil, false},
		{"an escaped space behind", "fields%20=a", nil, false},
		{"no name", "=a", nil, false},
		{"an empty pair", "&", nil, false},
		{"an empty pair before", "&fields=a", nil, false},
		{"an empty pair behind", "fields=a&", nil, false},
		{"an empty pair between", "fields=a&&expand=b", nil, false},
		{"a question mark before", "?fields=a", nil, false},
		{"a semicolon as separator", "fields=a;jql=x", nil, false},
		{"a semicolon in a value", "fields=a;", nil, false},
		{"a semicolon alone", ";", nil, false},
		{"a fragment", "fields=a#&jql=x", nil, false},
		{"a backslash", `fields=\`, nil, false},
		{"a space", "fields=a b", nil, false},
		{"a tab", "fields=\t", nil, false},
		{"a line end", "fields=a\r\nx: y", nil, false},
		{"a NUL", "fields=a\x00", nil, false},
		{"a delete", "fields=\x7f", nil, false},
		{"not ASCII", "fields=é", nil, false},
		{"not UTF-8", "fields=\xff", nil, false},
		{"a broken escape, for which some servers drop the pair", "fields=%zz", nil, false},
		{"half an escape", "fields=a%2", nil, false},
	}
	endpoint := endpointNamed(t, "issue.read")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := queryNames(tt.in, endpoint)
			if ok != tt.ok || !slices.Equal(got, tt.want) {
				t.Errorf("%q, %v", got, ok)
			}
			if tt.ok && tt.in != "" {
				if names, ok := queryNames(tt.in, endpointNamed(t, "issue.poke")); ok {
					t.Errorf("an endpoint without a query takes %q", names)
				}
			}
		})
	}
}

func endpointNamed(t testing.TB, id string) *policies.Endpoint {
	t.Helper()
	for _, e := range loadCrossing(t, crossRules).Endpoints() {
		if e.ID == id {
			return &e
		}
	}
	t.Fatalf("no endpoint %s", id)
	return nil
}

// A question mark without a query is none.
func TestAnEmptyQueryIsNone(t *testing.T) {
	o := newOutpost(t)
	o.expect(o.call("issue.read", "GET", "/rest/api/issue/A-1?"), exposed)
	o.expect(o.call("issue.poke", "POST", "/rest/api/poke?"), exposed)
	o.expect(o.call("issue.poke", "POST", "/rest/api/poke?fields=a"), deny(403, check.NotExposed))
}

// Whatever query passes: every reader that we know of finds only listed names in it.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "fields=a", "fields=a&expand", "fields=a;jql=x", "%66ields", "fields=%26jql=x", "&", "fields=a#", "a=b&fields"} {
		f.Add(seed)
	}
	endpoint := endpointNamed(f, "issue.read")
	listed := []string{"expand", "fields"}
	f.Fuzz(func(t *testing.T, query string) {
		names, ok := queryNames(query, endpoint)
		if !ok {
			if names != nil {
				t.Errorf("%q of what is refused", names)
			}
			return
		}
		for _, name := range names {
			if !slices.Contains(listed, name) {
				t.Errorf("%q passes with %q", query, name)
			}
		}
		if len(names) > 2 || !slices.IsSorted(names) || query != "" && len(names) == 0 {
			t.Errorf("%q of %q", names, query)
		}
		parsed, _ := url.ParseQuery(query) // it stops nowhere: what is broken it leaves out
		for name := range parsed {
			if !slices.Contains(listed, name) {
				t.Errorf("net/url finds %q in %q", name, query)
			}
		}
		for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) { // as servers of the nineties
			name, _, _ := strings.Cut(pair, "=")
			if !slices.Contains(listed, name) {
				t.Errorf("%q in %q", name, query)
			}
		}
		if u, err := url.Parse("https://x/y?" + query); err != nil || u.Fragment != "" || u.RawQuery != query {
			t.Errorf("%q is read as %+v, %v", query, u, err)
		}
	})
}
