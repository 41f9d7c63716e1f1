package world

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// echo is what a product says that it received.
type echo struct {
	Name    string
	Claims  map[string]any
	Method  string
	Host    string
	Target  string
	Headers map[string][]string
}

func echoOf(t *testing.T, a Answer) (e echo) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &e); err != nil || a.Status != 200 {
		t.Fatalf("no echo from %s: %d %v\n%.300s", a.URL, a.Status, err, a.Body)
	}
	return e
}

func TestWithoutASession(t *testing.T) {
	hits := shared.Products["issues"].Hits()
	for _, c := range []struct {
		name, method string
		headers      map[string]string
		want         int
		cookie       bool
	}{
		{"navigation", "GET", Navigation, 302, true},
		{"navigation of an old browser", "GET", map[string]string{"Accept": "text/html"}, 302, true},
		{"fetch", "GET", Fetch, 401, false},
		{"fetch that accepts HTML", "GET", map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/html"}, 401, false},
		{"service worker", "GET", map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "serviceworker"}, 401, false},
		{"frame", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Accept": "text/html"}, 401, false},
		{"image", "GET", map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 401, false},
		{"XMLHttpRequest", "GET", map[string]string{"X-Requested-With": "XMLHttpRequest", "Accept": "text/html"}, 401, false},
		{"script", "GET", nil, 401, false},
		{"HEAD", "HEAD", Navigation, 401, false},
		{"gRPC", "POST", map[string]string{"Content-Type": "application/grpc"}, 200, false}, // the status of gRPC stands in a header
		{"form", "POST", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 401, false},
		{"DELETE", "DELETE", Fetch, 401, false},
		{"TRACE", "TRACE", nil, 400, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := must(t)(shared.Browser().Do(c.method, shared.URL("issues", "/rest/api/issue/OPS-1"), c.headers, nil, ""))
			if a.Status != c.want || (len(a.Header.Values("Set-Cookie")) > 0) != c.cookie {
				t.Errorf("got %d, cookies %v", a.Status, a.Header.Values("Set-Cookie"))
			}
			if c.name == "gRPC" && a.Header.Get("Grpc-Status") != "16" {
				t.Errorf("gRPC status %q, want 16 (unauthenticated)", a.Header.Get("Grpc-Status"))
			}
			if a.Header.Get("Strict-Transport-Security") == "" {
				t.Error("no HSTS")
			}
		})
	}
	if reached := shared.Products["issues"].Hits() - hits; reached != 0 {
		t.Errorf("%d of these requests reached the product", reached)
	}
}

func TestProblemNamesWhereToSignIn(t *testing.T) {
	a := must(t)(shared.Browser().Do("GET", shared.URL("wiki", "/page"), Fetch, nil, ""))
	var problem struct {
		Status int
		Reason string
		SignIn string `json:"sign_in"`
	}
	if err := json.Unmarshal([]byte(a.Body), &problem); err != nil {
		t.Fatal(err)
	}
	if a.Header.Get("Content-Type") != "application/problem+json" || problem.Status != 401 || problem.SignIn != shared.URL("auth", "/.isogate/signin") ||
		a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("got %q %+v", a.Header, problem)
	}
}

// An external address comes from the file, never from a request.
func TestSignInAddressIsNotTheClientsWord(t *testing.T) {
	a := must(t)(shared.Browser().Do("GET", shared.URL("issues", "/"), Navigation, map[string]string{
		"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.example", "X-Original-Url": "/health",
	}, ""))
	if to := a.Header.Get("Location"); !strings.HasPrefix(to, shared.URL("auth", "/.isogate/signin?flow=")) {
		t.Errorf("sent to %q", to)
	}
}

func TestProductSeesNothingOfOurs(t *testing.T) {
	b := signedIn(t, "alice")
	b.SetCookie(shared.URL("issues", "/"), "theme", "dark")
	b.SetCookie(shared.URL("issues", "/"), "__Host-isogate_other", "x")
	e := echoOf(t, must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, map[string]string{
		"X-User-Context-Token": "forged", "X-User-Context": "forged", "X-Isolated-Cloud-User": "forged", "X-Isogate-Anything": "forged",
		"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Client-Cert": "forged", "X-Real-Ip": "6.6.6.6", "X-Envoy-Anything": "forged",
	}, "")))
	if got := e.Headers["cookie"]; len(got) != 1 || got[0] != "theme=dark" {
		t.Errorf("cookies that reached the product: %q", got)
	}
	if tokens := e.Headers["x-user-context-token"]; len(tokens) != 1 || !strings.HasPrefix(tokens[0], "eyJ") {
		t.Errorf("tokens that reached the product: %q", tokens)
	}
	for name, values := range e.Headers {
		if strings.Contains(strings.Join(values, " "), "forged") || strings.Contains(strings.Join(values, " "), "6.6.6.6") {
			t.Errorf("%s: %q reached the product", name, values)
		}
	}
	if e.Claims["email"] != shared.User("alice").Email {
		t.Errorf("claims: %v", e.Claims)
	}
}

func TestHeaderNamesWithUnderscoresAreRefused(t *testing.T) {
	b := signedIn(t, "bob")
	for _, name := range []string{"X_User_Context_Token", "x-user-context_token", "X_Isolated_Cloud_Id"} {
		a, err := b.Do("GET", shared.URL("issues", "/whoami"), Fetch, map[string]string{name: "forged"}, "")
		if err == nil && a.Status < 400 { // over HTTP/2 the stream is reset
			t.Errorf("%s: %d", name, a.Status)
		}
	}
}

