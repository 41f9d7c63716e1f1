package check

import (
	"strings"
	"testing"

	"isogate/extauthz/page"
)

// A browser's request, and the two answers that there are most of.
func BenchmarkParse(b *testing.B) {
	in := sent(question("GET", issuesHost, "/rest/api/issue/ACME-1?fields=summary", ":authority", issuesHost, ":path", "/rest/api/issue/ACME-1?fields=summary",
		":method", "GET", ":scheme", "https", "sec-ch-ua", `"Chromium";v="140"`, "sec-ch-ua-mobile", "?0", "sec-ch-ua-platform", `"Linux"`,
		"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "accept", "application/json",
		"sec-fetch-site", "same-origin", "sec-fetch-mode", "cors", "sec-fetch-dest", "empty", "referer", "https://issues.acme.example/browse/ACME-1",
		"accept-encoding", "gzip, deflate, br, zstd", "accept-language", "en-GB,en;q=0.9,de;q=0.8", "priority", "u=1, i", "x-forwarded-for", "192.0.2.1",
		"x-forwarded-proto", "https", "x-request-id", "0f1c8a5e-8ba4-4f3c-9f6d-0d9c5b0f9d8e", "cookie", "theme=dark; locale=en-GB; "+strings.Repeat("b3", 40)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, v := range map[string]Verdict{
		"pass": {Allow: true, Reason: Session, Set: []page.Field{{Name: "cookie", Value: "theme=dark"}, {Name: "x-user-context-token", Value: strings.Repeat("t", 700)}},
			Remove: []string{"x-user_context"}, Stream: 1e12, Policy: strings.Repeat("d", 64), Rule: "signed-in"},
		"denial": Deny(401, Unauthenticated, false, "https://auth.acme.example/.isogate/signin").Challenged("auth.acme.example"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if answer, _ := Encode(v); len(answer) == 0 {
					b.Fatal("empty")
				}
			}
		})
	}
}
