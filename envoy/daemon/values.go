package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Duration is a time span that is written with its unit, such as 30m or 12h. A bare number is a fault: nobody can tell its unit.
type Duration time.Duration

// UnmarshalYAML accepts what time.ParseDuration does, and nothing negative.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	span, err := time.ParseDuration(node.Value)
	if err != nil || span < 0 || node.Tag != "!!str" {
		return typeError(node, "must be a time span with its unit, such as 30m or 12h")
	}
	*d = Duration(span)
	return nil
}

// MarshalYAML writes the span as it is read.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Or is the span, or another where none was given.
func (d Duration) Or(other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return time.Duration(d)
}

// Address is a host:port; the host may be empty only where a listener means every address.
type Address string

// UnmarshalYAML wants host:port with a port from 1 to 65535.
func (a *Address) UnmarshalYAML(node *yaml.Node) error {
	if fault := addressFault(node.Value); fault != "" {
		return typeError(node, fault)
	}
	*a = Address(node.Value)
	return nil
}

// addressFault says what keeps a text from being an address, or nothing.
func addressFault(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/@?#\\", r) }) {
		return "must be host:port, such as 127.0.0.1:8443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 { // unlike Atoi it takes no sign
		return "must end in a port from 1 to 65535"
	}
	return ""
}

// Split gives the two halves of an address that was read from a file.
func (a Address) Split() (host string, port int) {
	host, p, _ := net.SplitHostPort(string(a))
	port, _ = strconv.Atoi(p)
	return host, port
}

// typeError never quotes the value: it may be a secret in the wrong place. The column leads typeFault to the node.
func typeError(node *yaml.Node, text string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: column %d: %s", node.Line, node.Column, text)}}
}

// Path is a file or folder. Load makes it absolute: relative ones start at the folder of the file that names them.
type Path string

// resolvePaths joins every relative Path below a value with a folder. A part that another daemon reads has none, and may hold itself.
func resolvePaths(v reflect.Value, dir string) {
	if v.Type() == reflect.TypeFor[yaml.Node]() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			resolvePaths(v.Elem(), dir)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				resolvePaths(v.Field(i), dir)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			resolvePaths(v.Index(i), dir)
		}
	case reflect.Map: // whose values cannot be set in place
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			resolvePaths(value, dir)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[Path]() && v.CanSet() && v.Len() > 0 && !filepath.IsAbs(v.String()) {
			v.SetString(filepath.Join(dir, v.String()))
		}
	}
}

// Secret holds bytes that never appear in a log line, an error or a dump: every way of printing it says [redacted]. Where fmt cannot ask it,
// in an unexported field or for the verb p, it walks the value by reflection and finds the address of a function instead of the bytes.
type Secret struct{ reveal func() []byte }

const redacted = "[redacted]"

// ReadSecret reads a secret from its file, the only way to configure one; one line end after it is dropped.
func ReadSecret(file Path) (Secret, error) {
	raw, err := os.ReadFile(string(file))
	if err != nil {
		return Secret{}, fmt.Errorf("daemon: reading a secret: %w", err)
	}
	value, ended := bytes.CutSuffix(raw, []byte("\n"))
	if ended {
		value = bytes.TrimSuffix(value, []byte("\r"))
	}
	if len(value) == 0 {
		return Secret{}, fmt.Errorf("daemon: the secret file %s is empty", file)
	}
	return Secret{reveal: func() []byte { return value }}, nil
}

// ReadLastingKey reads a key that ids are derived with, of 32 bytes or more. Its errors name the place in the file, and how to make one.
func ReadLastingKey(where string, file Path) ([]byte, error) {
	key, err := ReadSecret(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (make it once, with: head -c 32 /dev/urandom | base64 > %s; it must never change)", where, err, file)
	}
	if len(key.Reveal()) < 32 {
		return nil, fmt.Errorf("%s: %s holds fewer than 32 bytes", where, file)
	}
	return key.Reveal(), nil
}

// Reveal gives the bytes to the one place that needs them; nil for the zero Secret.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// String says [redacted].
func (Secret) String() string { return redacted }

// GoString says [redacted].
func (Secret) GoString() string { return redacted }

// Format says [redacted] for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue says [redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText says [redacted], in JSON and YAML too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
