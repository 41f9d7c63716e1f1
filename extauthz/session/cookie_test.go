package session

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	ours      = "__Host-isogate_session"
	federated = "__Host-isogate_federated"
)

func TestParseCookies(t *testing.T) {
	flow := func(name, secret string) FlowCookie { return FlowCookie{"__Host-isogate_flow_" + name, secret} }
	tests := []struct {
		name string
		in   []string
		want Cookies
	}{
		{"none", nil, Cookies{}},
		{"an empty line", []string{""}, Cookies{}},
		{"separators only", []string{" ; ;; ", ";"}, Cookies{}},
		{"the session", []string{ours + "=H"}, Cookies{Session: "H", Ours: true}},
		{"with others", []string{"a=1; " + ours + "=H; b=2"}, Cookies{Session: "H", Rest: "a=1; b=2", Ours: true}},
		{"two lines", []string{"a=1; " + ours + "=H", "b=2"}, Cookies{Session: "H", Rest: "a=1; b=2", Ours: true}},
		{"two lines, one empty", []string{"", ours + "=H"}, Cookies{Session: "H", Ours: true}},
		{"only others", []string{"a=1;b=2"}, Cookies{Rest: "a=1; b=2"}},
		{"others twice are the product's affair", []string{"a=1; a=2"}, Cookies{Rest: "a=1; a=2"}},
		{"empty value", []string{ours + "="}, Cookies{Ours: true}},
		{"no value at all", []string{ours}, Cookies{Ours: true}},
		{"whitespace around", []string{"  " + ours + " =\tH \t;  a=1 "}, Cookies{Session: "H", Rest: "a=1", Ours: true}},
		{"a value with =", []string{ours + "=H=I=="}, Cookies{Session: "H=I==", Ours: true}},
		{"quotes stay, so that it is no handle", []string{ours + `="H"`}, Cookies{Session: `"H"`, Ours: true}},
		{"quotes do not hide a separator", []string{`a="x; ` + ours + `=H; y"`}, Cookies{Session: "H", Rest: `a="x; y"`, Ours: true}},
		{"in another case: ours, and not believed", []string{"__HOST-ISOGATE_SESSION=H; __host-isogate_flow_1=x"}, Cookies{Ours: true}},
		{"two cases are two names", []string{ours + "=H; __host-isogate_session=I"}, Cookies{Session: "H", Ours: true}},
		{"an unknown one of ours", []string{"__Host-isogateX=1; __Host-isogate=2; a=1"}, Cookies{Rest: "a=1", Ours: true}},
		{"no prefix is not ours", []string{"isogate_session=H; __Secure-isogate_session=I"}, Cookies{Rest: "isogate_session=H; __Secure-isogate_session=I"}},
		{"a comma separates nothing", []string{"a=1, " + ours + "=H"}, Cookies{Rest: "a=1, " + ours + "=H"}},
		{"a nameless cookie", []string{"=" + ours + "=H"}, Cookies{Rest: "=" + ours + "=H"}},
		{"Unicode space is no whitespace", []string{"\u2000" + ours + "=H"}, Cookies{Rest: "\u2000" + ours + "=H"}},
		{"$Version means nothing", []string{"$Version=1; " + ours + "=H"}, Cookies{Session: "H", Rest: "$Version=1", Ours: true}},
		{"a session outside", []string{"a=1; " + federated + "=S.x-y_z"}, Cookies{Outside: "S.x-y_z", Rest: "a=1", Ours: true}},
		{"both sides' sessions", []string{federated + "=S; " + ours + "=H"}, Cookies{Session: "H", Outside: "S", Ours: true}},
		{"a session outside in another case: ours, and not believed", []string{"__host-isogate_Federated=S"}, Cookies{Ours: true}},
		{"a longer name is another's", []string{federated + "2=S"}, Cookies{Ours: true}},
		{
			"flows, oldest first",
			[]string{"__Host-isogate_flow_3=c; __Host-isogate_flow_1=a; x=y; __Host-isogate_flow_2=b"},
			Cookies{Flows: []FlowCookie{flow("1", "a"), flow("2", "b"), flow("3", "c")}, Rest: "x=y", Ours: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCookies(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// CVE-2021-32777: a repeated value must not be read as "the last one".
func TestTwoCookiesOfOneNameAreRefused(t *testing.T) {
	for name, in := range map[string][]string{
		"one line":         {ours + "=H; " + ours + "=I"},
		"two lines":        {ours + "=H", ours + "=I"},
		"the same value":   {ours + "=H; " + ours + "=H"},
		"one empty":        {ours + "=H; " + ours},
		"spaced":           {ours + "=H; " + ours + " =I"},
		"flows":            {"__Host-isogate_flow_1=a; x=y", "__Host-isogate_flow_1=b"},
		"outside":          {federated + "=S; " + federated + "=T"},
		"outside, lines":   {federated + "=S", federated + "=S"},
		"of no known name": {"__Host-isogate_x=a; __Host-isogate_x=b"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCookies(in)
			if err != ErrCookies || !cmp.Equal(got, Cookies{}) {
				t.Errorf("%v, %v", got.Session != "", err)
			}
		})
	}
}

func TestManyCookies(t *testing.T) {
	var in, others []string
	for i := range 200 {
		in = append(in, fmt.Sprintf("__Host-isogate_flow_%03d=s; c%d=v", 199-i, i))
		others = append(others, fmt.Sprintf("c%d=v", i))
	}
	got, err := ParseCookies([]string{strings.Join(in, "; ")})
	if err != nil || len(got.Flows) != 200 || got.Rest != strings.Join(others, "; ") {
		t.Errorf("%d flows, %v", len(got.Flows), err)
	}
}

// oauth2-proxy#3258: flow cookies of sign-ins that were never finished must not pile up until the header is too long.
func TestSurplusKeepsAtMostMaxFlows(t *testing.T) {
	for _, held := range []int{0, 1, MaxFlows - 1, MaxFlows, MaxFlows + 1, 200} {
		t.Run(fmt.Sprint(held), func(t *testing.T) {
			var c Cookies
			for i := range held {
				c.Flows = append(c.Flows, FlowCookie{Name: fmt.Sprintf("%03d", i)})
			}
			surplus := c.Surplus()
			if left := held - len(surplus) + 1; left > MaxFlows || left < MaxFlows && len(surplus) > 0 {
				t.Errorf("%d flows are left with the new one", left)
			}
			for i, f := range surplus {
				if f.Name != c.Flows[i].Name {
					t.Errorf("%s goes before the oldest", f.Name)
				}
			}
		})
	}
}

func TestFlowNamesSortByAge(t *testing.T) {
	last := ""
	for at := start; at.Before(start.AddDate(300, 0, 0)); at = at.AddDate(0, 3, 0).Add(time.Millisecond) {
		f := NewFlowCookie(at)
		if f.Name <= last {
			t.Fatalf("%s of %s sorts before %s", f.Name, at, last)
		}
		last = f.Name
	}
}

// Twenty tabs that start at one moment, and many more.
func TestFlowNamesAreUnique(t *testing.T) {
	const makers, each = 20, 500
	made := make(chan FlowCookie, makers*each)
	var all sync.WaitGroup
	for range makers {
		all.Go(func() {
			for range each {
				made <- NewFlowCookie(start)
			}
		})
	}
	all.Wait()
	close(made)
	names, secrets := map[string]bool{}, map[string]bool{}
	for f := range made {
		names[f.Name], secrets[f.Secret] = true, true
	}
	if len(names) != makers*each || len(secrets) != makers*each {
		t.Errorf("%d names and %d secrets", len(names), len(secrets))
	}
}

// GHSA-f24x, CVE-2025-55162: a browser removes a cookie only for the same name and attributes.
func TestSetAndClearHaveTheSameAttributes(t *testing.T) {
	f := NewFlowCookie(start)
	tests := []struct{ name, set, clear, cookie, age string }{
		{"session", SetSession("H"), ClearSession(), ours, ""},
		{"flow", f.Set(), f.Clear(), f.Name, "600"},
		{"outside", SetOutside("S", outside, start.Add(500*time.Millisecond)), ClearOutside(), federated, "86399"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, setAge := dissect(t, tt.set, tt.cookie)
			cleared, clearAge := dissect(t, tt.clear, tt.cookie)
			want := []string{"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
			if diff := cmp.Diff([][]string{want, want}, [][]string{set, cleared}); diff != "" {
				t.Error(diff)
			}
			if setAge != tt.age || clearAge != "0" {
				t.Errorf("Max-Age %q and %q", setAge, clearAge)
			}
		})
	}
	if !strings.HasPrefix(SetSession("H"), ours+"=H;") || !strings.HasPrefix(ClearSession(), ours+"=;") || !strings.HasPrefix(f.Clear(), f.Name+"=;") {
		t.Error("a value is not where it should be")
	}
}

// A browser keeps it for no longer than the session lasts, in whole seconds; what is over already is removed.
func TestMaxAgeOfASessionOutside(t *testing.T) {
	for name, tt := range map[string]struct {
		at   time.Time
		want string
	}{
		"a second left":      {outside.Ends.Add(-time.Second), federated + "=S; Max-Age=1; Path=/; Secure; HttpOnly; SameSite=Lax"},
		"less than a second": {outside.Ends.Add(-time.Millisecond), ClearOutside()},
		"at its end":         {outside.Ends, ClearOutside()},
		"after it":           {outside.Ends.Add(time.Hour), ClearOutside()},
	} {
		if got := SetOutside("S", outside, tt.at); got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// dissect gives the attributes of a Set-Cookie value but for Max-Age, in order, and that one's value.
func dissect(t *testing.T, line, name string) (attributes []string, age string) {
	t.Helper()
	parts := strings.Split(line, "; ")
	if got, _, _ := strings.Cut(parts[0], "="); got != name {
		t.Errorf("the name is %q", got)
	}
	for _, p := range parts[1:] {
		if value, ok := strings.CutPrefix(p, "Max-Age="); ok {
			age = value
		} else {
			attributes = append(attributes, p)
		}
	}
	return attributes, age
}

func TestACookieThatWeSetIsReadBack(t *testing.T) {
	h, f := Handle(random(32)), NewFlowCookie(start)
	pair := func(line string) string { p, _, _ := strings.Cut(line, ";"); return p }
	got, err := ParseCookies([]string{pair(SetSession(h)) + "; " + pair(f.Set())})
	if err != nil || got.Session != h || len(got.Flows) != 1 || got.Flows[0] != f || got.Rest != "" {
		t.Errorf("not what was set: %v", err)
	}
	if !got.Session.well() {
		t.Error("our own handle has not the form of one")
	}
}
