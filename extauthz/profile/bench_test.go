package profile

import (
	"testing"

	"isogate/extauthz/check"
)

// The three requests that there are most of: a person at work, a scanner with a made-up cookie, a probe.
func BenchmarkDecide(b *testing.B) {
	w := newWorld(b)
	_, cookie := w.signedIn(issuesHost, ada)
	for _, bench := range []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"living session", ask("GET", "/x", lines(fetch, []string{"cookie", "theme=dark; " + cookie})...), pass(check.Session)},
		{"forged cookie", ask("GET", "/x", lines(fetch, []string{"cookie", forged})...), deny(401, check.Unauthenticated)},
		{"anonymous", ask("GET", "/health"), pass(check.Anonymous)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			w.t = b
			w.expect(bench.in, bench.want)
			b.ReportAllocs()
			for b.Loop() {
				w.Decide(b.Context(), bench.in)
			}
		})
	}
}
