package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
)

// Every answer has the header, whoever wrote it: product, door, check, router, or Envoy before it had a request.
func TestHSTSEverywhere(t *testing.T) {
	w := newIngressWorld(t)
	host := "issues." + domain
	send := func(name, request string, status int) {
		t.Helper()
		response := w.raw(t, host, request)
		if response.StatusCode != status {
			t.Errorf("%s: got %d, want %d", name, response.StatusCode, status)
		}
		if got := response.Header.Values("Strict-Transport-Security"); !slices.Equal(got, []string{"max-age=31536000"}) {
			t.Errorf("%s: got the header %q", name, got)
		}
	}
	to := func(host, path string) string { return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" }
	send("no check", to(host, "/")+"\r\n", 503)
	w.startCheck(t)
	send("product, which says another", to(host, "/")+"\r\n", 200)
	send("door", to(host, "/.isogate/x")+"\r\n", 200)
	send("dead product", to("dead."+domain, "/")+"\r\n", 503)
	send("auth host", to("auth."+domain, "/")+"\r\n", 404)
	send("other host", to("other."+domain, "/")+"\r\n", 421)
	send("two hosts", to(host, "/")+"Host: b\r\n\r\n", 421)
	send("escaped slash", to(host, "/a%2fb")+"\r\n", 400)
	send("underscore", to(host, "/")+"x_y: 1\r\n\r\n", 400)
	send("headers too large", to(host, "/")+"x: "+strings.Repeat("a", 40_000)+"\r\n\r\n", 431)
	send("HTTP/1.0", "GET / HTTP/1.0\r\nHost: "+host+"\r\n\r\n", 426)
	send("no HTTP", "GARBAGE\r\n\r\n", 400)
	send("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 404)
	send("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 404)
	send("upgrade that no route allows", to("wiki."+domain, "/")+"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 403)
	send("upgrade", to(host, "/")+"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 101)
	w.check.tell(deny(302, "", "__Host-isogate_flow_1=a"))
	send("refusal", to(host, "/")+"\r\n", 302)
}

// No client header, in any spelling, may stand in for ours, Envoy's or a proxy's.
func TestClientHeadersStripped(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	forged := []string{
		"Forwarded", "X-Real-IP", "X-User-Context-Token", "X-User-Context", "x-isolated-cloud-id", "X-ISOLATED-Cloud-User", "X-Isogate", "x-isogate-route",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Client-Cert", "X-Original-URL", "X-Rewrite-URL",
		"X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Envoy-Original-Path", "X-Envoy-Internal", "X-Envoy-Attempt-Count",
		"X-Envoy-Upstream-Stream-Duration-Ms", "X-Envoy-Decorator-Operation", "X-Request-Id",
	}
	headers := []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Origin: https://issues." + domain}
	for _, name := range forged {
		headers = append(headers, name+": forged", name+": forged")
	}
	got := seenBy(t, read(t, w.get(t, "issues."+domain, "/", headers...)))
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, ","), "forged") {
			t.Errorf("the product was given %s: %q", name, values)
		}
	}
	if got.Header.Get("X-Forwarded-For") != "203.0.113.7" || got.Header.Get("X-Forwarded-Proto") != "https" || got.Header.Get("Sec-Fetch-Site") != "same-origin" {
		t.Errorf("the product lacks what is true: %v", got.Header)
	}
	for _, h := range w.check.questions()[0].GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
		if strings.Contains(string(h.GetRawValue()), "forged") {
			t.Errorf("the check was given %s", h.GetKey())
		}
	}
}

func seenBy(t *testing.T, body string) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("the product did not answer: %q", body)
	}
	return s
}

