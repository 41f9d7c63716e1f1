package page

import (
	"bytes"
	"testing"
	"time"
)

// What a stranger may have typed comes back escaped, and stays in its place.
func TestFormsEscape(t *testing.T) {
	const hostile = `"><script>alert(1)</script><input name="x`
	for name, a := range map[string]Answer{
		"email": AskEmail("/.isogate/signin", nil, hostile, NoProvider),
		"flow":  AskEmail("/.isogate/signin", []Field{{"flow", hostile}}, "", ""),
		"name":  Session(Own{Name: hostile}, "/.isogate/logout"),
	} {
		if bytes.Contains(a.Body, []byte("<script")) || bytes.Contains(a.Body, []byte(`name="x`)) || !bytes.Contains(a.Body, []byte("&lt;script&gt;")) {
			t.Errorf("%s:\n%s", name, content(a))
		}
	}
}

func TestFormsPostToTheirOwnHostOnly(t *testing.T) {
	for _, action := range append([]string{"https://evil.example/"}, bad...) {
		for name, a := range map[string]Answer{"email": AskEmail(action, nil, "", ""), "session": Session(Own{}, action)} {
			if a.Status != 503 || bytes.Contains(a.Body, []byte("<form")) {
				t.Errorf("%s posts to %q", name, action)
			}
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * time.Minute: "30 minutes", time.Hour: "1 hour", 12 * time.Hour: "12 hours", 90 * time.Second: "90 seconds", time.Second: "1 second", 90 * time.Minute: "90 minutes",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
