package profile

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
)

// live runs a test in a time of its own, in which waiting costs nothing.
func live(t *testing.T, test func(t *testing.T, s *side)) {
	synctest.Test(t, func(t *testing.T) {
		s := &side{t: t, clock: time.Now, clouds: &fakeClouds{}}
		s.build()
		test(t, s)
	})
}

// granted is somebody with a session of their own.
func (s *side) granted(cloud, grant string) session.Outside {
	o := s.outside()
	o.Cloud, o.Grant = cloud, grant
	return o
}

// visit is a fetch at a host with a session.
func (s *side) visit(host string, o session.Outside) check.Request {
	s.t.Helper()
	return to(host, "GET", "/x", lines(fetch, []string{"cookie", s.cookie(host, o)})...)
}

// together decides all at once, and says how long the slowest took.
func (s *side) together(all []check.Request) ([]check.Verdict, time.Duration) {
	began, verdicts := s.clock(), make([]check.Verdict, len(all))
	var running sync.WaitGroup
	for i, r := range all {
		running.Go(func() { verdicts[i] = s.Decide(context.Background(), r) })
	}
	running.Wait()
	return verdicts, s.clock().Sub(began)
}

// after is an answer that takes its time.
func after(d time.Duration, answer func(context.Context, session.Outside) (time.Time, error)) func(context.Context, session.Outside) (time.Time, error) {
	return func(ctx context.Context, o session.Outside) (time.Time, error) {
		select {
		case <-time.After(d):
			return answer(ctx, o)
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// oauth2-proxy#1992, #3456: many requests with one old cookie, at a slow cloud, cause one ask, and each gets the new cookie.
func TestParallelRequestsWithAnOldCookieAskOnce(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		o := s.outside()
		signedIn := o.Start
		time.Sleep(2 * time.Minute)
		expiry := time.Now().Add(time.Hour)
		s.clouds.says(after(300*time.Millisecond, endsAt(expiry)))
		var all []check.Request
		for range 50 {
			all = append(all, s.visit(supportHost, o), s.visit(statusHost, o))
		}
		asked := time.Now()
		for range 3 { // the browser had more under way
			verdicts, took := s.together(all)
			for i, v := range verdicts {
				got, ok := s.opened(all[i].Host, v)
				if !v.Allow || !ok || !got.Checked.Equal(asked) || !got.Ends.Equal(expiry) || !got.Start.Equal(signedIn) || got.Token != o.Token {
					t.Fatalf("%+v, a new cookie: %v, checked %s, ends %s", v.Reason, ok, got.Checked, got.Ends)
				}
			}
			if took > 300*time.Millisecond {
				t.Errorf("they waited %s", took)
			}
		}
		s.clouds.expects(t, 1, "one grant")
	})
}

func TestASessionIsCheckedOnceInItsInterval(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		time.Sleep(900 * time.Millisecond) // a cookie knows whole seconds
		o := s.outside()
		for minute := range 60 {
			for second := range 6 {
				v := s.expect(s.visit(supportHost, o), pass(check.Session))
				renewed, ok := s.opened(supportHost, v)
				if ok != (minute > 0 && second == 0) {
					t.Fatalf("%d min %d s: a new cookie: %v", minute, 10*second, ok)
				}
				if ok {
					o = renewed
				}
				time.Sleep(10 * time.Second)
			}
		}
		s.clouds.expects(t, 59, "an hour")
	})
}

// Nobody's session ends because a cloud does not answer, and nobody waits for it for long, or often.
func TestACloudThatDoesNotAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		says  func(context.Context, session.Outside) (time.Time, error)
		waits time.Duration
	}{
		"hangs":            {hangs, patience},
		"is down":          {down, 0},
		"answers garbage":  {panics, 0},
		"fails in a while": {after(400*time.Millisecond, down), 400 * time.Millisecond},
		"is far too slow":  {after(time.Hour, down), patience},
	} {
		t.Run(name, func(t *testing.T) {
			live(t, func(t *testing.T, s *side) {
				s.clouds.says(tt.says)
				o := s.outside()
				time.Sleep(2 * time.Minute)
				all := make([]check.Request, 100)
				for i := range all {
					all[i] = s.visit(supportHost, o)
				}
				waited := 0
				for second := range 60 {
					verdicts, took := s.together(all)
					for _, v := range verdicts {
						if !v.Allow || given(v) != "" {
							t.Fatalf("after %d s: %s, cookie %q", second, v.Reason, given(v))
						}
					}
					if took > tt.waits {
						t.Errorf("after %d s they wait %s", second, took)
					}
					if took > 0 {
						waited++
					}
					time.Sleep(time.Second - took)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.clouds.all != 3 || len(s.faults) != s.clouds.all || waited > s.clouds.all {
					t.Errorf("%d asks in a minute, %d reported, %d times somebody waited", s.clouds.all, len(s.faults), waited)
				}
			})
		})
	}
}

