package dpop

import "testing"

func TestNormalise(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"as it is", "https://h.example/a/b", "https://h.example/a/b"},
		{"scheme and host in capitals", "HTTPS://H.Example/A", "https://h.example/A"},
		{"empty path", "https://h.example", "https://h.example/"},
		{"empty path and query", "https://h.example?q", "https://h.example/"},
		{"default port", "https://h.example:443/a", "https://h.example/a"},
		{"default port of http", "http://h.example:80/a", "http://h.example/a"},
		{"empty port", "https://h.example:/a", "https://h.example/a"},
		{"zeros before a port", "https://h.example:08443/a", "https://h.example:8443/a"},
		{"the other scheme's port", "https://h.example:80/a", "https://h.example:80/a"},
		{"query and fragment", "https://h.example/a?b=/c#d", "https://h.example/a"},
		{"a fragment with a query in it", "https://h.example/a#d?b", "https://h.example/a"},
		{"an address", "https://127.0.0.1:8443/a", "https://127.0.0.1:8443/a"},
		{"an IPv6 address", "https://[2001:DB8::1]:8443/a", "https://[2001:db8::1]:8443/a"},
		{"escapes of what needs none", "https://h.example/%41%7e%2D", "https://h.example/A~-"},
		{"escapes in small letters", "https://h.example/%c3%a9%2f", "https://h.example/%C3%A9%2F"},
		{"an escape of an escape", "https://h.example/%2541", "https://h.example/%2541"},
		{"dots", "https://h.example/a/./b/../c", "https://h.example/a/c"},
		{"dots at the end", "https://h.example/a/b/..", "https://h.example/a/"},
		{"one dot at the end", "https://h.example/a/.", "https://h.example/a/"},
		{"dots above the root", "https://h.example/../../a", "https://h.example/a"},
		{"escaped dots", "https://h.example/a/%2e%2E/b", "https://h.example/b"},
		{"doubled slashes stay", "https://h.example//a//b/", "https://h.example//a//b/"},
		{"an empty segment and dots", "https://h.example/a//..", "https://h.example/a/"},
		{"semicolon and colon", "https://h.example/a;b=1/c:d@e", "https://h.example/a;b=1/c:d@e"},
		{"three dots", "https://h.example/.../a.", "https://h.example/.../a."},
	}
	for _, test := range tests {
		if got, err := normalise(test.in); err != nil || got != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestNormaliseRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"nothing", ""},
		{"a path", "/a"},
		{"no scheme", "//h.example/a"},
		{"another scheme", "ftp://h.example/a"},
		{"a script", "javascript:alert(1)"},
		{"no host", "https:///a"},
		{"a port alone", "https://:443/a"},
		{"a user", "https://h.example@attacker.example/a"},
		{"a password", "https://h.example:443@attacker.example/a"},
		{"a port that is none", "https://h.example:x/a"},
		{"a signed port", "https://h.example:+443/a"},
		{"a port too large", "https://h.example:65979/a"},
		{"two ports", "https://h.example:443:443/a"},
		{"a backslash", `https://h.example\a`},
		{"a backslash in the path", `https://h.example/a\b`},
		{"a space", "https://h.example/a b"},
		{"a space around", " https://h.example/a"},
		{"a tab", "https://h.example/a\tb"},
		{"NUL", "https://h.example/a\x00"},
		{"a line break in the query", "https://h.example/a?\r\nb"},
		{"letters beyond ASCII", "https://h.example/é"},
		{"a host beyond ASCII", "https://hé.example/"},
		{"an escape in the host", "https://h%2eexample/"},
		{"a broken escape", "https://h.example/a%"},
		{"a short escape", "https://h.example/a%4"},
		{"an escape that is none", "https://h.example/a%+1"},
		{"a bracket that is not closed", "https://[::1/a"},
		{"a bracket that is not closed, before a port", "https://[::1:443/a"},
		{"something behind a bracket", "https://[::1]x/a"},
		{"a zone", "https://[fe80::1%25eth0]/a"},
		{"an IPv4 address in brackets", "https://[127.0.0.1]/a"},
	}
	for _, test := range tests {
		if got, err := normalise(test.in); err == nil || got != "" {
			t.Errorf("%s: %q passed", test.name, got)
		}
	}
}

func TestSameTarget(t *testing.T) {
	tests := []struct {
		name, htu, url string
		want           bool
	}{
		{"equal", url, url, true},
		{"the request has a query", url, url + "?fields=a", true},
		{"the proof has a query and a fragment", url + "?fields=a#b", url, true},
		{"equivalent", "HTTPS://Gateway.Example:443/issues/%72est/api/issue/X-1", url, true},
		{"no path and the root", "https://gateway.example", "https://gateway.example/?a", true},

		{"another scheme", "http://gateway.example/a", "https://gateway.example/a", false},
		{"another host", "https://gateway.example.attacker.example/a", "https://gateway.example/a", false},
		{"a host with a dot at the end", "https://gateway.example./a", "https://gateway.example/a", false},
		{"another port", "https://gateway.example:8443/a", "https://gateway.example/a", false},
		{"another case in the path", "https://gateway.example/A", "https://gateway.example/a", false},
		{"a slash more", "https://gateway.example/a/", "https://gateway.example/a", false},
		{"a doubled slash", "https://gateway.example//a", "https://gateway.example/a", false},
		{"an escaped slash", "https://gateway.example/a%2Fb", "https://gateway.example/a/b", false},
		{"an escape undone twice", "https://gateway.example/%2541", "https://gateway.example/A", false},
		{"a prefix", "https://gateway.example/", "https://gateway.example/a", false},
		{"a path parameter", "https://gateway.example/a;b", "https://gateway.example/a", false},
		{"two that are none", "x", "x", false},
		{"a request that is none", url, "/issues", false},
	}
	for _, test := range tests {
		if err := sameTarget(test.htu, test.url); (err == nil) != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}