func TestProductCannotSetOurCookies(t *testing.T) {
	b := signedIn(t, "bob")
	a := must(t)(b.Do("GET", shared.URL("issues", "/set-cookie"), Fetch, nil, ""))
	for _, line := range a.Header.Values("Set-Cookie") {
		if strings.Contains(strings.ToLower(line), "__host-isogate") {
			t.Errorf("the product set %q", line)
		}
	}
	if len(a.Header.Values("Set-Cookie")) == 0 {
		t.Error("the product's own cookie was lost")
	}
	if status(t, b, shared.URL("issues", "/whoami")) != 200 {
		t.Error("the session was lost")
	}
}

func TestDoubledSessionCookieIsRefused(t *testing.T) {
	b := signedIn(t, "bob")
	a := must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, map[string]string{"Cookie": "__Host-isogate_session=AAAA"}, ""))
	if a.Status != http.StatusBadRequest {
		t.Errorf("got %d", a.Status)
	}
}

func TestHostMustBeThatOfTheHandshake(t *testing.T) {
	b := signedIn(t, "bob")
	for _, host := range []string{"wiki." + Domain, "auth." + Domain, "evil.example", Domain} {
		a := must(t)(b.Do("GET", shared.URL("issues", "/whoami"), Fetch, map[string]string{"Host": host}, ""))
		if a.Status != http.StatusMisdirectedRequest {
			t.Errorf("Host %s at the handshake of issues: %d", host, a.Status)
		}
	}
	if _, err := b.Get("https://issues.other.localhost" + strings.TrimPrefix(shared.URL("issues", "/"), "https://issues."+Domain)); err == nil {
		t.Error("the edge forwarded a name that it does not know")
	}
}

// CSRF: another site acts with the person's cookies.
func TestUnsafeRequestsComeFromTheirOwnHost(t *testing.T) {
	b := signedIn(t, "bob")
	own := strings.TrimSuffix(shared.URL("issues", ""), "/")
	for _, c := range []struct {
		name, method string
		headers      map[string]string
		want         int
	}{
		{"own origin", "POST", map[string]string{"Origin": own}, 200},
		{"another origin", "POST", map[string]string{"Origin": "https://evil.example"}, 403},
		{"a sibling's origin", "POST", map[string]string{"Origin": strings.TrimSuffix(shared.URL("wiki", ""), "/")}, 403},
		{"null origin", "POST", map[string]string{"Origin": "null"}, 403},
		{"no origin, same origin by fetch metadata", "POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"null origin of a page without a referrer", "POST", map[string]string{"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200},
		{"null origin from elsewhere", "POST", map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403},
		{"no origin, same site", "POST", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"neither", "PUT", nil, 403},
		{"safe method from elsewhere", "GET", map[string]string{"Origin": "https://evil.example"}, 200},
		{"another origin's sign-out", "POST /.isogate/logout", map[string]string{"Origin": "https://evil.example"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			method, path, ok := strings.Cut(c.method, " ")
			if !ok {
				path = "/anything"
			}
			if a := must(t)(b.Do(method, shared.URL("issues", path), nil, c.headers, "a=b")); a.Status != c.want {
				t.Errorf("got %d %.200s", a.Status, a.Body)
			}
		})
	}
	if status(t, b, shared.URL("issues", "/whoami")) != 200 {
		t.Error("the session was lost")
	}
}

func TestAnonymousEndpointIsExact(t *testing.T) {
	b := shared.Browser()
	for path, want := range map[string]int{
		"/health": 200, "/health?a=/../b": 200, "//health": 200, "/a/../health": 200, "/%68ealth": 200, // one path for everybody after Envoy normalised it
		"/health/": 401, "/health%23": 401, "/Health": 401, "/healthz": 401, "/health;x": 401, "/health/..;/x": 401,
		"/health%2f": 400, "/%2e%2e%2fhealth": 400, "/x/%2e%2e;/health": 400, "/health%00": 400, "/health%252e": 400, "/health%0a": 400, "/health%ff": 400,
	} {
		if got := status(t, b, shared.URL("issues", path)); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for _, method := range []string{"POST", "HEAD", "OPTIONS", "PUT"} {
		if a := must(t)(b.Do(method, shared.URL("issues", "/health"), nil, nil, "")); a.Status != 401 {
			t.Errorf("%s /health: %d", method, a.Status)
		}
	}
	if got := status(t, b, shared.URL("wiki", "/health")); got != 401 {
		t.Errorf("another product's /health: %d", got)
	}
	e := must(t)(signedIn(t, "bob").Do("GET", shared.URL("issues", "/health"), Fetch, map[string]string{"Cookie": "x=y"}, ""))
	if e.Status != 200 {
		t.Errorf("with a session: %d", e.Status)
	}
	dead := shared.Browser()
	dead.SetCookie(shared.URL("issues", "/"), "__Host-isogate_session", strings.Repeat("A", 43))
	if got := status(t, dead, shared.URL("issues", "/health")); got != 200 {
		t.Errorf("with a dead cookie: %d", got)
	}
}

func TestOwnEndpointsAreAClosedTable(t *testing.T) {
	b := shared.Browser()
	for target, want := range map[string]int{
		"issues /.isogate/signin": 404, "issues /.isogate/callback": 404, "issues /.isogate/": 404, "issues /.isogate/session": 404,
		"issues /.well-known/uct/jwks.json": 401, "auth /": 404, "auth /whoami": 404, "auth /.isogate/x": 404,
		"auth /.well-known/uct/jwks.json": 200, "auth /.isogate/callback": 401, "issues /.isogate/logout": 303, "auth /.isogate/logout": 200, "auth /.isogate/session": 401,
	} {
		name, path, _ := strings.Cut(target, " ")
		if got := status(t, b, shared.URL(name, path)); got != want {
			t.Errorf("%s: %d, want %d", target, got, want)
		}
	}
}