// While a cloud does not answer, it is tried once in ten seconds for all its people together; then all are asked for again. Another cloud
// does not notice.
func TestACloudIsTriedForAllItsPeopleTogether(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		s.clouds.says(func(ctx context.Context, o session.Outside) (time.Time, error) {
			if o.Cloud == acmeID {
				return down(ctx, o)
			}
			return o.Start.Add(24 * time.Hour), nil
		})
		var acme, globex []check.Request
		for i := range 40 {
			acme = append(acme, s.visit(supportHost, s.granted(acmeID, fmt.Sprint("g", i))))
			globex = append(globex, s.visit(supportHost, s.granted(globexID, fmt.Sprint("g", i))))
		}
		time.Sleep(2 * time.Minute)
		one := func(all []check.Request, renewed bool) {
			for _, r := range all {
				v := s.expect(r, pass(check.Session))
				synctest.Wait()
				if (given(v) != "") != renewed {
					t.Errorf("a new cookie: %v", !renewed)
				}
			}
		}
		for range 3 {
			one(acme, false)
			time.Sleep(9 * time.Second)
			one(acme, false)
			time.Sleep(time.Second)
		}
		s.clouds.expects(t, 3, "30 s")
		one(globex, true)
		s.clouds.expects(t, 43, "another cloud")
		s.clouds.says(nil)
		time.Sleep(2 * retryAfter)
		one(acme, true)
		s.clouds.expects(t, 83, "it answers again")
		if s.reported() != 3 {
			t.Errorf("%d reports", s.reported())
		}
	})
}

// While one asks a cloud again that did not answer, the others do not: not even at that moment.
func TestACloudIsTriedByOne(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		var all []check.Request
		for i := range 40 {
			all = append(all, s.visit(supportHost, s.granted(acmeID, fmt.Sprint("g", i))))
		}
		time.Sleep(2 * time.Minute)
		s.clouds.says(down)
		s.together(all[:1])
		time.Sleep(retryAfter)
		s.clouds.says(hangs)
		_, took := s.together(all)
		s.clouds.expects(t, 2, "one tries it")
		if took != patience {
			t.Errorf("that one waited %s", took)
		}
		time.Sleep(2 * retryAfter)
		s.clouds.says(ended) // which is an answer: all are asked for again
		s.together(all[:1])
		s.together(all)
		s.clouds.expects(t, 2+len(all), "it answers again")
	})
}

// Where a cloud answers for everybody but one, that one keeps nobody from being asked for, however often they come.
func TestOneFaultyGrantDoesNotStopTheOthers(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		s.clouds.says(func(ctx context.Context, o session.Outside) (time.Time, error) {
			if o.Grant == "faulty" {
				return down(ctx, o)
			}
			return ended(ctx, o)
		})
		faulty, other := s.visit(supportHost, s.granted(acmeID, "faulty")), s.visit(supportHost, s.granted(acmeID, "other"))
		time.Sleep(2 * time.Minute)
		began := time.Now()
		for time.Since(began) < time.Minute {
			s.expect(faulty, pass(check.Session))
			if v := s.Decide(t.Context(), other); !v.Allow {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		if took := time.Since(began); took > 2*retryAfter {
			t.Errorf("somebody who signed out is signed in for %s more", took)
		}
	})
}

// An answer that comes too late for those who waited is there for the next.
func TestALateAnswerCounts(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		s.clouds.says(after(2*time.Second, endsAt(time.Now().Add(time.Hour))))
		o := s.outside()
		time.Sleep(2 * time.Minute)
		visit := s.visit(supportHost, o)
		if v := s.expect(visit, pass(check.Session)); given(v) != "" {
			t.Error("an answer that nobody gave")
		}
		time.Sleep(2 * time.Second)
		if got, ok := s.opened(supportHost, s.expect(visit, pass(check.Session))); !ok || got.Ends.Sub(o.Start) != time.Hour {
			t.Error("the late answer is lost")
		}
		s.clouds.expects(t, 1, "a slow cloud")
	})
}

