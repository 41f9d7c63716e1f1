package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// sample has one key of every kind that the daemons' files have.
type sample struct {
	Name  string           `yaml:"name"`
	Port  int              `yaml:"port"`
	On    bool             `yaml:"on"`
	Rate  float64          `yaml:"rate"`
	Wait  Duration         `yaml:"wait"`
	At    Address          `yaml:"at"`
	Store Path             `yaml:"store"`
	Words []string         `yaml:"words"`
	Items []item           `yaml:"items"`
	Waits []Duration       `yaml:"waits"`
	Deep  struct{ In sub } `yaml:"deep"`
	Dial  Connect          `yaml:"dial"`
	Files map[string]item  `yaml:"files"`
	Other yaml.Node        `yaml:"other"`
}

type sub struct {
	Key string `yaml:"key"`
}

type item struct {
	ID   string `yaml:"id"`
	At   Address
	File Path
}

func (s *sample) Validate(f *Faults) {
	if s.Name == "" {
		f.Add("name", "is required")
	}
	if s.Deep.In.Key == "bad" {
		f.In("deep").In("in").Add("key", "must not be bad")
	}
	if s.Port < 0 {
		f.Add("port", "must not be negative")
	}
	for i, it := range s.Items {
		if it.ID == "" {
			f.In("items[%d]", i).Add("id", "is required")
		}
	}
	s.Dial.Validate(f.In("dial"))
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// faultLines gives the lines of a FileError with the folder cut off.
func faultLines(t *testing.T, file string, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*FileError](err); !ok {
		t.Fatalf("error is %T (%v), want *FileError", err, err)
	}
	return strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", ""), "\n")
}

