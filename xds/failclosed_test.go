package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
)

const unavailable = `{"type":"about:blank","title":"Service Unavailable","status":503,"reason":"unavailable"}`

type answer = func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error)

// allowWith passes with one header set on the request.
func allowWith(key, value string) answer {
	return func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return &authv3.CheckResponse{
			Status: &rpcstatus.Status{Code: int32(code.Code_OK)},
			HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{
				{Header: &corev3.HeaderValue{Key: key, Value: value}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD},
			}}},
		}, nil
	}
}

// deny refuses with a status, a body and Set-Cookie lines.
func deny(status int, body string, cookies ...string) answer {
	denied := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)}, Body: body}
	for _, c := range cookies {
		denied.Headers = append(denied.Headers, &corev3.HeaderValueOption{
			Header: &corev3.HeaderValue{Key: "set-cookie", Value: c}, AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD,
		})
	}
	return func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		return &authv3.CheckResponse{
			Status:       &rpcstatus.Status{Code: int32(code.Code_PERMISSION_DENIED)},
			HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
		}, nil
	}
}

func hang(ctx context.Context, _ *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func fail(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return nil, errors.New("broken")
}

// Whatever goes wrong between Envoy and the check, and whatever the check may not change: one answer, and no product hears of it.
func TestFailClosed(t *testing.T) {
	w := newIngressWorld(t)
	host := "issues." + domain
	expect := func(t *testing.T, within time.Duration) {
		t.Helper()
		start := time.Now()
		response := w.get(t, host, "/a")
		if took := time.Since(start); took > within {
			t.Errorf("took %s, want at most %s", took, within)
		}
		body := read(t, response)
		if response.StatusCode != 503 || body != unavailable || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("got %d %s %q, want the 503 problem", response.StatusCode, response.Header.Get("Content-Type"), body)
		}
		if w.hits.Load() != 0 {
			t.Error("a product was reached")
		}
	}
	t.Run("absent", func(t *testing.T) { expect(t, 900*time.Millisecond) })
	w.startCheck(t)
	cases := []struct {
		name   string
		answer answer
	}{
		{"hung", hang},
		{"error", fail},
		{"rewrites the path", allowWith(":path", "/evil")},
		{"rewrites the method", allowWith(":method", "POST")},
		{"invalid header name", allowWith("a b", "1")},
		{"invalid header value", allowWith("a", "1\r\nb: 2")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w.check.tell(c.answer)
			expect(t, 3*time.Second) // the limit is 1 s; the rest is for a busy machine
		})
	}
	w.check.tell(pass)
	if response := w.get(t, host, "/a"); response.StatusCode != 200 {
		t.Errorf("afterwards: got %d, want 200", response.StatusCode)
	}
}

// What the check says reaches the client as it was said, its own 503 too.
func TestCheckAnswersUntouched(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	for _, status := range []int{302, 400, 401, 403, 421, 429, 503} {
		w.check.tell(deny(status, "own words", "__Host-isogate_flow_1=a", "__Host-isogate_flow_2=b"))
		response := w.get(t, "issues."+domain, "/")
		if body := read(t, response); response.StatusCode != status || body != "own words" {
			t.Errorf("%d: got %d %q", status, response.StatusCode, body)
		}
		if got := response.Header.Values("Set-Cookie"); len(got) != 2 {
			t.Errorf("%d: got the cookies %q, want both", status, got)
		}
	}
	if w.hits.Load() != 0 {
		t.Error("a refused request reached a product")
	}
}

// A person gets a page where a program gets a problem, and the check's own page stays what it is.
func TestFailureIsAPageForAPerson(t *testing.T) {
	w := newIngressWorld(t)
	ask := func(host string) (*http.Response, string) {
		t.Helper()
		response := w.get(t, host, "/", "Accept: text/html,application/xhtml+xml,*/*;q=0.8")
		return response, read(t, response)
	}
	isPage := func(host string) {
		t.Helper()
		response, body := ask(host)
		if response.StatusCode != 503 || response.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(body, "<h1>Not available right now</h1>") ||
			response.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: got %d %v\n%s", host, response.StatusCode, response.Header, body)
		}
	}
	isPage("issues." + domain) // the check is absent
	w.startCheck(t)
	isPage("dead." + domain)
	w.check.tell(deny(503, "own words"))
	if response, body := ask("issues." + domain); response.StatusCode != 503 || body != "own words" {
		t.Errorf("the check's own: %d %q", response.StatusCode, body)
	}
}

func TestUpstreamFailureIsAProblem(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	response := w.get(t, "dead."+domain, "/")
	if body := read(t, response); response.StatusCode != http.StatusServiceUnavailable || body != `{"type":"about:blank","title":"Service Unavailable","status":503,"reason":"upstream"}` {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
}
