package kubernetes

import (
	"bytes"
	"maps"
	"os"
	"path"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// write makes a manifest of ConfigMaps, each by its namespace/name.
func write(t *testing.T, file string, all map[string]map[string]string) {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("# Written by: go test ./examples/kubernetes -update\n")
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := encoder.Encode(configMap(name, all[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// configMap is written by hand as a tree, so that its texts stay readable.
func configMap(name string, data map[string]string) *yaml.Node {
	texts := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		texts.Content = append(texts.Content, text(key, 0), text(data[key], yaml.LiteralStyle))
	}
	meta := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		text("name", 0), text(path.Base(name), 0), text("namespace", 0), text(path.Dir(name), 0),
	}}
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		text("apiVersion", 0), text("v1", 0), text("kind", 0), text("ConfigMap", 0), text("metadata", 0), meta, text("data", 0), texts,
	}}
}

func text(value string, style yaml.Style) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: style}
}
