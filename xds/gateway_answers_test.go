package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Of a product's answer the status, the listed headers and the body cross. A redirect, an error of the product's and what is no answer become a problem.
func TestGatewayAnswers(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	big := strings.Repeat("stack trace ", 500_000)
	const problem = "problem"
	cases := []struct {
		name, answer string
		status       int
		want         string // the body, or problem
	}{
		{"good", "200 OK\r\nContent-Type: text/a\r\nContent-Length: 2\r\nServer: a\r\nSet-Cookie: a\r\nX-Envoy-Overloaded: true\r\nETag: \"1\"\r\nCache-Control: public\r\n" +
			"X-Isogate-Failed: 502\r\nVia: a\r\nRetry-After: 3\r\nLast-Modified: a\r\nContent-Encoding: a\r\nLocation: a\r\nX-A: a\r\nWWW-Authenticate: a\r\n\r\nhi", 200, "hi"},
		{"not found", "404 a\r\nContent-Length: 2\r\nX-A: a\r\n\r\nno", 404, "no"},
		{"unauthenticated", "401 a\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno", 401, "no"},
		{"not modified", "304 a\r\nETag: \"1\"\r\nSet-Cookie: a\r\n\r\n", 304, ""},
		{"redirect", "302 a\r\nLocation: http://inside/\r\nContent-Length: 2\r\n\r\nhi", 502, problem},
		{"error", "500 a\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nstack", 502, problem},
		{"huge error", fmt.Sprintf("500 a\r\nContent-Length: %d\r\n\r\n%s", len(big), big), 502, problem},
		{"error that never ends", "500 a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstack\r\n", 502, problem},
		{"error without a body", "500 a\r\nContent-Length: 0\r\n\r\n", 502, problem},
		{"unavailable", "503 a\r\nContent-Length: 5\r\n\r\nstack", 503, problem},
		{"timeout", "504 a\r\nContent-Length: 5\r\n\r\nstack", 502, problem},
		{"no status", "999 a\r\nContent-Length: 2\r\n\r\nhi", 502, problem},
		{"upgraded", "101 a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhi", 502, problem},
		{"early hints", "103 a\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"},
		{"continue", "100 a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"},
		{"trailers", "200 a\r\nTransfer-Encoding: chunked\r\nTrailer: x-a\r\n\r\n2\r\nhi\r\n0\r\nx-a: 1\r\n\r\n", 200, "hi"},
		{"malformed header", "200 a\r\nX-Bad: a\x01b\r\nContent-Length: 2\r\n\r\nhi", 503, problem},
		{"no HTTP", "a", 503, problem},
		{"many headers", "200 a\r\n" + strings.Repeat("X-A: b\r\n", 150) + "Content-Length: 2\r\n\r\nhi", 503, problem},
		{"closed at once", "", 503, problem},
	}
	for _, c := range cases {
		w.rude.tell("HTTP/1.1 " + c.answer)
		if c.answer == "" {
			w.rude.tell("")
		}
		response := w.call(t, "GET", "rude", "/x")
		if c.want == problem {
			isProblem(t, c.name, response, c.status, map[int]string{502: badGateway, 503: upstreamAway}[c.status])
			continue
		}
		if body := read(t, response); response.StatusCode != c.status || body != c.want || len(response.Trailer) > 0 {
			t.Errorf("%s: got %d %q %v", c.name, response.StatusCode, body, response.Trailer)
		}
		onlyListed(t, c.name, response.Header)
	}
	w.rude.tell("HTTP/1.1 500 a\r\nContent-Length: 2000\r\n\r\n")
	isProblem(t, "HEAD, error", w.call(t, "HEAD", "rude", "/x"), 502, "")
	w.rude.tell("HTTP/1.1 200 a\r\nContent-Length: 2000\r\n\r\n")
	if response := w.call(t, "HEAD", "rude", "/x"); response.StatusCode != 200 || response.ContentLength != 2000 {
		t.Errorf("HEAD: %d, %d bytes", response.StatusCode, response.ContentLength)
	}
}

// onlyListed demands that nothing but the listed headers crossed; the date is Envoy's own.
func onlyListed(t *testing.T, name string, h http.Header) {
	t.Helper()
	listed := []string{"Content-Type", "Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Retry-After", "Cache-Control", "Date"}
	for key := range h {
		if !slices.Contains(listed, key) {
			t.Errorf("%s: %s crossed", name, key)
		}
	}
	if diff := cmp.Diff([]string{"no-store"}, h["Cache-Control"]); diff != "" {
		t.Errorf("%s: cache-control: %s", name, diff)
	}
}

// The check sees whether a body comes, announced or not, as one byte of raw_body; a call without one has none and does not wait. A body over the bound
// is refused, and the product gets no whole one.
func TestGatewayBodies(t *testing.T) {
	w := newGatewayWorld(t)
	w.startCheck(t)
	client := w.client(t)
	sized := func(n int) io.Reader { return bytes.NewReader(make([]byte, n)) }
	cases := []struct {
		name   string
		body   io.Reader
		length int64 // -1 is not announced
		status int
		seen   int // bytes that the check saw; -1: it was not asked
	}{
		{"none", nil, 0, 200, 0},
		{"an empty one", io.MultiReader(sized(0)), -1, 200, 0},
		{"one byte", sized(1), 1, 200, 1},
		{"two, not announced", io.MultiReader(sized(2)), -1, 200, 1},
		{"many", sized(900 << 10), 900 << 10, 200, 1},
		{"many, not announced", io.MultiReader(sized(900 << 10)), -1, 200, 1},
		{"the most", sized(1 << 20), 1 << 20, 200, 1},
		{"too many", sized(1<<20 + 1), 1<<20 + 1, 413, -1},
		{"too many, not announced", io.MultiReader(sized(2 << 20)), -1, 413, 1},
	}
	for _, c := range cases {
		w.check.tell(pass)
		request, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+issuesGateway+commentPath, c.body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = c.length
		response, err := client.Do(request)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.status == 413 {
			isProblem(t, c.name, response, 413, tooLarge)
		} else if body := read(t, response); response.StatusCode != 200 || c.length > 0 && !strings.Contains(body, fmt.Sprintf(`"Body":%d}`, c.length)) {
			t.Errorf("%s: %d %s", c.name, response.StatusCode, body)
		}
		seen := -1
		for _, q := range w.check.questions() {
			h := q.GetAttributes().GetRequest().GetHttp()
			if seen = len(h.GetRawBody()); h.GetBody() != "" {
				t.Errorf("%s: body is %q", c.name, h.GetBody())
			}
		}
		if seen != c.seen {
			t.Errorf("%s: the check saw %d bytes, want %d", c.name, seen, c.seen)
		}
	}
}

// client speaks HTTP/2 as a sidecar does, with the names of the gateway's certificate.
func (w *gatewayWorld) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: w.tls(w.caller), ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", string(w.config.Cloud.Listeners.Gateway))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
