package check

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestParseReadsAWholeQuestion(t *testing.T) {
	got, err := parse(question("POST", "Issues.ACME.example", "/a/b?x=/../%2f&y", "Cookie", "a=1", "cookie", "b=2", "X-Name", "Zoë\ttab", "x-empty", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		Method: "POST", Host: issuesHost, Path: "/a/b", Query: "x=/../%2f&y", SNI: issuesHost, Address: netip.MustParseAddr("192.0.2.1"),
		Header: Header{"cookie": {"a=1", "b=2"}, "x-name": {"Zoë\ttab"}, "x-empty": {""}}, Route: Route{Product: "issues"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if got.Target() != "/a/b?x=/../%2f&y" {
		t.Errorf("target %q", got.Target())
	}
}

// CVE-2026-73547: what has no path, no method or no request at all is refused, without a panic.
func TestAbsentPartsAreRefused(t *testing.T) {
	without := func(change func(*auth.AttributeContext)) *auth.CheckRequest {
		in := question("GET", issuesHost, "/")
		change(in.Attributes)
		return in
	}
	tests := []struct {
		name string
		in   *auth.CheckRequest
	}{
		{"nothing", nil},
		{"empty", &auth.CheckRequest{}},
		{"no attributes of a request", &auth.CheckRequest{Attributes: &auth.AttributeContext{}}},
		{"no HTTP", without(func(a *auth.AttributeContext) { a.Request = &auth.AttributeContext_Request{} })},
		{"empty HTTP", without(func(a *auth.AttributeContext) { a.Request.Http = &auth.AttributeContext_HttpRequest{} })},
		{"no method", without(func(a *auth.AttributeContext) { a.Request.Http.Method = "" })},
		{"no path", without(func(a *auth.AttributeContext) { a.Request.Http.Path = "" })},
		{"no host", without(func(a *auth.AttributeContext) { a.Request.Http.Host = "" })},
		{"no raw headers", without(func(a *auth.AttributeContext) { a.Request.Http.HeaderMap = nil })},
		{"the joined headers only", without(func(a *auth.AttributeContext) {
			a.Request.Http.HeaderMap, a.Request.Http.Headers = nil, map[string]string{"cookie": "a=1,b=2"}
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parse(tt.in); err == nil || !cmp.Equal(got, Request{}, cmpopts.EquateComparable(netip.Addr{})) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if _, err := parse(tests[len(tests)-1].in); !errors.Is(err, errRawHeaders) {
		t.Errorf("Envoy's own fault is not told apart: %v", err)
	}
}

func TestMethods(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true,
		"TRACE": false, "CONNECT": false, "TRACK": false, "PROPFIND": false, "get": false, "Get": false, " GET": false, "GET ": false, "*": false, "G\x00ET": false,
	} {
		if _, err := parse(question(method, issuesHost, "/")); (err == nil) != want {
			t.Errorf("%q: %v", method, err)
		}
	}
	for _, target := range []string{"*", "", "acme.example:443", "?x", "*?x", "http://acme.example/"} {
		for _, method := range []string{"OPTIONS", "CONNECT", "GET"} {
			if _, err := parse(question(method, issuesHost, target)); err == nil {
				t.Errorf("%s %q passes", method, target)
			}
		}
	}
}

// The query is the product's affair: whatever stands there, the path is what stands before the first question mark.
func TestTheQueryIsNoPartOfThePath(t *testing.T) {
	tests := []struct{ name, in, path, query string }{
		{"none", "/a", "/a", ""},
		{"empty", "/a?", "/a", ""},
		{"two marks", "/a??b?c", "/a", "?b?c"},
		{"escapes and dots", "/a?x=/../%2f..//b%zz%00", "/a", "x=/../%2f..//b%zz%00"},
		{"an escaped mark is none", "/a%3fb", "/a%3fb", ""},
		{"an escaped hash is none", "/a%23/../health", "", ""}, // a dot segment: refused
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(question("GET", issuesHost, tt.in))
			if (err == nil) != (tt.path != "") || got.Path != tt.path || got.Query != tt.query {
				t.Errorf("%q ? %q, %v", got.Path, got.Query, err)
			}
		})
	}
}

// CVE-2023-27488: a header that is not UTF-8 is denied, before anybody replaces its bytes.
func TestHeadersThatAreNoTextAreRefused(t *testing.T) {
	for _, value := range []string{"\xff", "a\xc3", "\xc0\xae", "a\xed\xa0\x80", "\x00", "a\r\nx-evil: 1", "a\n", "\x1b[31m", "\x7f"} {
		if _, err := parse(question("GET", issuesHost, "/", "x-name", value)); err == nil {
			t.Errorf("%q passes", value)
		}
		other := question("GET", issuesHost, "/")
		text := strings.Repeat("~", len(value)) // the generated code would not write the value itself
		other.Attributes.Request.Http.HeaderMap.Headers = []*core.HeaderValue{{Key: "x-name", Value: text}}
		if _, err := parse(other); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(strings.Replace(sent(other), text, value, 1)); err == nil {
			t.Errorf("%q passes in the other form", value)
		}
	}
}

// CVE-2021-32777: a repeated header has no value, and every line of it can be seen.
func TestARepeatedHeaderHasNoValue(t *testing.T) {
	got, err := parse(question("GET", issuesHost, "/", "Origin", "https://a", "origin", "https://b", "X-One", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("origin") != "" || len(got.Header["origin"]) != 2 {
		t.Errorf("%q", got.Header["origin"])
	}
	if got.Header.Get("x-one") != "1" || got.Header.Get("x-none") != "" || Header(nil).Get("x") != "" {
		t.Error("a header that stands once is not found, or one that does not is")
	}
}

func TestHosts(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", issuesHost, issuesHost},
		{"with a port, which Envoy has stripped", issuesHost + ":8443", ""},
		{"upper case", "ISSUES.Acme.Example", issuesHost},
		{"a trailing dot makes another host, as for Envoy's routes", issuesHost + ".", issuesHost + "."},
		{"trailing dot and port", issuesHost + ".:443", ""},
		{"address", "127.0.0.1", "127.0.0.1"},
		{"another host", "evil.example", "evil.example"},
		{"dot alone", ".", "."},
		{"port alone", ":443", ""},
		{"empty port", issuesHost + ":", ""},
		{"a port that is no number", issuesHost + ":x", ""},
		{"a port that is too long", issuesHost + ":123456", ""},
		{"user information", "x@" + issuesHost, ""},
		{"user information behind", issuesHost + ":8443@evil.example", ""},
		{"two ports", issuesHost + ":1:2", ""},
		{"two hosts", issuesHost + ",evil.example", ""},
		{"two hosts, spaced", issuesHost + " evil.example", ""},
		{"slash", issuesHost + "/evil", ""},
		{"backslash", issuesHost + `\evil`, ""},
		{"query", issuesHost + "?x", ""},
		{"escape", "issues%2eacme.example", ""},
		{"NUL", issuesHost + "\x00.evil.example", ""},
		{"a letter that folds to k", "\u212A.acme.example", ""},
		{"not ASCII", "issués.acme.example", ""},
		{"an IPv6 address", "[::1]:8443", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(question("GET", tt.in, "/"))
			if got.Host != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v", got.Host, err)
			}
		})
	}
}

func TestServerNames(t *testing.T) {
	for in, want := range map[string]string{"": "", "Issues.ACME.example": issuesHost, issuesHost + ".": issuesHost + "."} {
		q := question("GET", issuesHost, "/")
		q.Attributes.TlsSession = &auth.AttributeContext_TLSSession{Sni: in}
		if got, err := parse(q); err != nil || got.SNI != want {
			t.Errorf("%q: %q, %v", in, got.SNI, err)
		}
	}
	q := question("GET", issuesHost, "/")
	q.Attributes.TlsSession = nil
	if got, err := parse(q); err != nil || got.SNI != "" {
		t.Errorf("none: %q, %v", got.SNI, err)
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1", "": "invalid IP", "192.0.2.1:80": "invalid IP",
		"localhost": "invalid IP", "0300.0.0.1": "invalid IP",
	} {
		q := question("GET", issuesHost, "/", "x-forwarded-for", "6.6.6.6")
		q.Attributes.Source = peer(in)
		if got, err := parse(q); err != nil || got.Address.String() != want {
			t.Errorf("%q: %s, %v", in, got.Address, err)
		}
	}
	q := question("GET", issuesHost, "/")
	internal := &core.EnvoyInternalAddress{EndpointId: "192.0.2.1"}
	internal.AddressNameSpecifier = &core.EnvoyInternalAddress_ServerListenerName{ServerListenerName: "192.0.2.1"}
	q.Attributes.Source = &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_EnvoyInternalAddress{EnvoyInternalAddress: internal}}}
	if got, err := parse(q); err != nil || got.Address.IsValid() {
		t.Errorf("no socket's: %s, %v", got.Address, err)
	}
	q.Attributes.Source = nil
	if got, err := parse(q); err != nil || got.Address.IsValid() {
		t.Errorf("none: %s, %v", got.Address, err)
	}
}

// Which route Envoy chose comes from the route's own metadata, never from a header, an extension or another filter's namespace.
func TestTheRouteSaysWhatItLeadsTo(t *testing.T) {
	text := structpb.NewStringValue
	tests := []struct {
		name string
		in   map[string]map[string]*structpb.Value
		want Route
	}{
		{"none", nil, Route{}},
		{"a product", map[string]map[string]*structpb.Value{"isogate": {"product": text("issues")}}, Route{Product: "issues"}},
		{"the door", map[string]map[string]*structpb.Value{"isogate": {"door": text("yes")}}, Route{Door: "yes"}},
		{"the OAuth server", map[string]map[string]*structpb.Value{"isogate": {"oauth": text("auth")}}, Route{OAuth: "auth"}},
		{"an endpoint", map[string]map[string]*structpb.Value{"isogate": {"product": text("issues"), "endpoint": text("issue.read")}}, Route{Product: "issues", Endpoint: "issue.read"}},
		{"everything else at the gateway", map[string]map[string]*structpb.Value{"isogate": {"none": text("gateway")}}, Route{}},
		{"an endpoint that is no text", map[string]map[string]*structpb.Value{"isogate": {"product": text("issues"), "endpoint": structpb.NewBoolValue(true)}}, Route{Product: "issues"}},
		{"another namespace", map[string]map[string]*structpb.Value{"envoy": {"product": text("issues")}}, Route{}},
		{"no text", map[string]map[string]*structpb.Value{"isogate": {"product": structpb.NewNumberValue(1), "door": structpb.NewBoolValue(true)}}, Route{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := question("GET", issuesHost, "/", "product", "wiki", "x-isogate-product", "wiki", "isogate", "wiki")
			q.Attributes.ContextExtensions = map[string]string{"product": "wiki"}
			q.Attributes.RouteMetadataContext = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
			for namespace, fields := range tt.in {
				q.Attributes.RouteMetadataContext.FilterMetadata[namespace] = &structpb.Struct{Fields: fields}
			}
			if got, err := parse(q); err != nil || got.Route != tt.want {
				t.Errorf("%+v, %v", got.Route, err)
			}
		})
	}
}
