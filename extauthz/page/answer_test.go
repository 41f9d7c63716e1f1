package page

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServeHTTP(t *testing.T) {
	a := Refused(403, "policy").With("set-cookie", "a=1; Path=/").With("set-cookie", "b=2; Path=/")
	srv := httptest.NewServer(a)
	defer srv.Close()
	for method, size := range map[string]int{http.MethodGet: len(a.Body), http.MethodPost: len(a.Body), http.MethodHead: 0} {
		status, header, body := do(t, method, srv.URL)
		if status != 403 || len(body) != size {
			t.Errorf("%s: status %d, %d bytes, want 403 and %d", method, status, len(body), size)
		}
		for _, f := range a.Header[:len(a.Header)-2] {
			if diff := cmp.Diff([]string{f.Value}, header.Values(f.Name)); diff != "" {
				t.Errorf("%s: %s (-want +got)\n%s", method, f.Name, diff)
			}
		}
		if diff := cmp.Diff([]string{"a=1; Path=/", "b=2; Path=/"}, header.Values("set-cookie")); diff != "" {
			t.Errorf("%s: set-cookie (-want +got)\n%s", method, diff)
		}
	}
}

func do(t *testing.T, method, target string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

func TestZeroAndImpossibleAnswersAreServedAs503(t *testing.T) {
	for _, status := range []int{-1, 0, 99, 100, 101, 600, 1000} {
		w := httptest.NewRecorder()
		Answer{Status: status, Body: []byte("secret")}.ServeHTTP(w, nil)
		want := Denial(503, "unavailable", false, "")
		if w.Code != 503 || w.Body.String() != string(want.Body) {
			t.Errorf("status %d served as %d: %s", status, w.Code, w.Body)
		}
	}
}

// Header splitting, and a body framed twice: such a line never
// leaves, and neither does the rest of the answer.
func TestWithRefusesBadLines(t *testing.T) {
	tests := []struct {
		name, field, value string
		ok                 bool
	}{
		{"cookie", "set-cookie", `__Host-x=""; Path=/; Max-Age=0`, true},
		{"tab", "x-a", "a\tb", true},
		{"newline", "set-cookie", "a=1\nx: y", false},
		{"return", "set-cookie", "a=1\rx: y", false},
		{"NUL", "set-cookie", "a\x00", false},
		{"DEL", "set-cookie", "a\x7f", false},
		{"not ASCII", "set-cookie", "é", false},
		{"not UTF-8", "set-cookie", "\xff", false},
		{"no name", "", "a", false},
		{"capitals", "Set-Cookie", "a", false},
		{"pseudo header", ":status", "200", false},
		{"name with newline", "x\r\ny", "a", false},
		{"length", "content-length", "1", false},
		{"encoding", "transfer-encoding", "chunked", false},
	}
	for _, tt := range tests {
		a := SignedOut(home).With(tt.field, tt.value)
		want := Denial(503, "unavailable", false, "")
		if tt.ok {
			want = SignedOut(home)
			want.Header = append(want.Header, Field{tt.field, tt.value})
		}
		if diff := cmp.Diff(want, a); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestWithLeavesTheFirstAnswerAlone(t *testing.T) {
	first := SignedOut(home).With("set-cookie", "a=1")
	left, right := first.With("set-cookie", "left=1"), first.With("set-cookie", "right=1")
	if header(first, "set-cookie") != "a=1" || header(left, "set-cookie") != "a=1 | left=1" || header(right, "set-cookie") != "a=1 | right=1" {
		t.Errorf("answers share their headers: %v, %v, %v", first.Header, left.Header, right.Header)
	}
}
