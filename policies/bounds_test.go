package policies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// written gives n endpoints, the path of each by its number.
func written(n int, path func(int) string) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(exposed(fmt.Sprintf("e%05d", i), "path", regoString(path(i))))
	}
	return text.String()
}

// Envoy tries the templates that begin alike one after the other, so there are few of them; the method does not matter.
func TestEndpointsThatBeginAlike(t *testing.T) {
	alike := func(i int) string { return fmt.Sprintf("/a/{x}/%d", i) }
	mustLoad(t, gatewayOf(t, written(maxAlike, alike)))
	refused(t, gatewayOf(t, written(maxAlike+5, alike)), `gateway.rego:260: endpoints["e00256"]: is one too many`, "at most 256 can be /a/",
		"write more of them out before the first variable")
	refused(t, gatewayOf(t, written(maxAlike, alike)+exposed("z", "method", `"POST"`, "path", `"/a/{y}/z"`)), `endpoints["z"]: is one too many`)
	mustLoad(t, gatewayOf(t, written(maxAlike, alike)+exposed("z", "path", `"/b/{x}"`)+exposed("y", "product", `"wiki"`, "path", `"/a/{x}"`)))
	mustLoad(t, gatewayOf(t, written(4*maxAlike, func(i int) string { return fmt.Sprintf("/a/%d/{x}", i) })))
}

// scattered puts two variables of 32 segments at one of 64 pairs of places, with literals that no two paths share.
func scattered(i int) string {
	segments := strings.Split(strings.Repeat(fmt.Sprintf("/s%d", i), maxSegments), "/")[1:]
	segments[1+i%8], segments[9+i/8%8] = "{a}", "{b}"
	return "/" + strings.Join(segments, "/")
}

func TestTooManyPlacesOfVariables(t *testing.T) {
	all := written(maxShapes, scattered)
	mustLoad(t, gatewayOf(t, all+exposed("z", "path", regoString(scattered(maxShapes)))))
	more := exposed("z", "path", regoString("/{c}"+strings.Repeat("/x", maxSegments-1)))
	refused(t, gatewayOf(t, all+more), `gateway.rego:68: endpoints["z"]: is one too many`, `GET paths of "issues" with 32 segments`, "at 64 different places")
	mustLoad(t, gatewayOf(t, all+strings.Replace(more, "GET", "POST", 1)))
}

// As many endpoints as there can be, at as many places as there can be, are compared within the time of one Load; and one
// that must end does.
func TestComparingEnds(t *testing.T) {
	var list []Endpoint
	for i := range maxEndpoints {
		list = append(list, Endpoint{ID: fmt.Sprintf("%05d", i), Product: "p", Method: "GET", Path: scattered(i)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*evalLimit)
	defer cancel()
	if found, err := conflicts(ctx, list); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	cancel()
	if _, err := conflicts(ctx, list); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
