package page

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"
)

// bad are targets that no page may lead to: scripts, other hosts in disguise
// (from the published open-redirect lists), and what could leave an attribute.
var bad = []string{
	"",
	"javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)",
	"data:text/html,<script>alert(1)</script>", "vbscript:x", "file:///etc/passwd", "ftp://evil.example/", "mailto:a@evil.example",
	"//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example",
	"evil.example", "evil", "https:evil.example", "https:/evil.example", "https://", "http://:80/", "https:///evil.example",
	"https://login.example@evil.example/", "https://a:b@evil.example/", "https://evil.example\\@login.example/",
	`https://a.example/"><script>alert(1)</script>`, `/"onmouseover="alert(1)`, "https://a.example/\r\nset-cookie:x=y",
	"https://a.example/;url='>", "https://a.example/ 0;url=https://evil.example", "https://é.example/", "https://a.example/%zz", "https://a.example:port/",
}

func TestBadTargetsAreLeftOut(t *testing.T) {
	for _, target := range bad {
		for name, a := range map[string]Answer{
			"session-ended": Denial(401, "session-ended", true, target),
			"start-again":   StartAgain(target),
			"provider":      ProviderUnavailable(target),
			"signed-out":    SignedOut(target),
			"choose":        Choose([]Choice{{"Staff", "/good"}, {"Other", target}}),
		} {
			hrefs := regexp.MustCompile(`href="[^"]*"`).FindAllString(string(a.Body), -1)
			for _, h := range hrefs {
				if h != `href="/good"` && h != `href=""` {
					t.Errorf("%s(%q) has %s", name, target, h)
				}
			}
		}
		if a := Denial(401, "session-ended", false, target); bytes.Contains(a.Body, []byte("sign_in")) {
			t.Errorf("problem with %q: %s", target, a.Body)
		}
	}
}

func TestContinueRefusesBadTargets(t *testing.T) {
	for _, target := range append([]string{"/local", "?x"}, bad...) {
		a := Continue(target)
		if a.Status != 400 || bytes.Contains(a.Body, []byte("http-equiv")) || bytes.Contains(a.Body, []byte("href")) {
			t.Errorf("Continue(%q): status %d\n%s", target, a.Status, content(a))
		}
	}
}

// Both ways lead to the target to the letter, except that html/template may
// encode quotes and parentheses.
func TestContinueKeepsTheTarget(t *testing.T) {
	for _, target := range []string{
		"https://idp.example/sso?SAMLRequest=fZ%2B%2F%3D&RelayState=a%20b&x='y'#f",
		"http://localhost:8080/callback?code=a-_~.!*();c&iss=https://auth.acme.example",
		"https://[::1]:8443/x", "HTTPS://a.example",
	} {
		a := Continue(target)
		body := strings.NewReplacer("%27", "'", "%28", "(", "%29", ")").Replace(html.UnescapeString(content(a)))
		for _, want := range []string{`content="0;url=` + target + `">`, `href="` + target + `">`} {
			if !strings.Contains(body, want) {
				t.Errorf("Continue(%q) lacks %s\n%s", target, want, content(a))
			}
		}
	}
}

func TestSignOutPostsOnlyToItsOwnHost(t *testing.T) {
	for _, action := range append([]string{"https://evil.example/", home}, bad...) {
		if a := SignOut(action, "wiki.acme.example", ""); a.Status != 503 || bytes.Contains(a.Body, []byte("<form")) {
			t.Errorf("SignOut(%q): status %d\n%s", action, a.Status, content(a))
		}
	}
}

func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, "</title><h1>x</h1>",
		"{{.Title}}", "a\x00b", "\xff\xfe",
	} {
		for page, a := range map[string]Answer{
			"sign-out": SignOut("/.isogate/logout", name, ""),
			"choose":   Choose([]Choice{{name, "/x"}}),
			"refused":  Refused(403, name),
			"allowed":  NotAllowed(name, ""),
		} {
			if regexp.MustCompile(`<(script|img)|<a [^>]*on[a-z]+=`).Match(a.Body) || bytes.Count(a.Body, []byte("<h1>")) != 1 {
				t.Errorf("%s(%q):\n%s", page, name, content(a))
			}
			if page != "choose" && bytes.Contains(a.Body, []byte(html.EscapeString(name))) {
				t.Errorf("%s shows %q", page, name)
			}
		}
	}
}

func TestChooseWithoutAUsableProvider(t *testing.T) {
	for name, in := range map[string][]Choice{
		"none": nil, "no name": {{"", "/x"}}, "no link": {{"Staff", ""}}, "script": {{"Staff", "javascript:alert(1)"}},
	} {
		if a := Choose(in); a.Status != 503 {
			t.Errorf("%s: status %d, want 503", name, a.Status)
		}
	}
}
