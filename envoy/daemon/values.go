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
	_, port, err := net.SplitHostPort(node.Value)
	if err != nil {
		return typeError(node, "must be host:port, such as 127.0.0.1:8443")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return typeError(node, "must end in a port from 1 to 65535")
	}
	*a = Address(node.Value)
	return nil
}

// Split gives the two halves of an address that was read from a file.
func (a Address) Split() (host string, port int) {
	host, p, _ := net.SplitHostPort(string(a))
	port, _ = strconv.Atoi(p)
	return host, port
}

func typeError(node *yaml.Node, text string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", node.Line, text)}}
}

// Path is a file or folder. Load makes it absolute: relative ones start at the folder of the file that names them.
type Path string

// resolvePaths joins every relative Path below a value with a folder.
func resolvePaths(v reflect.Value, dir string) {
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
	case reflect.Slice:
		for i := range v.Len() {
			resolvePaths(v.Index(i), dir)
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[Path]() && v.CanSet() && v.Len() > 0 && !filepath.IsAbs(v.String()) {
			v.SetString(filepath.Join(dir, v.String()))
		}
	}
}

// Secret holds bytes that never appear in a log line, an error or a dump: every way of printing it says [redacted].
type Secret struct{ value []byte }

const redacted = "[redacted]"

// ReadSecret reads a secret from its file, the only way to configure one; one line end after it is dropped.
func ReadSecret(file Path) (Secret, error) {
	raw, err := os.ReadFile(string(file))
	if err != nil {
		return Secret{}, fmt.Errorf("daemon: reading a secret: %w", err)
	}
	value := bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	if len(value) == 0 {
		return Secret{}, fmt.Errorf("daemon: the secret file %s is empty", file)
	}
	return Secret{value: value}, nil
}

// Reveal gives the bytes to the one place that needs them.
func (s Secret) Reveal() []byte { return s.value }

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
