package profile

import (
	"fmt"
	"testing"
	"time"

	"isogate/extauthz/check"
)

// A grant that ended here stays ended as long as any cookie of it could open, though its cloud is away and heard nothing, though hours pass, and
// whatever goes on at other clouds.
func TestWhatEndedHereStaysEnded(t *testing.T) {
	s := newSide(t)
	s.clouds.says(down)
	short := s.outside().Until(start.Add(time.Hour)) // a cookie with the limit of a moment; a copy of before holds another
	long := s.visit(supportHost, s.outside())
	s.answers.End(short)
	for i := range 2 * maxEnded {
		s.answers.End(s.granted(globexID, fmt.Sprint("g", i)))
	}
	for hour := range 24 {
		s.now = start.Add(time.Duration(hour)*time.Hour + time.Minute)
		s.Decide(t.Context(), s.visit(supportHost, s.granted(acmeID, fmt.Sprint("other", hour))))
		s.answers.keep(grantKey{acmeID, fmt.Sprint("other", hour)})  // answers come and go
		s.answers.End(s.granted(acmeID, fmt.Sprint("leaver", hour))) // and so do people
		s.expect(long, deny(401, check.Unauthenticated))
	}
}

// What a cloud said of a grant that ended is remembered as long, also where the cloud is away later.
func TestWhatACloudSaidIsOverStaysOver(t *testing.T) {
	s := newSide(t)
	visit := s.visit(supportHost, s.outside())
	s.now = start.Add(2 * time.Minute)
	s.clouds.says(ended)
	s.expect(visit, deny(401, check.Unauthenticated))
	s.clouds.says(down)
	for hour := range 23 {
		s.now = start.Add(time.Duration(hour+1) * time.Hour)
		s.answers.keep(grantKey{globexID, fmt.Sprint("other", hour)})
		s.expect(visit, deny(401, check.Unauthenticated))
	}
	s.clouds.expects(t, 1, "over")
}

// What ended has a bound for each cloud; above it, what could open least long gives way. What can open no more goes without a bound.
func TestTheMemoryOfWhatEndedIsBounded(t *testing.T) {
	now, e := start, &endedGrants{known: map[string]bool{}}
	holds := func(want int, known ...string) {
		t.Helper()
		if len(e.known) != want || len(e.endings) != want {
			t.Errorf("%d and %d are kept, want %d", len(e.known), len(e.endings), want)
		}
		for _, grant := range known {
			if !e.has(grant) {
				t.Errorf("%s is forgotten", grant)
			}
		}
	}
	e.add("long", now.Add(24*time.Hour), now)
	e.add("short", now.Add(time.Minute), now)
	e.add("short", now.Add(time.Hour), now)
	holds(2, "long", "short")
	for i := range 3 * maxEnded {
		e.add(fmt.Sprint("g", i), now.Add(time.Hour+time.Duration(i)), now)
	}
	holds(maxEnded, "long", fmt.Sprint("g", 3*maxEnded-1))
	if e.has("short") || e.has("g0") {
		t.Error("what could open least long does not give way")
	}
	now = now.Add(2 * time.Hour)
	e.add("last", now.Add(time.Hour), now)
	holds(2, "long", "last")
	if (*endedGrants)(nil).has("long") {
		t.Error("a cloud without such grants has one")
	}
}
