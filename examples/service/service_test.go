package service

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ask(t *testing.T, h http.Handler, method, target, body string, headers map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageGreetsByTheIDsAlone(t *testing.T) {
	s := New("support", "Support Centre", "")
	known := map[string]string{CloudHeader: "acme-1234567890abcdef", UserHeader: "<b>opaque</b>"}
	for _, c := range []struct {
		name    string
		headers map[string]string
		want    string
	}{
		{"a person", known, "acme-1234567890abcdef"},
		{"escaped", known, "&lt;b&gt;opaque&lt;/b&gt;"},
		{"nobody", nil, "Nobody told “Support Centre” who you are"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if w := ask(t, s, "GET", "/", "", c.headers); w.Code != 200 || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if s.Hits() != 3 {
		t.Errorf("%d hits", s.Hits())
	}
}

func TestWhoami(t *testing.T) {
	w := ask(t, New("market", "Marketplace", ""), "POST", "/whoami?a=%20b", "1234", map[string]string{CloudHeader: "c", UserHeader: "u", "Accept": "x"})
	var got Echo
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := Echo{
		Name: "market", Cloud: "c", User: "u", Method: "POST", Host: "example.com", Target: "/whoami?a=%20b", BodyBytes: 4,
		Headers: map[string][]string{"x-isolated-cloud-id": {"c"}, "x-isolated-cloud-user": {"u"}, "accept": {"x"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCookiesThatAreNotItsOwn(t *testing.T) {
	if got := ask(t, New("a", "A", ""), "GET", "/set-cookie", "", nil).Header().Values("Set-Cookie"); len(got) != 4 {
		t.Errorf("%q", got)
	}
}

// What is recorded is what came over the wire, headers that no handler looks at included.
func TestRecord(t *testing.T) {
	for _, h := range []interface {
		http.Handler
		Listen(net.Listener) net.Listener
		Received() []byte
	}{New("support", "Support Centre", ""), &Login{}} {
		plain, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: h}
		go func() { _ = server.Serve(h.Listen(plain)) }() // ends with Close
		conn, err := net.Dial("tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		const request = "POST /x HTTP/1.1\r\nHost: a\r\nX-Odd: canary\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
		fmt.Fprint(conn, request)
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		server.Close()
		if got := string(h.Received()); got != request {
			t.Errorf("%T recorded %q", h, got)
		}
	}
}

func TestRecordIsBounded(t *testing.T) {
	var r Record
	for range 20 {
		r.add(make([]byte, 1<<20))
	}
	r.add([]byte("last"))
	if got := r.Received(); len(got) > maxRecord || !strings.HasSuffix(string(got), "last") {
		t.Errorf("%d bytes", len(got))
	}
}
