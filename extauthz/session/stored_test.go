package session

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnOpenSessionIsFoundByItsHandle(t *testing.T) {
	w := newWorld(t)
	opened, h := w.open()
	found, err := w.Living(t.Context(), issues, h, usual)
	w.must(err)
	if diff := cmp.Diff(opened, found); diff != "" {
		t.Error(diff)
	}
	byID, err := w.ByID(t.Context(), opened.ID, usual)
	w.must(err)
	if diff := cmp.Diff(opened, byID); diff != "" {
		t.Error(diff)
	}
}

func TestEachSessionAndHandleIsNew(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for range 50 {
		s, h := w.open()
		if seen[s.ID] || seen[string(h)] || len(s.ID) != 22 || !h.well() {
			t.Fatalf("id %q is not new, or not of 128 bits", s.ID)
		}
		seen[s.ID], seen[string(h)] = true, true
	}
}

func TestAHandleOpensOnlyAtItsHost(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	atWiki := w.handle(s, wiki)
	tests := []struct {
		name, host string
		in         Handle
		want       bool
	}{
		{"own", issues, h, true},
		{"own of the other host", wiki, atWiki, true},
		{"one host's at another", wiki, h, false},
		{"and the other way round", issues, atWiki, false},
		{"no host", "", h, false},
		{"host in another case", "Issues.acme.example", h, false},
		{"host with a dot", issues + ".", h, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.lives(tt.host, tt.in); got != tt.want {
				t.Errorf("lives: %v", got)
			}
		})
	}
}

// What has not the form of a handle is looked up nowhere: the store would fail.
func TestAMalformedHandleIsNobody(t *testing.T) {
	s := NewStored(broken{errors.New("asked")}, time.Now)
	good := random(32)
	for name, in := range map[string]string{
		"empty": "", "short": good[:42], "long": good + "A", "padded": good + "=", "standard alphabet": "+/" + good[2:],
		"quoted": `"` + good + `"`, "spare bits": good[:42] + "_", "space": " " + good, "newline": good + "\n", "key": "h/" + good,
		"NUL": "\x00" + good[1:], "16 bytes": random(16), "64 bytes": random(64),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Living(t.Context(), issues, Handle(in), usual); err != ErrNone {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnUnknownHandleIsNobody(t *testing.T) {
	w := newWorld(t)
	w.open()
	if w.lives(issues, Handle(random(32))) {
		t.Error("a made-up handle opened a session")
	}
	if _, err := w.ByID(t.Context(), random(16), usual); err != ErrNone {
		t.Errorf("a made-up id: %v", err)
	}
}

// GHSA-f24x: after a fresh sign-in the handle from before must be worthless. The door drops it; the others go on.
func TestDropKillsOneHandleOnly(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	second, atWiki := w.handle(s, issues), w.handle(s, wiki)
	w.must(w.Drop(t.Context(), h))
	w.must(w.Drop(t.Context(), h)) // again, and what never was: no error
	w.must(w.Drop(t.Context(), ""))
	w.must(w.Drop(t.Context(), Handle(random(32))))
	if w.lives(issues, h) {
		t.Error("a dropped handle still opens")
	}
	if !w.lives(issues, second) || !w.lives(wiki, atWiki) {
		t.Error("another handle of the session died with it")
	}
	w.restart()
	if w.lives(issues, h) {
		t.Error("a dropped handle came back")
	}
}

// CVE-2025-55162: replaying a cookie after sign-out must not work, at any host, nor after a restart.
func TestEndKillsEveryHandleForGood(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	atWiki := w.handle(s, wiki)
	other, otherHandle := w.open()
	w.must(w.End(t.Context(), s.ID))
	w.must(w.End(t.Context(), s.ID)) // ending what is not there is no error
	for range 2 {
		if w.lives(issues, h) || w.lives(wiki, atWiki) {
			t.Error("an ended session is reached")
		}
		if !w.lives(issues, otherHandle) {
			t.Errorf("session %s ended with another", other.ID)
		}
		w.restart()
	}
}

func TestRenewChangesTheSessionInPlace(t *testing.T) {
	w := newWorld(t)
	s, h := w.open()
	w.time.add(20 * time.Minute)
	again := ada
	again.Groups, again.AuthTime = []string{"leads"}, w.time.now()
	renewed, err := w.Renew(t.Context(), s.ID, again, limits)
	w.must(err)
	found, err := w.Living(t.Context(), issues, h, usual)
	w.must(err)
	want := Session{ID: s.ID, Identity: again, SignedIn: start.Add(20 * time.Minute), Active: start.Add(20 * time.Minute)}
	if diff := cmp.Diff([]Session{want, want}, []Session{renewed, found}); diff != "" {
		t.Error(diff)
	}
}

func TestRenewRefusesAnotherPersonAndTheDead(t *testing.T) {
	w := newWorld(t)
	s, _ := w.open()
	bob := ada
	bob.User = "bob"
	if _, err := w.Renew(t.Context(), s.ID, bob, limits); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("another person's: %v", err)
	}
	if found, err := w.ByID(t.Context(), s.ID, usual); err != nil || found.User != "ada" {
		t.Errorf("after that: %v, %v", found.User, err)
	}
	w.time.add(limits.Idle)
	if _, err := w.Renew(t.Context(), s.ID, ada, limits); err != ErrNone {
		t.Errorf("an expired session: %v", err)
	}
	w.must(w.End(t.Context(), s.ID))
	if _, err := w.Renew(t.Context(), s.ID, ada, limits); err != ErrNone {
		t.Errorf("an ended session: %v", err)
	}
}

// A stolen store file must not let anybody in: only hashes of handles are in it.
func TestAStolenStoreHoldsNoHandle(t *testing.T) {
	w := newWorld(t)
	var handles []Handle
	for range 20 {
		s, h := w.open()
		handles = append(handles, h, w.handle(s, wiki))
	}
	w.must(w.Drop(t.Context(), handles[0])) // free pages count too
	w.must(w.Flush(t.Context()))
	w.must(w.bolt.Close())
	w.holdsNone(handles, "ada@acme.example")
}

// holdsNone reads the closed store file as a thief would. A word that must be in it shows that it is the right file.
func (w *world) holdsNone(handles []Handle, word string) {
	w.t.Helper()
	file, err := os.ReadFile(w.file)
	w.must(err)
	if !bytes.Contains(file, []byte(word)) {
		w.t.Fatal("this is not where the store writes")
	}
	for _, h := range handles {
		raw, err := base64.RawURLEncoding.DecodeString(string(h))
		w.must(err)
		for form, secret := range map[string][]byte{
			"as given": []byte(h), "raw": raw, "standard base64": []byte(base64.RawStdEncoding.EncodeToString(raw)),
			"hex": []byte(hex.EncodeToString(raw)), "half": []byte(h[:21]), "raw half": raw[:12],
		} {
			if bytes.Contains(file, secret) {
				w.t.Errorf("the store file holds a handle, %s", form)
			}
		}
	}
}

func TestUserIDIsStableAndKeptApart(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	id := UserID(key, "main", "ada")
	if id != UserID(key, "main", "ada") || len(id) != 22 {
		t.Errorf("%q is not stable, or not of 128 bits", id)
	}
	for name, other := range map[string]string{
		"subject": UserID(key, "main", "bob"), "provider": UserID(key, "other", "ada"), "key": UserID([]byte("x"), "main", "ada"),
		"shifted": UserID(key, "maina", "da"), "shifted back": UserID(key, "mai", "nada"), "empty": UserID(key, "", "mainada"),
	} {
		if other == id {
			t.Errorf("another %s gives the same id", name)
		}
	}
}
