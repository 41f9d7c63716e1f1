package profile

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
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

// On the commercial side: a person at work, one whose session was checked more than a minute ago while its cloud does not answer, a scanner
// with a made-up cookie, and one with another host's.
func BenchmarkFederated(b *testing.B) {
	s := newSide(b)
	s.clouds.says(down)
	o := s.outside()
	o.Token = strings.Repeat("t", 800)
	stale := o
	stale.Checked = start.Add(-time.Hour)
	for _, bench := range []struct {
		name   string
		cookie string
		want   outcome
	}{
		{"living session", s.cookie(supportHost, o), pass(check.Session)},
		{"living session, no answer", s.cookie(supportHost, stale), pass(check.Session)},
		{"forged cookie", session.OutsideCookie + "=" + strings.Repeat("A", 1200), deny(401, check.Unauthenticated)},
		{"another host's", s.cookie(statusHost, o), deny(401, check.Unauthenticated)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s.t = b
			in := to(supportHost, "GET", "/x", lines(fetch, []string{"cookie", "theme=dark; " + bench.cookie})...)
			s.expect(in, bench.want)
			b.ReportAllocs()
			for b.Loop() {
				s.Decide(b.Context(), in)
			}
		})
	}
}

// What a service with a sidecar costs more: one seal.
func BenchmarkFederatedCarried(b *testing.B) {
	s, _ := newCallingSide(b)
	o := s.outside()
	o.Token = strings.Repeat("t", 800)
	in := to(supportHost, "GET", "/x", lines(fetch, []string{"cookie", "theme=dark; " + s.cookie(supportHost, o)})...)
	s.expect(in, pass(check.Session))
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(b.Context(), in)
	}
}

// A service's call on its way out: one opening, and one signature for the proof.
func BenchmarkEgress(b *testing.B) {
	o := newOutbound(b)
	in := o.call("GET", "/rest/api/issue/X-1?fields=summary", "accept", "application/json")
	o.expect(in, pass(check.Sent))
	b.ReportAllocs()
	for b.Loop() {
		o.Decide(b.Context(), in)
	}
}

// All cores at once, with people of their own: the memory of answers has one lock.
func BenchmarkFederatedParallel(b *testing.B) {
	s := newSide(b)
	var people atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		in := s.visit(supportHost, s.granted(acmeID, fmt.Sprint("g", people.Add(1))))
		for p.Next() {
			s.Decide(b.Context(), in)
		}
	})
}
