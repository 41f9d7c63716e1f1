package signin

import (
	"errors"
	"testing"

	"isogate/extauthz/session"
)

// At a shared computer Mallory opens a sign-in and copies its flow cookie; whoever signs in there next leaves a note for that flow. From another
// machine the note must give Mallory nothing, and take nothing from the other person.
func TestNoteLeftForAnotherTabEndsNobodysSession(t *testing.T) {
	r := newRig(t, "honest")
	kiosk := r.browser()
	of := kiosk.begin("honest")
	mallory := kiosk.copied()
	kiosk.signIn("honest", "victim")
	victims := kiosk.session(authHost)
	if victims.Email != "victim@honest.example" {
		t.Fatalf("the victim is signed in as %q", victims.Email)
	}
	mallory.get(mallory.answered("honest", of, "mallory"))
	if got := kiosk.session(authHost); got.ID != victims.ID || got.Email != victims.Email {
		t.Errorf("the victim's session is over: now %q", got.Email)
	}
	if got := mallory.session(authHost); got.Email != "mallory@honest.example" || got.ID == victims.ID {
		t.Errorf("Mallory is signed in as %q, in the victim's session: %t", got.Email, got.ID == victims.ID)
	}
}

// Tabs that began before any of them was signed in come back without a session cookie, and are in one session all the same: a sign-out ends
// what all of them show.
func TestNoteLeftForAnotherTabJoinsThePersonsSession(t *testing.T) {
	r := newRig(t, "honest")
	first := r.browser()
	of := first.begin("honest")
	began := first.begin("honest")
	second := first.copied() // its request is on the way before the first tab's answer comes
	first.get(first.answered("honest", began, "bob"))
	opened := first.session(authHost)
	second.get(second.answered("honest", of, "bob"))
	if got := second.session(authHost); got.ID == "" || got.ID != opened.ID {
		t.Errorf("the second tab is in another session, as %q", got.Email)
	}
	if first.session(authHost).ID != opened.ID {
		t.Error("the first tab's session is over")
	}
	first.post(atAuth+PathLogout, nil)
	if first.who() != "" || second.who() != "" {
		t.Errorf("after the sign-out: %q and %q", first.who(), second.who())
	}
}

// A note is for the flow that it was left for: a browser that never showed that flow's cookie opens a session of its own.
func TestNoteIsForItsFlowAlone(t *testing.T) {
	r := newRig(t, "honest")
	first, elsewhere := r.browser(), r.browser()
	first.begin("honest")
	first.signIn("honest", "bob")
	elsewhere.signIn("honest", "bob")
	if elsewhere.session(authHost).ID == first.session(authHost).ID {
		t.Error("another machine is in the same session")
	}
	elsewhere.post(atAuth+PathLogout, nil)
	if first.who() != "bob@honest.example" {
		t.Error("the sign-out elsewhere ended this one")
	}
}

// In one browser the next person takes the place of the one before, whose session is over at every host and not merely out of sight.
func TestAnotherPersonInThisBrowserEndsTheSession(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	b.signIn("honest", "bob")
	bobs := b.session(authHost)
	b.get(b.answered("honest", b.led(b.get(atAuth+PathSignIn+"?prompt=login")), "eve"))
	if got := b.session(authHost); got.Email != "eve@honest.example" || got.ID == bobs.ID {
		t.Errorf("signed in as %q, in the session before: %t", got.Email, got.ID == bobs.ID)
	}
	if _, err := r.Sessions.ByID(t.Context(), bobs.ID, r.Policies); !errors.Is(err, session.ErrNone) {
		t.Errorf("the session before: %v, want that there is none", err)
	}
}
