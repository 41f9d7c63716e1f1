package profile

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

func refuses(context.Context, session.Outside) (time.Time, error) {
	return time.Time{}, signin.ErrRefused
}

// A cloud that does not take one grant's token, as after a change of its keys, is there for all others, from the same moment on.
func TestARefusedTokenIsNoOutage(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		refused, other := s.visit(supportHost, s.granted(acmeID, "refused")), s.visit(supportHost, s.granted(acmeID, "other"))
		s.clouds.says(func(ctx context.Context, o session.Outside) (time.Time, error) {
			if o.Grant == "refused" {
				return refuses(ctx, o)
			}
			return ended(ctx, o)
		})
		time.Sleep(2 * time.Minute)
		s.expect(refused, pass(check.Session))
		s.expect(other, deny(401, check.Unauthenticated))
		s.clouds.expects(t, 2, "both")
		time.Sleep(retryAfter - time.Second)
		s.expect(refused, pass(check.Session))
		s.clouds.expects(t, 2, "it is asked for again too soon")
		if s.reported() != 1 {
			t.Errorf("%d reports", s.reported())
		}
	})
}

// A token that is never taken again ends its session here: else it would go on until its end, though the person has signed out inside.
func TestATokenThatIsNeverTakenAgainEndsItsSession(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		visit := s.visit(supportHost, s.outside())
		time.Sleep(2 * time.Minute)
		s.clouds.says(refuses)
		began := time.Now()
		for s.Decide(t.Context(), visit).Allow && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if took := time.Since(began); took != 2*retryAfter {
			t.Errorf("it ends after %s", took)
		}
		s.clouds.expects(t, maxRefusals, "in a row")
		s.clouds.says(nil)
		if v := s.expect(visit, deny(401, check.Unauthenticated)); given(v) != session.ClearOutside() {
			t.Error("the cookie stays")
		}
		s.clouds.expects(t, maxRefusals, "over")
	})
}

// A cloud that takes the token again in between starts the count anew; one that does not answer in between does not.
func TestRefusalsCountInARow(t *testing.T) {
	for name, tt := range map[string]struct {
		between func(context.Context, session.Outside) (time.Time, error)
		lives   bool
	}{
		"it lives": {func(_ context.Context, o session.Outside) (time.Time, error) { return o.Start.Add(24 * time.Hour), nil }, true},
		"down":     {down, false},
	} {
		t.Run(name, func(t *testing.T) {
			live(t, func(t *testing.T, s *side) {
				visit := s.visit(supportHost, s.outside())
				for _, says := range []func(context.Context, session.Outside) (time.Time, error){refuses, refuses, tt.between, refuses} {
					time.Sleep(2 * time.Minute)
					s.clouds.says(says)
					s.Decide(t.Context(), visit)
				}
				s.clouds.expects(t, 4, "each time")
				if v := s.Decide(t.Context(), visit); v.Allow != tt.lives {
					t.Errorf("%s", v.Reason)
				}
			})
		})
	}
}