func TestLoadFaults(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"good", "name: a\nwait: 30m\nat: 127.0.0.1:80\n", nil},
		{"unknown key", "name: a\nnmae: b\n", []string{`f.yaml:2: nmae: unknown key "nmae"`}},
		{"unknown key with spaces", "name: a\n\"a key\": b\n", []string{`f.yaml:2: a key: unknown key "a key"`}},
		{"unknown key with a line end and colour", "name: a\n\"a\\n\\e[31mb\": b\n", []string{"f.yaml:2: a\ufffd\ufffd[31mb: unknown key \"a\\n\\x1b[31mb\""}},
		{"unknown key deep", "name: a\ndeep:\n  in:\n    kee: x\n", []string{`f.yaml:4: deep.in.kee: unknown key "kee"`}},
		{"unknown key of an anonymous struct", "name: a\ndeep:\n  im: x\n", []string{`f.yaml:3: deep.im: unknown key "im"`}},
		{"doubled key", "name: a\nport: 1\nname: b\n", []string{`f.yaml:3: name: key "name" stands twice, first in line 1`}},
		{"doubled key deep, what stands under it is not called missing", "name: a\nitems:\n  - id: x\n    id: y\n  - at: h:1\n",
			[]string{`f.yaml:4: items[0].id: key "id" stands twice, first in line 3`}},
		{"doubled key, faults elsewhere stay", "deep:\n  in: {key: bad}\nitems:\n  - id: x\n    id: y\nnmae: a\n",
			[]string{"f.yaml:1: name: is required", "f.yaml:2: deep.in.key: must not be bad", `f.yaml:5: items[0].id: key "id" stands twice, first in line 4`, `f.yaml:6: nmae: unknown key "nmae"`}},
		{"text for a number", "name: a\nport: x\n", []string{"f.yaml:2: port: cannot be text here: want a whole number"}},
		{"fraction for a whole number", "name: a\nport: 1e30\n", []string{"f.yaml:2: port: cannot be a number here: want a whole number"}},
		{"text for a switch", "name: a\non: \"maybe\"\n", []string{"f.yaml:2: on: cannot be text here: want true or false"}},
		{"text for a fraction", "name: a\nrate: much\n", []string{"f.yaml:2: rate: cannot be text here: want a number"}},
		{"list for a text", "name: [a]\n", []string{"f.yaml:1: name: cannot be a list here: want text"}},
		{"list for a path", "name: a\nstore:\n  - x\n", []string{"f.yaml:3: store: cannot be a list here: want text"}},
		{"mapping for a list", "name: a\nitems:\n  id: x\n", []string{"f.yaml:3: items: cannot be a mapping here: want a list"}},
		{"mapping for a text", "name: a\nwords:\n  - b: c\n", []string{"f.yaml:3: words[0]: cannot be a mapping here: want text"}},
		{"text for a mapping", "name: a\ndeep: x\n", []string{"f.yaml:2: deep: cannot be text here: want a mapping"}},
		{"text of two lines for a number", "name: a\nport: \"x\\ny\"\n", []string{"f.yaml:2: port: cannot be text here: want a whole number"}},
		{"date for a number", "name: a\nport: 2026-01-02\n", []string{"f.yaml:2: port: cannot be a date here: want a whole number"}},
		{"a tag of its own", "name: a\nport: !hush 5\n", []string{"f.yaml:2: port: cannot be a value with a tag of its own here: want a whole number"}},
		{"the whole is a list", "- a\n- b\n", []string{"f.yaml:1: cannot be a list here: want a mapping"}},
		{"the whole is a text", "hello\n", []string{"f.yaml:1: cannot be text here: want a mapping"}},
		{"duration without a unit", "name: a\nwait: 30\n", []string{"f.yaml:2: wait: must be a time span with its unit, such as 30m or 12h"}},
		{"duration 0 without a unit", "name: a\nwait: 0\n", []string{"f.yaml:2: wait: must be a time span with its unit, such as 30m or 12h"}},
		{"negative duration", "name: a\nwait: -1s\n", []string{"f.yaml:2: wait: must be a time span with its unit, such as 30m or 12h"}},
		{"duration as a list", "name: a\nwait: [1s]\n", []string{"f.yaml:2: wait: must be a time span with its unit, such as 30m or 12h"}},
		{"address without a port", "name: a\nat: example\n", []string{"f.yaml:2: at: must be host:port, such as 127.0.0.1:8443"}},
		{"address as a URL", "name: a\nat: user@h/x:80\n", []string{"f.yaml:2: at: must be host:port, such as 127.0.0.1:8443"}},
		{"address with port 0", "name: a\nat: h:0\n", []string{"f.yaml:2: at: must end in a port from 1 to 65535"}},
		{"address with a signed port", "name: a\nat: h:+80\n", []string{"f.yaml:2: at: must end in a port from 1 to 65535"}},
		{"address with a large port", "name: a\nat: h:65536\n", []string{"f.yaml:2: at: must end in a port from 1 to 65535"}},
		{"second document", "name: a\n---\nname: b\n", []string{"f.yaml:2: a second document: one file holds one"}},
		{"second document that is empty", "name: a\n---\n", []string{"f.yaml:2: a second document: one file holds one"}},
		{"second document that is broken", "name: a\n---\nb: [\n", []string{"f.yaml:3: did not find expected node content"}},
		{"document end", "name: a\n...\n", nil},
		{"empty", "", []string{"f.yaml: is empty"}},
		{"comment only", "# nothing\n", []string{"f.yaml: is empty"}},
		{"lines above", "\n\n\nport: x\n", []string{"f.yaml:4: name: is required", "f.yaml:4: port: cannot be text here: want a whole number"}},
		{"an empty document", "---\n", []string{"f.yaml:1: name: is required"}},
		{"not YAML", "name: a\nport: [1\nat: b\n", []string{"f.yaml:2: did not find expected ',' or ']'"}},
		{"not YAML in the first line", "name: @x\n", []string{"f.yaml:1: found character that cannot start any token"}},
		{"not closed in the first line", "{name: a\n", []string{"f.yaml:1: did not find expected ',' or '}'"}},
		{"a key that stands too far left", "name: a\ndeep:\n    in:\n      key: a\n   port: 1\n", []string{"f.yaml:5: did not find expected key"}},
		{"a tab", "name: a\ndeep:\n\tin: x\n", []string{"f.yaml:3: found character that cannot start any token"}},
		{"a merge of no mapping", "name: a\nfiles: {<<: hush}\n", []string{"f.yaml: map merge requires map or sequence of maps as the value"}},
		{"control characters", "name: \x01\n", []string{"f.yaml: control characters are not allowed"}},
		{"binary", "\xff\xfe\x00", []string{"f.yaml: holds a value that cannot be read here, or is no YAML"}},
		{"several, in order of lines", "words: 5\nport: x\nfoo: 1\nwait: 3\nitems:\n  - id: a\n  - at: nowhere\ndeep: {in: {key: bad}}\n", []string{
			"f.yaml:1: name: is required",
			"f.yaml:1: words: cannot be a whole number here: want a list",
			"f.yaml:2: port: cannot be text here: want a whole number",
			`f.yaml:3: foo: unknown key "foo"`,
			"f.yaml:4: wait: must be a time span with its unit, such as 30m or 12h",
			"f.yaml:7: items[1].at: must be host:port, such as 127.0.0.1:8443",
			"f.yaml:7: items[1].id: is required",
			"f.yaml:8: deep.in.key: must not be bad",
		}},
		{"a missing key has its parent's line", "name: a\nitems:\n  - id: x\n  - at: h:1\n    file: f\n", []string{"f.yaml:4: items[1].id: is required"}},
		{"a missing key of the whole has the first line", "# c\nport: 1\n", []string{"f.yaml:2: name: is required"}},
		{"an item of the wrong type keeps the others' places", "name: a\nitems:\n  - 5\n  - at: h:1\n", []string{"f.yaml:3: items[0]: cannot be a whole number here: want a mapping"}},
		{"flow style, one fault", "name: a\nitems: [{id: x, at: nowhere}, {id: y, at: 'h:1'}]\n", []string{"f.yaml:2: items[0].at: must be host:port, such as 127.0.0.1:8443"}},
		{"flow style, by type", "{name: a, port: x, on: true}\n", []string{"f.yaml:1: port: cannot be text here: want a whole number"}},
		{"flow style, two that could be meant", "name: a\nfiles: {a: {id: [1]}, b: {id: [2]}}\n", []string{
			"f.yaml:2: files: cannot be a list here: want text", "f.yaml:2: files: cannot be a list here: want text"}},
		{"flow style, unknown key", "name: a\nitems: [{id: x}, {id: y, ad: z}]\n", []string{`f.yaml:2: items[1].ad: unknown key "ad"`}},
		{"flow style over lines", "name: a\nitems: [\n  {id: x,\n   at: bad}]\n", []string{"f.yaml:4: items[0].at: must be host:port, such as 127.0.0.1:8443"}},
		{"an item of a list of durations", "name: a\nwaits: [1s, 2, 3s]\n", []string{"f.yaml:2: waits[1]: must be a time span with its unit, such as 30m or 12h"}},
		{"anchors", "name: &n a\nwords: [*n, *n]\n", nil},
		{"a fault at an anchor", "name: a\nwords: [&n nowhere]\nat: *n\n", []string{"f.yaml:2: words[0]: must be host:port, such as 127.0.0.1:8443"}},
		{"unknown anchor", "name: *hush\n", []string{"f.yaml: refers with * to an anchor that no & sets"}},
		{"an anchor inside itself", "name: a\nitems: &x [*x]\n", []string{"f.yaml:2: items: cannot be a list here: want a mapping"}},
		{"an anchor inside itself, in another daemon's section", "name: a\nother: &x [*x]\n", nil},
		{"faults beside another daemon's section", "name: a\nother: {what: ever, at: 5}\nport: x\n", []string{"f.yaml:3: port: cannot be text here: want a whole number"}},
		{"connect, the same order every time", "name: a\ndial: {c: d, a: 'b:1'}\n", []string{
			`f.yaml:2: dial: "a" must be host:port, such as 127.0.0.1:8443`,
			`f.yaml:2: dial: "c" must be host:port, such as 127.0.0.1:8443`,
			`f.yaml:2: dial: "d" must be host:port, such as 127.0.0.1:8443`}},
		{"null is absent", "name:\nwait:\n", []string{"f.yaml:1: name: is required"}},
		{"huge", "name: a\n#" + strings.Repeat("x", maxFile), []string{"f.yaml: is larger than 1048576 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, tt.in)
			if diff := cmp.Diff(tt.want, faultLines(t, file, Load(file, new(sample)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An alias bomb is refused as a whole, and quickly.
func TestLoadAliasBomb(t *testing.T) {
	bomb := "name: a\nother:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i, c := range "bcdefgh" {
		ref := "*a" + string(rune('0'+i))
		bomb += "  - &a" + string(rune('1'+i)) + " [" + strings.Join(slices.Repeat([]string{ref}, 9), ", ") + "] # " + string(c) + "\n"
	}
	for name, in := range map[string]string{"own section": strings.Replace(bomb, "other:", "words:", 1), "another's section": bomb} {
		start := time.Now()
		err := Load(write(t, in), new(sample))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %s (%v)", name, took, err)
		}
		if (err == nil) != (name == "another's section") {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	for name, file := range map[string]string{"missing": filepath.Join(dir, "none.yaml"), "a folder": dir} {
		err := Load(file, new(sample))
		if _, isFault := errors.AsType[*FileError](err); err == nil || isFault || !strings.HasPrefix(err.Error(), "daemon: ") || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error = %v, want one that starts with daemon: and names the file", name, err)
		}
	}
	if err := Load("/dev/zero", new(sample)); err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("a file without an end: error = %v", err)
	}
}

// A value of the wrong type may be a secret that was pasted where its file's name belongs.
func TestLoadEchoesNoValue(t *testing.T) {
	const secret = "hunter2" // seven bytes: what the YAML library quotes of a longer one
	for _, in := range []string{
		"port: hunter2", "port: hunter2-and-more", "port: \"hunter2\\nx\"", "port: \"x\\nhunter2\"", "port: \"`hunter2`\"", "port: !t hunter2",
		"port: !hunter2 x", "port: !hunter2", "on: hunter2", "wait: hunter2", "at: hunter2", "at: hunter2:x", "at: hunter2:0", "items: hunter2",
		"items: [hunter2]", "deep: hunter2", "words: hunter2", "dial: hunter2", "port: !!int hunter2", "rate: !!float hunter2", "on: !!bool hunter2",
		"port: *hunter2", "port: &hunter2 [*hunter2]", "store: !!binary hunter2", "store: [hunter2]", "name: [hunter2]", "port: @hunter2", "port: %hunter2", "deep: {<<: hunter2}",
		"waits: [hunter2]", "port: 'hunter2", "port: {hunter2", "port: \"\\hunter2\"", "hunter2", "- hunter2",
	} {
		err := Load(write(t, in+"\n"), new(sample))
		if err == nil {
			t.Errorf("%q loads", in)
		} else if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), secret[:3]) {
			t.Errorf("%q is echoed: %v", in, err)
		}
	}
}

func TestLoadResolvesPaths(t *testing.T) {
	file := write(t, "name: a\nstore: sub/../s.db\nitems:\n  - {id: a, file: x}\n  - {id: b, file: /abs}\nfiles: {k: {file: y}}\nother: {file: z}\n")
	dir := filepath.Dir(file)
	t.Chdir(filepath.Dir(dir)) // the working folder has no say
	relative := filepath.Join(filepath.Base(dir), "f.yaml")
	for _, name := range []string{file, relative} {
		var s sample
		if err := Load(name, &s); err != nil {
			t.Fatal(err)
		}
		got := []Path{s.Store, s.Items[0].File, s.Items[1].File, s.Files["k"].File}
		want := []Path{Path(dir + "/s.db"), Path(dir + "/x"), "/abs", Path(dir + "/y")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestLoadAbsentPathStaysAbsent(t *testing.T) {
	var s sample
	if err := Load(write(t, "name: a\n"), &s); err != nil || s.Store != "" {
		t.Errorf("store = %q, %v; want none", s.Store, err)
	}
}

func TestDuration(t *testing.T) {
	var s sample
	if err := Load(write(t, "name: a\nwait: 1h30m\n"), &s); err != nil || time.Duration(s.Wait) != 90*time.Minute {
		t.Fatalf("wait = %v, %v", time.Duration(s.Wait), err)
	}
	if got := s.Wait.Or(time.Second); got != 90*time.Minute {
		t.Errorf("Or of a given span = %s", got)
	}
	if got := Duration(0).Or(time.Second); got != time.Second {
		t.Errorf("Or of none = %s", got)
	}
	if text, err := yaml.Marshal(s.Wait); err != nil || string(text) != "1h30m0s\n" {
		t.Errorf("written as %q, %v", text, err)
	}
}

func TestAddressSplit(t *testing.T) {
	for in, want := range map[Address]struct {
		host string
		port int
	}{"127.0.0.1:80": {"127.0.0.1", 80}, ":8443": {"", 8443}, "[::1]:9": {"::1", 9}, "": {"", 0}} {
		if host, port := in.Split(); host != want.host || port != want.port {
			t.Errorf("%q splits into %q and %d", in, host, port)
		}
	}
}

func TestFaultsOrder(t *testing.T) {
	f := NewFaults()
	f.put(Fault{Line: 9, Text: "nine"})
	f.put(Fault{Line: 2, Path: "b", Text: "x"})
	f.put(Fault{Line: 2, Path: "a", Text: "y"})
	f.put(Fault{Text: "no line"})
	want := []Fault{{Text: "no line"}, {Line: 2, Path: "a", Text: "y"}, {Line: 2, Path: "b", Text: "x"}, {Line: 9, Text: "nine"}}
	if diff := cmp.Diff(want, f.All()); diff != "" {
		t.Error(diff)
	}
}
