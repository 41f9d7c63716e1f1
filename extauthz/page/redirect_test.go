package page

import "testing"

func TestRedirect(t *testing.T) {
	for _, c := range []struct {
		name, target string
		status, want int
	}{
		{"as asked", "https://issues.example/a?b=%20c&d={x|y}", 302, 302},
		{"see other", "https://issues.example:8443/", 303, 303},
		{"no redirect status", "https://issues.example/", 200, 503},
		{"another scheme", "javascript:alert(1)", 302, 503},
		{"a path alone", "/a", 302, 503},
		{"scheme-relative", "//evil.example/", 302, 503},
		{"user information", "https://issues.example@evil.example/", 302, 503},
		{"a line end", "https://issues.example/\r\nset-cookie: a=b", 302, 503},
		{"not ASCII", "https://issues.example/é", 302, 503},
	} {
		got := Redirect(c.status, c.target)
		location := ""
		for _, f := range got.Header {
			if f.Name == "location" {
				location = f.Value
			}
		}
		if got.Status != c.want || (location == c.target) != (c.want < 400) {
			t.Errorf("%s: got %d %q", c.name, got.Status, location)
		}
	}
}
