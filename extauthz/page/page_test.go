package page

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func header(a Answer, name string) string {
	var values []string
	for _, f := range a.Header {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return strings.Join(values, " | ")
}

func TestEveryPageIsAWholeSafeDocument(t *testing.T) {
	for name, a := range allPages() {
		body := string(a.Body)
		for _, once := range []string{`<html lang="en">`, "<title>", "<h1>", "<main>", "<footer>", `<meta charset="utf-8">`, `name="viewport"`} {
			if n := strings.Count(body, once); n != 1 {
				t.Errorf("%s: %q appears %d times, want 1", name, once, n)
			}
		}
		for _, never := range []string{"<script", "javascript:", " style=", " src=", "@import", "url(", "<iframe", "<base", "ZgotmplZ"} {
			if strings.Contains(strings.ToLower(body), strings.ToLower(never)) {
				t.Errorf("%s: contains %q", name, never)
			}
		}
		if on := regexp.MustCompile(`(?i)\son[a-z]+\s*=`).FindString(body); on != "" {
			t.Errorf("%s: event handler %q", name, on)
		}
		if regexp.MustCompile(`<(title|h1|p)></`).MatchString(body) {
			t.Errorf("%s: an empty element", name)
		}
	}
}

// A page loads nothing; its only foreign addresses are the links that it was
// given.
func TestNoPageNamesAnExternalURL(t *testing.T) {
	for name, a := range allPages() {
		for _, u := range regexp.MustCompile(`[a-z]+://[^"<\s]*`).FindAllString(string(a.Body), -1) {
			if !strings.HasPrefix(u, "https://auth.acme.example/") && u != home {
				t.Errorf("%s: names %s", name, u)
			}
		}
	}
}

// allPages is the golden pages and a page of every reason.
func allPages() map[string]Answer {
	all := map[string]Answer{}
	for name, a := range pages {
		all[name] = a
	}
	for _, reason := range Reasons() {
		all["reason "+reason] = Denial(403, reason, true, signIn)
	}
	return all
}

func TestPolicyAllowsExactlyTheStylesheetOfThePage(t *testing.T) {
	inside := regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	for name, a := range allPages() {
		found := inside.FindAllSubmatch(a.Body, -1)
		if len(found) != 1 {
			t.Fatalf("%s: %d stylesheets, want 1", name, len(found))
		}
		sum := sha256.Sum256(found[0][1])
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; img-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
		if got := header(a, "content-security-policy"); got != want {
			t.Errorf("%s: policy %q, want %q", name, got, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	tests := []struct {
		name string
		in   Answer
		want []Field
	}{
		{"page", Refused(403, "policy"), common("text/html; charset=utf-8", policy)},
		{"page 503", ProviderUnavailable(home), append(common("text/html; charset=utf-8", policy), Field{"retry-after", "10"})},
		{"problem", Denial(403, "policy", false, ""), common("application/problem+json", problemPolicy)},
		{"problem 503", Denial(503, "unavailable", false, ""), append(common("application/problem+json", problemPolicy), Field{"retry-after", "10"})},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.in.Header); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

func common(contentType, policy string) []Field {
	return []Field{
		{"content-type", contentType},
		{"cache-control", "no-store"},
		{"content-security-policy", policy},
		{"x-content-type-options", "nosniff"},
		{"x-frame-options", "DENY"},
		{"referrer-policy", "no-referrer"},
		{"cross-origin-resource-policy", "same-origin"},
	}
}

func TestStatus(t *testing.T) {
	tests := map[string]int{
		"choose": 200, "continue": 200, "sign-out": 200, "signed-out": 200,
		"start-again": 400, "not-allowed-domain": 403, "provider-unavailable": 503,
		"session-ended": 401, "misdirected": 421, "rate": 429,
	}
	for name, want := range tests {
		if got := pages[name].Status; got != want {
			t.Errorf("%s: status %d, want %d", name, got, want)
		}
	}
}
