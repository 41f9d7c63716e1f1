package session

import (
	"testing"
	"time"
)

func TestASessionEndsAtTheExactMoment(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		active time.Duration // of the latest activity after the sign-in; none if zero
		after  time.Duration
		want   bool
	}{
		{"just opened", limits, 0, 0, true},
		{"a moment before idle", limits, 0, 30*time.Minute - 1, true},
		{"idle", limits, 0, 30 * time.Minute, false},
		{"activity keeps it", limits, 20 * time.Minute, 50*time.Minute - 1, true},
		{"idle after activity", limits, 20 * time.Minute, 50 * time.Minute, false},
		{"a moment before absolute", Limits{Idle: time.Hour, Absolute: time.Hour}, 50 * time.Minute, time.Hour - 1, true},
		{"absolute", Limits{Idle: time.Hour, Absolute: time.Hour}, 50 * time.Minute, time.Hour, false},
		{"long after", limits, 0, 1000 * time.Hour, false},
		{"no limits at all", Limits{}, 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			s, h := w.open()
			if tt.active > 0 {
				w.time.set(start.Add(tt.active))
				w.Touch(s, tt.limits)
			}
			w.time.set(start.Add(tt.after))
			if got := w.livesUnder(issues, h, Policies{Believed: believed, Default: tt.limits}); got != tt.want {
				t.Errorf("lives: %v", got)
			}
		})
	}
}

func TestActivityKeepsASessionUpToItsAbsoluteEnd(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	for w.time.now().Before(start.Add(limits.Absolute)) {
		if !w.lives(issues, h) {
			t.Fatalf("ended after %s", w.time.now().Sub(start))
		}
		w.Touch(s, limits)
		w.time.add(29 * time.Minute)
	}
	if w.lives(issues, h) {
		t.Error("outlived its absolute limit")
	}
}

func TestLookingIsNoActivity(t *testing.T) {
	w := newWorld(t)
	_, h := w.open()
	for range 3 {
		w.time.add(9 * time.Minute)
		if !w.lives(issues, h) {
			t.Fatal("ended early")
		}
	}
	w.time.add(3 * time.Minute)
	if w.lives(issues, h) {
		t.Error("asking for a session kept it alive")
	}
}

// The limits of the moment count, not those of the sign-in.
func TestLimitsOfTheMomentReachRunningSessions(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	w.time.add(11 * time.Hour)
	w.Touch(s, limits)
	shorter := Policies{Believed: believed, Default: Limits{Idle: 30 * time.Minute, Absolute: 10 * time.Hour}}
	longer := Policies{Believed: believed, Default: Limits{Idle: 30 * time.Minute, Absolute: 30 * time.Hour}}
	if !w.lives(issues, h) || w.livesUnder(issues, h, shorter) {
		t.Error("a shortened absolute limit does not end a running session at once")
	}
	w.time.add(20 * time.Minute)
	if w.livesUnder(issues, h, Policies{Believed: believed, Default: Limits{Idle: 20 * time.Minute, Absolute: 12 * time.Hour}}) {
		t.Error("a shortened idle limit does not end a running session at once")
	}
	w.time.set(start.Add(29 * time.Hour))
	w.Touch(s, longer.Default)
	w.must(w.Flush(t.Context()))
	w.restart()
	if w.lives(issues, h) || !w.livesUnder(issues, h, longer) {
		t.Error("a lengthened limit does not reach a running session")
	}
}

func TestPoliciesByGroupAndProvider(t *testing.T) {
	admins, partners := Limits{Idle: time.Minute, Absolute: time.Hour}, Limits{Idle: 2 * time.Minute, Absolute: 2 * time.Hour}
	p := Policies{Believed: believed, Default: limits, Special: []Policy{
		{Groups: []string{"admins", "roots"}, Limits: admins},
		{Providers: []string{"partners"}, Groups: []string{"guests"}, Limits: partners},
		{Limits: Limits{}}, // names nobody
	}}
	tests := []struct {
		name, provider string
		groups         []string
		want           Limits
	}{
		{"nobody special", "main", []string{"staff"}, limits},
		{"no groups", "main", nil, limits},
		{"group", "main", []string{"staff", "roots"}, admins},
		{"provider", "partners", nil, partners},
		{"either is enough", "main", []string{"guests"}, partners},
		{"the first wins", "partners", []string{"admins"}, admins},
		{"a group named as the provider", "main", []string{"partners"}, limits},
		{"another case", "Partners", []string{"Admins"}, limits},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.For(Identity{Provider: tt.provider, Groups: tt.groups}); got != tt.want {
				t.Errorf("%+v", got)
			}
		})
	}
	if got := (Policies{}).For(ada); got != (Limits{}) {
		t.Errorf("the zero policies give %+v", got)
	}
}

// A person's own limits are those of the groups that they have now, not of those at the first sign-in.
func TestAChangedGroupChangesTheLimits(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	p := Policies{Believed: believed, Default: limits, Special: []Policy{{Groups: []string{"admins"}, Limits: Limits{Idle: time.Minute, Absolute: time.Hour}}}}
	again := ada
	again.Groups = []string{"admins"}
	_, err := w.Renew(t.Context(), s.ID, again, p.For(again))
	w.must(err)
	w.time.add(time.Minute - 1)
	if !w.livesUnder(issues, h, p) {
		t.Error("ended early")
	}
	w.time.add(1)
	if w.livesUnder(issues, h, p) {
		t.Error("lives by the limits of a group that it has no more")
	}
}

// Who was signed in by a provider that is no longer in the file, or for a domain for which it is no longer believed, is signed in no more.
func TestASessionEndsWithItsProvider(t *testing.T) {
	w := newWorld(t)
	_, h := w.open()
	for name, tt := range map[string]struct {
		believed map[string][]string
		want     bool
	}{
		"as it was":                  {believed, true},
		"one more domain":            {map[string][]string{"main": {"other.example", "acme.example"}}, true},
		"the provider is gone":       {map[string][]string{"partner": {"acme.example"}}, false},
		"its domain is gone":         {map[string][]string{"main": {"other.example"}}, false},
		"its domain is another's":    {map[string][]string{"main": {}, "partner": {"acme.example"}}, false},
		"a sub-domain is not enough": {map[string][]string{"main": {"sub.acme.example"}}, false},
		"nobody is believed":         {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := w.livesUnder(issues, h, Policies{Believed: tt.believed, Default: limits}); got != tt.want {
				t.Errorf("lives: %v", got)
			}
		})
	}
}
