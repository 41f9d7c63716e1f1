package profile

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

// door is the commercial door beside the checks, over what both remember.
func (s *side) door() http.Handler {
	var all []*signin.Federation
	for _, entry := range directory(acmeID, globexID) {
		all = append(all, signin.NewFederation(entry, nil, &http.Client{}, "", s.clock)) // they are never asked: the memory asks s.clouds
	}
	flows := signin.Flows{Site: signin.OfPlatform(platform()), Seal: s.flows, Now: s.clock}
	log := slog.New(slog.DiscardHandler)
	return (&signin.Identity{
		Flows: flows, Platform: platform(), Sealed: s.sealed, Clouds: signin.NewFederations(all), Grants: s.checks, Within: every,
		Log: log, Faults: signin.NewCloudLog(log, s.clock), SignIns: signin.FederatedMetrics(prometheus.NewRegistry()),
	}).Handler()
}

// comes is a navigation to the identity host with a session: what it is answered.
func (s *side) comes(door http.Handler, o session.Outside) int {
	r := httptest.NewRequest(http.MethodGet, "https://"+identityHost+signin.PathSignIn, nil)
	r.Header.Set("sec-fetch-mode", "navigate")
	r.Header.Set("sec-fetch-dest", "document")
	r.Header.Set("cookie", s.cookie(identityHost, o))
	w := httptest.NewRecorder()
	door.ServeHTTP(w, r)
	return w.Code
}

// One signed-in person who comes to the identity host all the time costs the cloud one ask in two seconds, and a cloud that hangs holds one, and
// lets nobody wait for long.
func TestTheDoorAsksNoMoreThanTheChecks(t *testing.T) {
	for name, hanging := range map[string]bool{"it answers": false, "it hangs": true} {
		t.Run(name, func(t *testing.T) {
			live(t, func(t *testing.T, s *side) {
				if hanging {
					s.clouds.says(hangs)
				}
				o, door := s.outside(), s.door()
				time.Sleep(3 * time.Second)
				began := time.Now()
				var running sync.WaitGroup
				for range 400 {
					running.Go(func() {
						if got := s.comes(door, o); got != http.StatusSeeOther {
							t.Errorf("signed in, and answered %d", got)
						}
					})
				}
				running.Wait()
				if took := time.Since(began); took > patience {
					t.Errorf("they waited %s", took)
				}
				s.clouds.expects(t, 1, "all at once")
				time.Sleep(6 * time.Second)
			})
		})
	}
}

// A session that is over inside is noticed at the door within two seconds, and then everywhere; one that ended at a service, at once.
func TestTheDoorNoticesWhatIsOver(t *testing.T) {
	live(t, func(t *testing.T, s *side) {
		o, door := s.outside(), s.door()
		s.clouds.says(ended)
		if got := s.comes(door, o); got != http.StatusSeeOther {
			t.Errorf("signed in just now: %d", got)
		}
		s.clouds.expects(t, 0, "signed in just now")
		time.Sleep(2 * time.Second)
		if got := s.comes(door, o); got != http.StatusOK {
			t.Errorf("over inside: %d", got)
		}
		if s.Decide(t.Context(), s.visit(supportHost, o)).Allow {
			t.Error("a service does not know what the door knows")
		}
		s.clouds.expects(t, 1, "both")
		s.clouds.says(nil)
		fresh := s.granted(acmeID, "fresh")
		s.checks.End(fresh)
		if got := s.comes(door, fresh); got != http.StatusOK {
			t.Errorf("ended here: %d", got)
		}
		gone := s.granted("gone-0123456789abcdef", "g")
		time.Sleep(3 * time.Second)
		if got := s.comes(door, gone); got != http.StatusOK {
			t.Errorf("of a cloud that left the directory: %d", got)
		}
		s.reload(directory(acmeID, gone.Cloud))
		if !s.Decide(t.Context(), s.visit(supportHost, gone)).Allow {
			t.Error("what a cloud did not say is remembered as its word")
		}
	})
}
