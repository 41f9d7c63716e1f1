package code

import (
	"fmt"
	"testing"
	"time"
)

func TestShelf(t *testing.T) {
	s, now := newShelf(), time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	fill := func(from, to int) (gone []string) {
		for i := from; i < to; i++ {
			if key := s.add("a", fmt.Sprint(i), now); key != "" {
				gone = append(gone, key)
			}
		}
		return gone
	}
	if gone := fill(0, maxPushed); gone != nil {
		t.Fatalf("gave way before the shelf was full: %v", gone)
	}
	s.open("a", "0")
	s.open("a", "0") // a reload
	s.open("a", "1")
	s.take("a", "1")
	s.take("a", "unknown")
	s.open("b", "2")
	if gone := fill(maxPushed, maxPushed+3); fmt.Sprint(gone) != "[2 3]" {
		t.Errorf("%v gave way, want those that nobody opened, oldest first", gone)
	}
	if gone := s.add("b", "x", now); gone != "" {
		t.Errorf("another client's gave way: %s", gone)
	}
	for i := range maxPushed + 3 {
		s.open("a", fmt.Sprint(i))
	}
	if gone := s.add("a", "y", now); gone != "4" && gone != "0" {
		t.Errorf("of opened ones alone, %s gave way", gone)
	}
	now = now.Add(RequestLifetime)
	if gone := fill(0, maxPushed); gone != nil {
		t.Errorf("what is over took room: %v", gone[:1])
	}
	if n := len(s.clients["a"].places); n != maxPushed || s.clients["a"].waiting.Len() != maxPushed {
		t.Errorf("%d are on the shelf", n)
	}
}

// A flood of pushes takes no place from somebody who is signing in, and the store does not grow with it.
func TestAFloodShutsNobodyOut(t *testing.T) {
	w := newWorld(t)
	mine, idle := w.push(), w.push()
	if _, err := w.Pushed(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	for range maxPushed - 2 {
		w.shelf.add(request.Client, random(), w.now()) // as a push does, without the store's part
	}
	w.push()
	wantNone(t, w, "what nobody opened", idle)
	for range 3 {
		w.push()
	}
	if _, err := w.Answer(t.Context(), mine); err != nil {
		t.Errorf("somebody's who is signing in: %v", err)
	}
}
