package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"isogate/policies"
)

// gatewayPolicy exposes paths of the product issues to the one caller, each by a name that stands for it.
func gatewayPolicy(methods, paths []string) string {
	var text strings.Builder
	text.WriteString("package isogate.gateway\n\n")
	for i, path := range paths {
		fmt.Fprintf(&text, "endpoints[\"e%d\"] := {\"product\": \"issues\", \"method\": %q, \"path\": %q, \"body\": \"none\", \"callers\": [%q]}\n",
			i, methods[i], path, supportID)
	}
	text.WriteString("decision := {\"allow\": true, \"reason\": \"exposed\"}\n")
	return text.String()
}

const ingressPolicy = "package isogate.ingress\n\nanonymous := {}\n\ndecision := {\"allow\": true, \"reason\": \"signed-in\"}\n"

// bundleOf loads what policies make of paths; ok is false where they refuse them.
func bundleOf(t *testing.T, methods, paths []string) (*policies.Bundle, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ingress.rego"), []byte(ingressPolicy))
	write(t, filepath.Join(dir, "gateway.rego"), []byte(gatewayPolicy(methods, paths)))
	return policies.Load(t.Context(), dir)
}

// cut is in paths that some products read as another, shorter one. Neither Envoy nor the policies have an endpoint for them.
var cut = regexp.MustCompile(`(?i);|%3b|%3f|%23`)

// Envoy's route and the policies' own match name one endpoint for each method and path, or both none: the check would refuse the call otherwise.
func TestEnvoyAndThePoliciesAgree(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	random := rand.New(rand.NewPCG(3, 4))
	segments := []string{"a", "ab", "b", "a.b", "x-y_z~", "a!$&'()+,=:@", "{v}", "{v}", "{v}"}
	asked := []string{"a", "ab", "abc", "b", "a.b", "a.c", "x-y_z~", "a!$&'()*+,=:@", "%20", "%C3%A9", "a;x", ";", "a%3Bx", "a%3fx", "%23", "[a]", "a%2Cb", "...", ""}
	draw := func(from []string, most int) string {
		path := ""
		for i := range 1 + random.IntN(most) {
			path += "/" + strings.ReplaceAll(from[random.IntN(len(from))], "v", fmt.Sprint("v", i))
		}
		return path + []string{"", "", "", "/"}[random.IntN(4)]
	}
	compared, matched, withheld := 0, 0, 0
	for range 25 {
		bundle := w.drawn(t, random, func() string { return draw(segments, 4) })
		w.set(t, "route", bundle.EndpointsAt(time.Now()))
		paths := bundle.EndpointsAt(time.Now())
		for i := range 120 {
			path := draw(asked, 4)
			if i < len(paths) { // each endpoint is hit at least once
				path = filled(random, paths[i].Path, asked)
			}
			method := []string{"GET", "HEAD", "POST"}[random.IntN(3)]
			seen, id, ok := w.route(t, method, path)
			if !ok {
				continue // Envoy itself refuses the path
			}
			want := "-"
			e, found := bundle.Match("issues", method, seen, time.Now())
			if found {
				want, matched = e.ID, matched+1
			}
			if cut.MatchString(seen) {
				if found || id != "-" {
					t.Fatalf("%s %s: the policies chose %s, Envoy %s", method, seen, want, id)
				}
				withheld++
				continue
			}
			if compared++; id != want {
				t.Fatalf("%s %s, seen as %s: Envoy chose %s, the policies %s, of\n%s", method, path, seen, id, want, list(bundle))
			}
		}
	}
	if compared < 1500 || matched < 300 || withheld < 50 {
		t.Errorf("%d were compared, %d matched and %d were withheld: this proves little", compared, matched, withheld)
	}
}

func list(b *policies.Bundle) (text string) {
	for _, e := range b.Endpoints() {
		text += e.ID + " " + e.Method + " " + e.Path + "\n"
	}
	return text
}

// drawn is a bundle of up to sixty endpoints: each path that the policies refuse beside the others is left out.
func (w *gatewayWorld) drawn(t *testing.T, random *rand.Rand, draw func() string) *policies.Bundle {
	t.Helper()
	var methods, paths []string
	for range 5 + random.IntN(55) {
		methods, paths = append(methods, []string{"GET", "HEAD", "POST"}[random.IntN(3)]), append(paths, draw())
	}
	for {
		bundle, err := bundleOf(t, methods, paths)
		if err == nil {
			return bundle
		}
		kept := 0
		for i := range paths {
			if !strings.Contains(err.Error(), fmt.Sprintf("[\"e%d\"]", i)) {
				methods[kept], paths[kept] = methods[i], paths[i]
				kept++
			}
		}
		if kept == len(paths) {
			t.Fatalf("the policies refuse something else: %v", err)
		}
		methods, paths = methods[:kept], paths[:kept]
	}
}

// filled is a path with values in the places of variables.
func filled(random *rand.Rand, template string, values []string) string {
	parts := strings.Split(template, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = values[random.IntN(len(values))]
		}
	}
	return strings.Join(parts, "/")
}

// route asks for a path, and gives the path and the endpoint of which the check was told; not ok if the check was not asked.
func (w *gatewayWorld) route(t *testing.T, method, path string) (seen, id string, ok bool) {
	t.Helper()
	w.check.tell(deny(403, ""))
	request := method + " " + path + " HTTP/1.1\r\nHost: " + issuesGateway + "\r\nContent-Length: 0\r\n\r\n"
	if w.open == nil {
		conn, err := w.dial(w.tls(w.caller))
		if err != nil {
			t.Fatal(err)
		}
		w.open = conn
	}
	_ = w.open.SetDeadline(time.Now().Add(10 * time.Second))
	response := ask(t, w.open, request)
	if method != http.MethodHead {
		read(t, response)
	}
	if response.Header.Get("Connection") == "close" || response.Close {
		w.open.Close()
		w.open = nil
	}
	asked := w.check.questions()
	if len(asked) == 0 {
		return "", "", false
	}
	seen = asked[0].GetAttributes().GetRequest().GetHttp().GetPath()
	return seen, chosen(asked[0]), true
}
