package world

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// repeated are n header lines.
func repeated(n int, line string) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf(line, i))
	}
	return out
}

// Each is sent by somebody who is signed in, so that only its size or form can be why it is refused.
func TestRequestsThatAreTooMuch(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	cookie := "Cookie: " + handleCookie + "=" + handle(b, "issues")
	long := strings.Repeat("p", 9<<10)
	cases := []struct {
		name, target string
		headers      []string
		want         int
	}{
		{"as it should be", "/whoami", nil, 200},
		{"header of 33 KB", "/whoami", []string{"X-Big: " + strings.Repeat("x", 33<<10)}, 431},
		{"33 KB in 33 headers", "/whoami", repeated(33, "X-Big-%d: "+strings.Repeat("x", 1<<10)), 431},
		{"101 headers", "/whoami", repeated(101, "X-Many-%d: x"), 431},
		{"the same header 200 times", "/whoami", repeated(200, "X-Same: %d"), 431},
		{"200 lines of cookies", "/whoami", repeated(200, "Cookie: c%d=x"), 431},
		{"200 cookies of ours in a line", "/whoami", []string{"Cookie: " + strings.Join(repeated(200, handleCookie+"=%d"), "; ")}, 400},
		{"path of 9 KB", "/" + long, nil, 400},
		{"query of 9 KB", "/whoami?" + long, nil, 400},
		{"path of 33 KB", "/" + strings.Repeat("p", 33<<10), nil, 431},
		{"session cookie of 20 KB", "/whoami", []string{"Cookie: " + handleCookie + "=" + strings.Repeat("A", 20<<10)}, 400}, // the second one
		{"NUL in a value", "/whoami", []string{"X-Control: a\x00b"}, 400},
		{"control character in a value", "/whoami", []string{"X-Control: a\x01b"}, 400},
		{"DEL in a value", "/whoami", []string{"X-Control: a\x7fb"}, 400},
		{"a value that is not UTF-8", "/whoami", []string{"X-Control: a\xffb"}, 400},
		{"control character in a cookie", "/whoami", []string{"Cookie: theme=a\x02b"}, 400},
		{"no colon", "/whoami", []string{"X-Control"}, 400},
		{"no name", "/whoami", []string{": x"}, 400},
	}
	all := func() {
		for _, c := range cases {
			answer, err := once("issues", plain("GET", "issues", c.target, slices.Concat([]string{cookie}, asFetch, c.headers)...))
			if err != nil || answer.StatusCode != c.want {
				t.Errorf("%s: %v, want %d", c.name, outcome(answer, err), c.want)
			}
		}
	}
	all()
	before := measured(t)
	stop := probe(t, b)
	for range 10 {
		all()
	}
	stop()
	wantUnharmed(t, before, measured(t))
}

// What many products need is no attack: it passes while it stays below the limits.
func TestRequestsThatAreMuchButNotTooMuch(t *testing.T) {
	b := signedIn(t, "bob")
	cookie := "Cookie: " + handleCookie + "=" + handle(b, "issues")
	for name, headers := range map[string][]string{
		"200 cookies in a line": {cookie + "; " + strings.Join(repeated(200, "c%d=x"), "; ")},
		"cookie of 20 KB":       {cookie + "; big=" + strings.Repeat("x", 20<<10)},
		"80 headers":            append(repeated(80, "X-Many-%d: x"), cookie),
		"header of 20 KB":       {cookie, "X-Big: " + strings.Repeat("x", 20<<10)},
	} {
		answer, err := once("issues", plain("GET", "issues", "/whoami", append(headers, asFetch...)...))
		if err != nil || answer.StatusCode != 200 {
			t.Errorf("%s: %v", name, outcome(answer, err))
		}
	}
}

// Envoy takes a lone CR out of a value (RFC 9112 section 2.2 has it refused or replaced): nobody behind it may see one and end a line there.
func TestLoneCRReachesNobody(t *testing.T) {
	b := signedIn(t, "bob")
	conn, err := dialEdge("issues", "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := plain("GET", "issues", "/whoami", "Cookie: "+handleCookie+"="+handle(b, "issues"), "X-Control: a\rX-User-Context-Token: forged")
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == 400 {
		return
	}
	var e echo
	if err := json.NewDecoder(answer.Body).Decode(&e); err != nil || answer.StatusCode != 200 {
		t.Fatalf("%d %v", answer.StatusCode, err)
	}
	if tokens := e.Headers["x-user-context-token"]; len(tokens) != 1 || tokens[0] == "forged" || strings.ContainsAny(fmt.Sprint(e.Headers), "\r\n") {
		t.Errorf("the product received %q", e.Headers)
	}
}

// outcome is a status, or why there is none.
func outcome(answer *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return answer.Status
}
