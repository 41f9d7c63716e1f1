package daemon

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var step = regexp.MustCompile(`[^.\[\]]+|\[\d+\]`)

// lineAt follows a path as far as the file goes, and gives the line where it ends.
func lineAt(node *yaml.Node, path string) int {
	line := node.Line
	for _, s := range step.FindAllString(path, -1) {
		next, at := child(node, s)
		if next == nil {
			return line
		}
		node, line = next, at
	}
	return line
}

func child(node *yaml.Node, s string) (*yaml.Node, int) {
	if i, err := strconv.Atoi(strings.Trim(s, "[]")); err == nil && node.Kind == yaml.SequenceNode {
		if i < len(node.Content) {
			return node.Content[i], node.Content[i].Line
		}
		return nil, 0
	}
	if node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == s {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	}
	return nil, 0
}

// keyAt matches a key in a line.
func keyAt(line int, name string) func(key, value *yaml.Node) bool {
	return func(key, _ *yaml.Node) bool { return key != nil && key.Line == line && key.Value == name }
}

// pathTo is the path of the one key or item that matches; where several do, as they may in flow style, it is that of what holds them all.
func pathTo(root *yaml.Node, match func(key, value *yaml.Node) bool) string {
	if match(nil, root) {
		return ""
	}
	path, _ := search(root, "", match)
	return path
}

func search(node *yaml.Node, path string, match func(key, value *yaml.Node) bool) (string, bool) {
	var found []string
	take := func(key, value *yaml.Node, here string) {
		if match(key, value) {
			found = append(found, here)
		} else if deeper, ok := search(value, here, match); ok {
			found = append(found, deeper)
		}
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			take(node.Content[i], node.Content[i+1], join(path, node.Content[i].Value))
		}
	case yaml.SequenceNode:
		for i, n := range node.Content {
			take(nil, n, fmt.Sprintf("%s[%d]", path, i))
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return path, len(found) > 1
}

// below is true for a path and whatever stands under it; everything stands under "".
func below(path, top string) bool {
	rest, ok := strings.CutPrefix(path, top)
	return ok && (top == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