// Who leaves waits for nothing, and ends nobody's ask.
func TestWhoLeavesDoesNotEndTheAsk(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		s.clouds.says(after(500*time.Millisecond, endsAt(time.Now().Add(time.Hour))))
		visit := s.visit(supportHost, s.outside())
		time.Sleep(2 * time.Minute)
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		began := time.Now()
		s.Decide(ctx, visit)
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		if v := s.expect(visit, pass(check.Session)); given(v) == "" || time.Since(began) != 500*time.Millisecond {
			t.Errorf("the ask ended with who caused it: %s", time.Since(began))
		}
		s.clouds.expects(t, 1, "one ask")
	})
}

// However many people come at once, a cloud that hangs holds a bounded number of asks.
func TestAsksAreBounded(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		s.clouds.says(hangs)
		var all []check.Request
		for i := range 4 * maxAsks {
			all = append(all, s.visit(supportHost, s.granted(acmeID, fmt.Sprint("g", i))))
		}
		time.Sleep(2 * time.Minute)
		verdicts, took := s.together(all)
		for _, v := range verdicts {
			if !v.Allow {
				t.Fatal(v.Reason)
			}
		}
		if took > patience || s.reported() != 1 {
			t.Errorf("they waited %s, %d reports", took, s.reported())
		}
		s.clouds.expects(t, maxAsks, "all at once")
		time.Sleep(time.Minute)
		s.clouds.says(nil)
		s.together(all[:1])
		s.together(all)
		if got := s.answers.clouds[acmeID].asking; got != 0 {
			t.Errorf("%d asks are never over", got)
		}
	})
}

// Dead: as without a session, and the cookie goes; every other copy of it is refused without another ask.
func TestADeadSessionIsNobodys(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		s.clouds.says(after(100*time.Millisecond, ended))
		o := s.outside()
		time.Sleep(2 * time.Minute)
		all := make([]check.Request, 50)
		for i := range all {
			all[i] = s.visit([]string{supportHost, statusHost, payrollHost}[i%3], o)
		}
		for range 2 {
			verdicts, _ := s.together(all)
			for _, v := range verdicts {
				if v.Allow || v.Reason != check.Unauthenticated || given(v) != session.ClearOutside() {
					t.Fatalf("%s, cookie %q", v.Reason, given(v))
				}
			}
			time.Sleep(5 * time.Minute)
		}
		v := s.expect(with(to(supportHost, "GET", "/x", navigation...), "cookie", s.cookie(supportHost, o)), deny(302, check.SignIn))
		if len(answered(v, "set-cookie")) != 2 || given(v) != session.ClearOutside() { // and the flow's
			t.Errorf("%q", answered(v, "set-cookie"))
		}
		s.expect(with(to(supportHost, "POST", "/x", form...), "cookie", s.cookie(supportHost, o), "sec-fetch-site", "same-origin"), deny(403, check.CrossOrigin))
		v = s.expect(to(supportHost, "POST", "/x", "accept", "text/html", "origin", supportURL, "cookie", s.cookie(supportHost, o)), deny(401, check.SessionEnded))
		if given(v) != session.ClearOutside() {
			t.Error("a form keeps the dead cookie")
		}
		s.clouds.expects(t, 1, "a dead grant")
		if s.reported() != 0 {
			t.Errorf("that a session has ended is reported as a fault: %v", s.faults)
		}
		s.expect(s.visit(supportHost, s.granted(acmeID, "the next sign-in")), pass(check.Session))
	})
}

// A sign-out counts, whatever a cloud says that was asked before it.
func TestASignOutWhileACloudIsAsked(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		s.clouds.says(after(2*time.Second, endsAt(time.Now().Add(time.Hour))))
		visit := s.visit(supportHost, s.outside())
		time.Sleep(2 * time.Minute)
		s.expect(visit, pass(check.Session))
		s.answers.End(s.outside())
		time.Sleep(3 * time.Second)
		s.expect(visit, deny(401, check.Unauthenticated))
		s.clouds.expects(t, 1, "signed out")
	})
}

// CVE-2025-55162: after a sign-out here a copy of the cookie is nobody's, although its cloud was asked just before.
func TestAfterASignOutTheOldCookieIsNobodys(t *testing.T) {
	s := newSide(t)
	visit := s.visit(supportHost, s.outside())
	s.expect(visit, pass(check.Session))
	s.answers.End(s.outside())
	s.expect(visit, deny(401, check.Unauthenticated))
	s.expect(s.visit(statusHost, s.outside()), deny(401, check.Unauthenticated))
	s.expect(s.visit(supportHost, s.granted(globexID, "grant-at-acme")), pass(check.Session))
	s.clouds.expects(t, 0, "signed out")
}
