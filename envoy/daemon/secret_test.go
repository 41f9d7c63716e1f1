package daemon

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const hush = "hunter2hunter2"

func secretFile(t *testing.T, content string) Path {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Path(file)
}

func readHush(t *testing.T) Secret {
	t.Helper()
	s, err := ReadSecret(secretFile(t, hush+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leaks is true for the secret as text, as hexadecimal of both cases, as numbers and in base64.
func leaks(printed string) bool {
	printed = strings.ToLower(printed)
	for _, form := range []string{"hunter", "68756e746572", "68 75 6e", "104 117 110", "104,117,110", "0x68, 0x75", "0x68 0x75", "ahvudgvy"} {
		if strings.Contains(printed, form) {
			return true
		}
	}
	return false
}

func TestSecretNeverPrints(t *testing.T) {
	s := readHush(t)
	type exported struct{ Key Secret }
	type hidden struct{ key Secret }
	type nested struct{ inner *hidden }
	for name, value := range map[string]any{
		"itself": s, "pointer": &s, "list": []Secret{s}, "map": map[string]Secret{"k": s}, "field": exported{s}, "pointer to a field": &exported{s},
		"hidden field": hidden{s}, "pointer to a hidden field": &hidden{s}, "nested": nested{&hidden{s}}, "any": []any{s}, "array": [1]Secret{s},
	} {
		for verb := rune('A'); verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", " ", "-40", "040", ".3", "# "} {
				if printed := fmt.Sprintf("%"+flags+string(verb), value); leaks(printed) {
					t.Errorf("%s: %%%s%c prints %s", name, flags, verb, printed)
				}
			}
		}
		if printed := fmt.Sprint(value) + fmt.Sprintln(value) + errors.Join(fmt.Errorf("it is %v", value)).Error(); leaks(printed) {
			t.Errorf("%s: prints %s", name, printed)
		}
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).With("with", value).Info("m", "key", value, slog.Group("g", "key", value))
		slog.New(slog.NewTextHandler(&out, nil)).With("with", value).Info("m", "key", value, slog.Group("g", "key", value))
		asJSON, _ := json.Marshal(value)
		asXML, _ := xml.Marshal(value)
		out.Write(asJSON)
		out.Write(asXML)
		if leaks(out.String()) {
			t.Errorf("%s: leaks in a log or as text: %s", name, out.String())
		}
	}
}

// What is printed is the word and not nothing, so that a reader knows what stood there.
func TestSecretSaysRedacted(t *testing.T) {
	s := readHush(t)
	asJSON, _ := json.Marshal(map[string]any{"k": s})
	asYAML, _ := yaml.Marshal(map[string]any{"k": s})
	var text, lines bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "key", s)
	slog.New(slog.NewJSONHandler(&lines, nil)).Info("m", "key", s)
	for name, got := range map[string]string{
		"v": fmt.Sprintf("%v", s), "x": fmt.Sprintf("%x", s), "d": fmt.Sprintf("%d", s), "sharp v": fmt.Sprintf("%#v", s), "String": s.String(), "GoString": s.GoString(),
		"JSON": string(asJSON), "YAML": string(asYAML), "text log": text.String(), "JSON log": lines.String(), "error": fmt.Errorf("a %s", s).Error(),
	} {
		if !strings.Contains(got, "[redacted]") {
			t.Errorf("%s gives %q", name, got)
		}
	}
}

func TestReadSecret(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "abc", "abc"},
		{"one line end", "abc\n", "abc"},
		{"one DOS line end", "abc\r\n", "abc"},
		{"only one", "abc\n\n", "abc\n"},
		{"a return that ends no line", "abc\r", "abc\r"},
		{"spaces belong to it", " a b ", " a b "},
		{"bytes", "\x00\xff", "\x00\xff"},
	}
	for _, tt := range tests {
		if s, err := ReadSecret(secretFile(t, tt.in)); err != nil || string(s.Reveal()) != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, s.Reveal(), err, tt.want)
		}
	}
	for _, empty := range []string{"", "\n", "\r\n"} {
		if _, err := ReadSecret(secretFile(t, empty)); err == nil || !strings.Contains(err.Error(), "is empty") {
			t.Errorf("a file with %q: error = %v", empty, err)
		}
	}
	if _, err := ReadSecret("/nowhere/secret"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: error = %v", err)
	}
	if got := (Secret{}).Reveal(); got != nil {
		t.Errorf("the zero Secret reveals %q", got)
	}
}

// A secret has no way into a file but by the name of its own.
func TestSecretIsNotReadFromYAML(t *testing.T) {
	var into struct{ Key Secret }
	if err := yaml.Unmarshal([]byte("key: "+hush), &into); err == nil || into.Key.Reveal() != nil {
		t.Errorf("read as %q, %v", into.Key.Reveal(), err)
	}
}
