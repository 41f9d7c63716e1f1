package product

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/websocket"
)

// claims stands for the verified claims of the real middleware: a struct, like that.
type claims struct {
	Sub  string `json:"sub"`
	Name string `json:"name,omitempty"`
}

type claimsKey struct{}

// verify stands for the real middleware: the header's value is the person's name.
func verify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("X-User-Context-Token"), "valid ")
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, &claims{"u1", token})))
	})
}

func claimsOf(r *http.Request) any {
	if c, ok := r.Context().Value(claimsKey{}).(*claims); ok {
		return c
	}
	return nil
}

func issues() *Product {
	return New(Config{ID: "issues", Name: "Issue <tracker>", Verify: verify, Claims: claimsOf})
}

// raw sends the target as it is, past the client-side cleaning of paths.
func raw(p *Product, method, target, token string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	if token != "" {
		r.Header.Set("X-User-Context-Token", token)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestOnlyHealthIsAnonymous(t *testing.T) {
	p := issues()
	for _, target := range []string{"/", "/whoami", "/ws", "/events", "/set-cookie", "/rest/api/issue/OPS-1", "/x", "/health/", "//health",
		"/health/../whoami", "/health;x", "/whoami?/health"} {
		for _, token := range []string{"", "forged"} {
			if w := raw(p, "GET", target, token, nil); w.Code != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", target, token, w.Code)
			}
		}
	}
	if w := raw(p, "GET", "/health", "", nil); w.Code != 200 || w.Body.String() != "ok" {
		t.Errorf("/health: %d %q", w.Code, w.Body)
	}
}

func TestZeroConfigRefuses(t *testing.T) {
	if w := raw(New(Config{}), "GET", "/whoami", "valid x", nil); w.Code != http.StatusUnauthorized {
		t.Errorf("status = %d", w.Code)
	}
}

func TestHits(t *testing.T) {
	p := issues()
	raw(p, "GET", "/health", "", nil)
	if p.Hits() != 0 {
		t.Errorf("a probe was counted")
	}
	raw(p, "GET", "/x", "", nil)
	raw(p, "GET", "/x", "valid x", nil)
	if p.Hits() != 2 {
		t.Errorf("hits = %d, want 2: the refused one and the served one", p.Hits())
	}
}

func TestPage(t *testing.T) {
	for _, tt := range []struct{ name, person, want string }{
		{"name", "Alice Example", "<h1>Hello, Alice Example</h1>"},
		{"name that is markup", "<script>", "<h1>Hello, &lt;script&gt;</h1>"},
		{"no name", "", "<h1>Hello</h1>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := raw(issues(), "GET", "/", "valid "+tt.person, nil).Body.String()
			for _, want := range []string{tt.want, "Issue &lt;tracker&gt;", `href="/.isogate/logout"`} {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in %s", want, got)
				}
			}
		})
	}
}

func TestEcho(t *testing.T) {
	tests := []struct {
		name, method, target, body string
	}{
		{"whoami", "GET", "/whoami", ""},
		{"any path", "DELETE", "/a/b?x=%31&x=2", ""},
		{"body", "POST", "/whoami", strings.Repeat("x", 100_000)},
		{"path that a router would clean", "GET", "/a/../b//c/%2e%2e/%41;p=1", ""},
		{"not a page for POST", "POST", "/", "x"},
		{"not an issue for PUT", "PUT", "/rest/api/issue/OPS-1", "{}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			r.Header = http.Header{"X-User-Context-Token": {"valid Alice"}, "X-Many": {"1", "2"}}
			w := httptest.NewRecorder()
			issues().ServeHTTP(w, r)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
				t.Fatalf("%d %v", w.Code, err)
			}
			want := map[string]any{
				"name": "issues", "method": tt.method, "host": "example.com", "target": tt.target, "body_bytes": float64(len(tt.body)),
				"claims":  map[string]any{"sub": "u1", "name": "Alice"},
				"headers": map[string]any{"x-user-context-token": []any{"valid Alice"}, "x-many": []any{"1", "2"}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEchoWithoutClaims(t *testing.T) {
	p := New(Config{ID: "wiki", Verify: func(h http.Handler) http.Handler { return h }})
	if got := raw(p, "GET", "/whoami", "", nil).Body.String(); !strings.Contains(got, `"claims":null`) {
		t.Errorf("got %s", got)
	}
}

func TestIssue(t *testing.T) {
	wiki := New(Config{ID: "wiki", Verify: verify, Claims: claimsOf})
	for _, tt := range []struct {
		name    string
		product *Product
		key     string
		status  int
		want    string
	}{
		{"known", issues(), "OPS-1", 200, `"key":"OPS-1","fields":{"summary":"Backups`},
		{"unknown", issues(), "OPS-99", 404, "no such issue"},
		{"none", issues(), "", 404, "no such issue"},
		{"comments", issues(), "OPS-1/comments", 200, `{"comments":[{"team":"platform","text":"Attachments`},
		{"no comments", issues(), "OPS-2/comments", 200, `{"comments":[]}`},
		{"comments of none", issues(), "OPS-99/comments", 404, "no such issue"},
		{"anything else of one", issues(), "OPS-1/votes", 404, "no such issue"},
		{"a slash too much", issues(), "OPS-1/", 404, "no such issue"},
		{"another product echoes", wiki, "OPS-1", 200, `"name":"wiki"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := raw(tt.product, "GET", issuePrefix+tt.key, "valid x", nil)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestSetCookie(t *testing.T) {
	got := raw(issues(), "GET", "/set-cookie", "valid x", nil).Result().Cookies()
	var names []string
	for _, c := range got {
		names = append(names, c.Name+"="+c.Value)
	}
	want := []string{"__Host-isogate_session=evil", "__Host-isogate_flow_1=evil", "theme=dark", "__Host-isogate_federated=evil"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestEvents(t *testing.T) {
	ended := make(chan struct{})
	p := issues()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.ServeHTTP(w, r)
		close(ended)
	}))
	defer srv.Close()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-User-Context-Token", "valid x")
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type = %q", got)
	}
	lines := bufio.NewScanner(res.Body)
	for _, want := range []string{"id: 1", "data: 1", "", "id: 2", "data: 2", ""} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("line = %q, want %q", lines.Text(), want)
		}
	}
	leave()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on without its client")
	}
}

func TestWebSocket(t *testing.T) {
	srv := httptest.NewServer(issues())
	defer srv.Close()
	dial := func(token string) (*websocket.Conn, error) {
		config, err := websocket.NewConfig("ws"+strings.TrimPrefix(srv.URL, "http")+"/ws", "https://anything.example")
		if err != nil {
			t.Fatal(err)
		}
		config.Header.Set("X-User-Context-Token", token)
		return config.DialContext(t.Context())
	}
	if _, err := dial("forged"); err == nil {
		t.Error("an upgrade without a valid token passed")
	}
	ws, err := dial("valid x")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, want := range []message{{[]byte("hello"), websocket.TextFrame}, {[]byte{0, 255}, websocket.BinaryFrame},
		{[]byte(strings.Repeat("x", 100_000)), websocket.TextFrame}} {
		var got message
		if err := frames.Send(ws, want); err != nil {
			t.Fatal(err)
		}
		if err := frames.Receive(ws, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(message{})); diff != "" {
			t.Error(diff)
		}
	}
	if err := frames.Send(ws, message{make([]byte, maxMessage+1), websocket.BinaryFrame}); err == nil {
		if err := frames.Receive(ws, new(message)); err == nil {
			t.Error("a message beyond the bound came back")
		}
	}
}
