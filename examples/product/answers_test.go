package product

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswersTellTooMuch(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		body         bool
	}{
		{"GET", "/answer/200", 200, true},
		{"GET", "/answer/302", 302, true},
		{"POST", "/answer/404", 404, true},
		{"GET", "/answer/500", 500, true},
		{"GET", "/answer/599", 599, true},
		{"GET", "/answer/204", 204, false},
	} {
		w := raw(issues(), c.method, c.path, "valid x", strings.NewReader("1234"))
		if w.Code != c.status || c.body && !strings.Contains(w.Body.String(), Internals) {
			t.Errorf("%s: %d %q", c.path, w.Code, w.Body)
		}
		if got := w.Header(); len(got["Set-Cookie"]) != 2 || got.Get("X-Backend") != Internals || got.Get("Location") == "" || got.Get("Retry-After") != "7" {
			t.Errorf("%s: %v", c.path, got)
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, path := range []string{"/answer/", "/answer/100", "/answer/600", "/answer/2000", "/answer/0200", "/answer/20", "/answer/abc", "/answer/-20", "/answer/200/"} {
		if w := raw(issues(), "GET", path, "valid x", nil); !strings.HasPrefix(w.Body.String(), `{"name":"issues"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAnswerThatIsKnown(t *testing.T) {
	server := httptest.NewServer(issues())
	defer server.Close()
	for _, c := range []struct {
		name, method, tag string
		status            int
		body              bool
	}{
		{"unknown", "GET", "", 200, true},
		{"another", "GET", `"v0"`, 200, true},
		{"known", "GET", answerTag, 304, false},
		{"head", "HEAD", "", 200, false},
	} {
		r, err := http.NewRequest(c.method, server.URL+"/answer/200", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User-Context-Token", "valid x")
		r.Header.Set("If-None-Match", c.tag)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != c.status || answer.Header.Get("ETag") != answerTag || (len(body) > 0) != c.body {
			t.Errorf("%s: %d %q %q", c.name, answer.StatusCode, answer.Header.Get("ETag"), body)
		}
	}
}