func TestProductCookies(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	cases := []struct {
		name      string
		set, want []string
	}{
		{"none", nil, nil},
		{"others keep their order", []string{"b=1", "a=2", "b=3"}, []string{"b=1", "a=2", "b=3"}},
		{"ours", []string{"__Host-isogate_session=x; Secure; Path=/"}, nil},
		{"ours between others", []string{"a=1", "__Host-isogate_flow_1=x", "b=2", "__Host-isogate_federated=x"}, []string{"a=1", "b=2"}},
		{"another case", []string{"__host-ISOGATE_Session=x", "__HOST-isogate=x"}, nil},
		{"white space", []string{" __Host-isogate_session=x", "\t __Host-isogate_session =x"}, nil},
		{"quotes", []string{`"__Host-isogate_session"=x`}, nil},
		{"no name", []string{"=__Host-isogate_session=x", " = __Host-isogate_session=x"}, nil},
		{"no value", []string{"__Host-isogate_session"}, nil},
		{"only in the value or later", []string{"a=__Host-isogate_session", "a=1; __Host-isogate_x=2"}, []string{"a=__Host-isogate_session", "a=1; __Host-isogate_x=2"}},
		{"others with that prefix", []string{"__Host-sid=1", "__Secure-isogate=1"}, []string{"__Host-sid=1", "__Secure-isogate=1"}},
		{"bytes that are no UTF-8", []string{"a=\u00e9\u00ff"}, []string{"a=\u00e9\u00ff"}},
	}
	for _, c := range cases {
		wanted, err := json.Marshal(c.set)
		if err != nil {
			t.Fatal(err)
		}
		response := w.get(t, "issues."+domain, "/", "cookies: "+string(wanted))
		if diff := cmp.Diff(c.want, response.Header.Values("Set-Cookie")); diff != "" || response.StatusCode != 200 {
			t.Errorf("%s: %d (-want +got):\n%s", c.name, response.StatusCode, diff)
		}
	}
	if got := w.get(t, "issues."+domain, "/.isogate/x").Header.Values("Set-Cookie"); len(got) != 1 {
		t.Errorf("the door's cookie: got %q", got)
	}
}

// A product that clears cookies would clear those of all its neighbours: browsers take the whole domain.
func TestProductClearsNoNeighboursCookies(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	for _, c := range []struct{ lines, want []string }{
		{[]string{`"cache", "storage"`}, []string{`"cache", "storage"`}}, {[]string{`"cookies"`}, nil}, {[]string{`"cache", "Cookies"`}, nil}, {[]string{`"*"`}, nil},
		{[]string{`"cache"`, `"cookies"`}, nil}, {nil, nil},
	} {
		var headers []string
		for _, line := range c.lines {
			headers = append(headers, "clears: "+line)
		}
		response := w.get(t, "issues."+domain, "/", headers...)
		if diff := cmp.Diff(c.want, response.Header.Values("Clear-Site-Data")); diff != "" || response.StatusCode != 200 {
			t.Errorf("%q: %d (-want +got):\n%s", c.lines, response.StatusCode, diff)
		}
	}
}

func TestProductHeadersThatAreOurs(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	response := w.get(t, "issues."+domain, "/")
	names := slices.Sorted(maps.Keys(response.Header))
	want := []string{"Content-Length", "Content-Type", "Date", "Strict-Transport-Security", "X-Harmless"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// A mutation that the check may make: the token of the person, over whatever the client sent.
func TestCheckSetsToken(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	w.check.tell(allowWith("x-user-context-token", "minted"))
	got := seenBy(t, read(t, w.get(t, "issues."+domain, "/", "X-User-Context-Token: forged")))
	if diff := cmp.Diff([]string{"minted"}, got.Header.Values("X-User-Context-Token")); diff != "" {
		t.Error(diff)
	}
}

// describe names the route that the check was told of.
func describe(r *authv3.CheckRequest) string {
	fields := r.GetAttributes().GetRouteMetadataContext().GetFilterMetadata()["isogate"].GetFields()
	for _, key := range []string{"product", "door", "oauth", "none"} {
		if v, ok := fields[key]; ok {
			return fmt.Sprintf("%s %s", key, v.GetStringValue())
		}
	}
	return "nothing"
}
