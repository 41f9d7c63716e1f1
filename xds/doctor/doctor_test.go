package doctor

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// clean is a complete ingress: nothing is found in it.
func clean(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile("testdata/clean.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// Places in the clean configuration. A dot is one step; a number is a place in a list.
const (
	listener = "static_resources.listeners.0"
	chain    = listener + ".filter_chains.0"
	hcm      = chain + ".filters.0.typed_config"
	filters  = hcm + ".http_filters"
	check    = filters + ".1.typed_config"
	routes   = hcm + ".route_config"
	issues   = routes + ".virtual_hosts.1"
	product  = issues + ".routes.1"
	callers  = chain + ".transport_socket.typed_config.require_client_certificate"
	tlsOf    = chain + ".transport_socket.typed_config.common_tls_context.tls_params"
)

// set puts a YAML value at a place; "" deletes what is there; a place that ends in + appends to its list or begins one.
func set(t *testing.T, tree map[string]any, at, text string) {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	steps := strings.Split(at, ".")
	var node any = tree
	put := func(any) { t.Fatal("no place") }
	for i, step := range steps {
		last := i == len(steps)-1
		switch holder := node.(type) {
		case map[string]any:
			key := strings.TrimSuffix(step, "+")
			put = func(v any) { holder[key] = v }
			if last && key != step {
				list, _ := holder[key].([]any)
				holder[key] = append(list, value)
				return
			}
			if last && text == "" {
				if _, ok := holder[key]; !ok {
					t.Fatalf("%s is not there to be deleted", at)
				}
				delete(holder, key)
				return
			}
			node = holder[key]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n >= len(holder) {
				t.Fatalf("%s: no %s", at, step)
			}
			put = func(v any) { holder[n] = v }
			node = holder[n]
		default:
			t.Fatalf("%s: nothing at %s", at, step)
		}
	}
	put(value)
}

func examined(t *testing.T, tree map[string]any) Report {
	t.Helper()
	raw, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Examine(raw)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

type change struct{ at, text string }

// mutant is the clean configuration with something changed, and what must be found: exactly that, or nothing where want is empty.
type mutant struct {
	name    string
	changes []change
	want    string // rule
	where   string // part of it
	reason  string // part of it
}

func (m mutant) test(t *testing.T) {
	tree := clean(t)
	for _, c := range m.changes {
		set(t, tree, c.at, c.text)
	}
	report := examined(t, tree)
	if m.want == "" {
		if len(report.Findings) > 0 {
			t.Errorf("found %v, want nothing", report.Findings)
		}
		return
	}
	if len(report.Findings) != 1 || report.Findings[0].Rule != m.want {
		t.Fatalf("found %v, want one %s", report.Findings, m.want)
	}
	f := report.Findings[0]
	if !strings.Contains(f.Where, m.where) || !strings.Contains(f.Reason, m.reason) {
		t.Errorf("found %+v, want %q at %q", f, m.reason, m.where)
	}
	if f.Severity == "" || f.Reason == "" || f.Mend == "" || strings.Contains(f.Reason+f.Mend, "%!") || strings.Contains(f.Reason, "%s") {
		t.Errorf("is not complete: %+v", f)
	}
}

func run(t *testing.T, mutants []mutant) {
	for _, m := range mutants {
		t.Run(m.name, m.test)
	}
}

func one(at, text string) []change { return []change{{at, text}} }

func TestClean(t *testing.T) {
	report := examined(t, clean(t))
	if len(report.Findings)+len(report.Notes) > 0 {
		t.Errorf("found %+v", report)
	}
}

// dump is the clean configuration as a running Envoy tells it: a dynamic listener, with its routes on their own.
func dump(t *testing.T, node string, changes ...change) []byte {
	t.Helper()
	tree := clean(t)
	for _, c := range changes {
		set(t, tree, c.at, c.text)
	}
	static := tree["static_resources"].(map[string]any)
	l := static["listeners"].([]any)[0].(map[string]any)
	manager := l["filter_chains"].([]any)[0].(map[string]any)["filters"].([]any)[0].(map[string]any)["typed_config"].(map[string]any)
	table := manager["route_config"].(map[string]any)
	delete(manager, "route_config")
	manager["rds"] = map[string]any{"route_config_name": table["name"], "config_source": map[string]any{"ads": map[string]any{}}}
	delete(tree, "static_resources")
	var nodeTree any
	if err := yaml.Unmarshal([]byte(node), &nodeTree); err != nil {
		t.Fatal(err)
	}
	tree["node"] = nodeTree
	typed := func(name string, m map[string]any) map[string]any {
		m["@type"] = "type.googleapis.com/envoy." + name
		return m
	}
	typed("config.listener.v3.Listener", l)
	typed("config.route.v3.RouteConfiguration", table)
	raw, err := json.Marshal(map[string]any{"configs": []any{
		typed("admin.v3.BootstrapConfigDump", map[string]any{"bootstrap": tree, "last_updated": "2026-01-01T00:00:00Z"}),
		typed("admin.v3.ListenersConfigDump", map[string]any{"dynamic_listeners": []any{
			map[string]any{"name": l["name"], "active_state": map[string]any{"version_info": "1", "listener": l}},
		}}),
		typed("admin.v3.RoutesConfigDump", map[string]any{"dynamic_route_configs": []any{map[string]any{"route_config": table}}}),
		typed("admin.v3.ANewKindOfDump", map[string]any{"x": 1}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDump(t *testing.T) {
	build := func(version string) string {
		return `{id: a, user_agent_build_version: {version: {major_number: 1, minor_number: ` + version + `}, a_new_field: 1}}`
	}
	cases := []struct {
		name string
		raw  []byte
		want string
	}{
		{"clean", dump(t, build("40")), ""},
		{"newer", dump(t, build("41, patch: 1")), ""},
		{"old", dump(t, build("39, patch: 9")), "old-envoy"},
		{"a listener's filter", dump(t, build("40"), change{check + ".failure_mode_allow", "true"}), "check-fails-open"},
		{"routes on their own", dump(t, build("40"), change{routes + ".ignore_path_parameters_in_path_matching", "true"}), "path-parameters"},
		{"routes that are not there", dump(t, build("40"), change{routes + ".name", ""}), ""},
	}
	cases[5].raw = []byte(strings.Replace(string(cases[5].raw), "admin.v3.RoutesConfigDump", "admin.v3.SecretsConfigDump", 1))
	cases[5].want = "unseen-routes"
	for _, c := range cases {
		report, err := Examine(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := rulesOf(report); got != c.want {
			t.Errorf("%s: found %v, want %q", c.name, report.Findings, c.want)
		}
		if notes := strings.Join(report.Notes, " "); !strings.Contains(notes, "ANewKindOfDump") {
			t.Errorf("%s: no note tells what was passed over: %q", c.name, notes)
		}
	}
}

func rulesOf(r Report) string {
	var names []string
	for _, f := range r.Findings {
		names = append(names, f.Rule)
	}
	return strings.Join(names, " ")
}

func TestUnreadable(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "a list": "[1]", "a text": "hello", "broken JSON": "{", "broken YAML": "a: [", "another thing": "kind: Pod\n",
		"two documents": "static_resources: {}\n---\nstatic_resources: {}\n", "configs that are no list": `{"configs": 1}`,
		"a wrong type": "static_resources: {listeners: 1}\n", "a wrong field": "static_resources: {listeners: [{name: [1]}]}\n",
		"a listener that is a cluster": `{"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "static_listeners":
			[{"listener": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster"}}]}]}`,
		"keys that are no texts": "static_resources: {1: {2: 3}}\n",
	} {
		if report, err := Examine([]byte(text)); err == nil {
			t.Errorf("%s: was read: %+v", name, report)
		}
	}
}

func FuzzExamine(f *testing.F) {
	raw, err := os.ReadFile("testdata/clean.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.ListenersConfigDump","dynamic_listeners":[{}]},{"@type":"x"},{"@type":1}]}`))
	f.Add([]byte(`static_resources: {listeners: [{filter_chains: [{filters: [{name: a, typed_config: {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct"}}]}]}]}`))
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = Examine(raw) }) // whatever it says, it returns
}
