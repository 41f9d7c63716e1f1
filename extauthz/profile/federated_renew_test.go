package profile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// What the cloud says next counts at once: a shorter limit, and a longer one up to 24 h from the sign-in.
func TestWhatTheCloudSaysCountsAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		had, says, want time.Duration // from the sign-in
		living          bool
	}{
		"shorter":               {24 * time.Hour, time.Hour, time.Hour, true},
		"longer":                {time.Hour, 3 * time.Hour, 3 * time.Hour, true},
		"as before":             {time.Hour, time.Hour, time.Hour, true},
		"longer than a day":     {time.Hour, 30 * time.Hour, 24 * time.Hour, true},
		"a second left":         {24 * time.Hour, 2*time.Minute + time.Second, 2*time.Minute + time.Second, true},
		"over now":              {24 * time.Hour, 2 * time.Minute, 0, false},
		"over before":           {24 * time.Hour, time.Minute, 0, false},
		"over before it began":  {24 * time.Hour, -time.Hour, 0, false},
		"fractions of a second": {24 * time.Hour, time.Hour + 900*time.Millisecond, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSide(t)
			o := s.outside().Until(start.Add(tt.had))
			s.clouds.says(endsAt(start.Add(tt.says)))
			s.now = start.Add(2 * time.Minute)
			if !tt.living {
				if v := s.expect(s.visit(statusHost, o), deny(401, check.Unauthenticated)); given(v) != session.ClearOutside() {
					t.Error("the cookie stays")
				}
				return
			}
			v := s.expect(s.visit(statusHost, o), pass(check.Session))
			got, ok := s.opened(statusHost, v)
			if !ok || got.Ends.Sub(start) != tt.want || v.Stream.Truncate(time.Second) != tt.want-2*time.Minute {
				t.Errorf("ends %s after the sign-in, the stream after %s", got.Ends.Sub(start), v.Stream)
			}
			got.Ends, got.Checked = o.Ends, o.Checked
			if diff := cmp.Diff(fmt.Sprintf("%#v", plain(o)), fmt.Sprintf("%#v", plain(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// plain is a session without what keeps it from being printed.
func plain(o session.Outside) any {
	type printed session.Outside
	p := printed(o)
	p.Start, p.Ends, p.Checked = p.Start.UTC(), p.Ends.UTC(), p.Checked.UTC()
	return p
}

// What a cloud said holds while it answers no more, with a copy of the old cookie too, and after other answers were forgotten.
func TestTheLastWordHoldsWhileACloudIsDown(t *testing.T) {
	s := newSide(t)
	old := s.visit(statusHost, s.outside())
	s.clouds.says(endsAt(start.Add(5 * time.Hour)))
	s.now = start.Add(2 * time.Minute)
	s.expect(old, pass(check.Session))
	s.clouds.says(down)
	for _, after := range []time.Duration{4 * time.Minute, 70 * time.Minute, 4 * time.Hour} {
		s.now = start.Add(after)
		if v := s.expect(old, pass(check.Session)); v.Stream != 5*time.Hour-after {
			t.Errorf("after %s the stream may last %s", after, v.Stream)
		}
	}
	s.clouds.expects(t, 4, "each time")
}

// A clock that was wrong, here or at a replica, leaves cookies that seem to be checked in time to come: they are checked now.
func TestACookieThatWasCheckedInTimeToCome(t *testing.T) {
	s := newSide(t)
	o := s.outside()
	o.Checked = start.Add(time.Hour)
	for range 3 {
		if got, ok := s.opened(supportHost, s.expect(s.visit(supportHost, o), pass(check.Session))); !ok || !got.Checked.Equal(start) {
			t.Errorf("checked %s", got.Checked)
		}
	}
	s.clouds.expects(t, 1, "in time to come")
	o.Grant = "another"
	s.clouds.says(ended)
	s.expect(s.visit(supportHost, o), deny(401, check.Unauthenticated))
}

// What one host learnt, all know: the newest word counts, though this host's cookie is not old yet.
func TestTheNewestWordCountsAtEveryHost(t *testing.T) {
	s := newSide(t)
	old := s.outside()
	s.now = start.Add(40 * time.Second)
	newer := s.outside() // of the same grant, signed in at this host later
	newer.Start = old.Start
	newer = newer.Until(start.Add(24 * time.Hour))
	s.now = start.Add(70 * time.Second)
	s.clouds.says(endsAt(start.Add(5 * time.Minute)))
	s.expect(s.visit(supportHost, old), pass(check.Session))
	v := s.expect(s.visit(statusHost, newer), pass(check.Session))
	if got, ok := s.opened(statusHost, v); !ok || got.Ends.Sub(start) != 5*time.Minute {
		t.Error("a host goes by an older word")
	}
	s.clouds.expects(t, 1, "both hosts")
	s.now = start.Add(5 * time.Minute)
	s.clouds.says(down)
	s.expect(s.visit(statusHost, newer), deny(401, check.Unauthenticated)) // over, whoever answers
}

// A cloud that leaves the directory, or stops to sign people in here, takes its people with it; what is remembered outlives a reload.
func TestReload(t *testing.T) {
	s := newSide(t)
	o := s.outside()
	s.now = start.Add(2 * time.Minute)
	s.expect(s.visit(supportHost, o), pass(check.Session))
	s.reload(directory(globexID, acmeID))
	if v := s.expect(s.visit(supportHost, o), pass(check.Session)); given(v) == "" {
		t.Error("the answer is lost")
	}
	s.clouds.expects(t, 1, "a reload")
	edgeOnly := directory(acmeID)
	edgeOnly[0].Domains, edgeOnly[0].Issuer = nil, ""
	for name, all := range map[string][]topology.Directory{"gone": nil, "another id": directory(globexID), "for the edge alone": edgeOnly} {
		s.reload(all)
		fresh := s.outside()
		if v := s.expect(s.visit(supportHost, fresh), deny(401, check.Unauthenticated)); given(v) != session.ClearOutside() {
			t.Errorf("%s: its people stay signed in", name)
		}
	}
	s.reload(directory(acmeID))
	s.expect(s.visit(supportHost, s.outside()), pass(check.Session)) // only the file had said so
	s.clouds.expects(t, 1, "an entry that is gone")
}

// A cookie of a key that was removed is nobody's; one of an old key still opens, and is sealed with the new one when it is checked.
func TestKeysOfTheCookieChange(t *testing.T) {
	s := newSide(t)
	first := must(filepath.Glob(filepath.Join(s.sealers.Dir(), "*.key")))(t)
	old := s.visit(supportHost, s.outside())
	if err := keys.GenerateSealer(s.sealers.Dir(), "second"); err != nil {
		t.Fatal(err)
	}
	s.now = start.Add(keys.Settle + time.Hour)
	for _, file := range first { // settled before the second one
		if err := os.Chtimes(file, start.Add(-time.Hour), start.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(s.sealers.Dir(), "second.key"), start, start); err != nil {
		t.Fatal(err)
	}
	if err := s.sealers.Reload(); err != nil {
		t.Fatal(err)
	}
	renewed, ok := s.opened(supportHost, s.expect(old, pass(check.Session)))
	if !ok {
		t.Fatal("an old key's cookie was not sealed anew")
	}
	fresh := s.visit(supportHost, renewed)
	if err := os.Remove(first[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.sealers.Reload(); err != nil {
		t.Fatal(err)
	}
	s.expect(old, deny(401, check.Unauthenticated))
	s.expect(fresh, pass(check.Session))
}

// Envoy may repeat a check: it gives the same answer, but for the nonce of what is sealed.
func TestAFederatedDecisionMayBeRepeated(t *testing.T) {
	s := newSide(t)
	o := s.outside()
	visit := s.visit(supportHost, o)
	for _, now := range []time.Duration{0, 2 * time.Minute} {
		name := now.String()
		s.now = start.Add(now)
		first := s.Decide(t.Context(), visit)
		for range 5 {
			again := s.Decide(t.Context(), visit)
			one, _ := s.opened(supportHost, first)
			two, _ := s.opened(supportHost, again)
			if fmt.Sprint(plain(one)) != fmt.Sprint(plain(two)) || len(first.Respond) != len(again.Respond) {
				t.Errorf("%s: another cookie", name)
			}
			again.Respond = first.Respond
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	s.clouds.expects(t, 1, "repeated")
}

// The memory of answers has a bound, in number and in time.
func TestTheMemoryOfAnswersIsBounded(t *testing.T) {
	s := newSide(t)
	for i := range 5 * maxAnswers {
		s.answers.keep(grantKey{acmeID, fmt.Sprint("g", i)})
		if size := len(s.answers.recent) + len(s.answers.older); size > 2*maxAnswers {
			t.Fatalf("%d answers are kept", size)
		}
	}
	for hour := range 3 { // time alone clears it too
		s.now = s.now.Add(keepAnswers)
		s.answers.keep(grantKey{acmeID, fmt.Sprint("later", hour)})
	}
	if size := len(s.answers.recent) + len(s.answers.older); size > 2 {
		t.Errorf("%d answers are kept for hours", size)
	}
}
