package code

import (
	"container/list"
	"sync"
	"time"
)

// maxPushed is how many requests of one client are kept at once. A request holds some kilobytes, and anybody who presses the sign-in button of a
// client makes it push one: the store must not grow with what strangers do, and strangers must not shut the people out.
const maxPushed = 10_000

// shelf knows the living requests of each client, in this process. Where there are too many, the oldest that no browser has opened gives way,
// and only then the oldest of all: whoever presses a button opens what it pushed at once, and then takes a while to sign in.
type shelf struct {
	mu      sync.Mutex
	clients map[string]*requests
}

// requests are one client's, oldest first.
type requests struct {
	waiting, opened *list.List
	places          map[string]place // by the key of the record
}

type place struct {
	in *list.List
	at *list.Element
}

type shelved struct {
	key   string
	until time.Time
}

func newShelf() *shelf { return &shelf{clients: map[string]*requests{}} }

// add puts a request on the shelf, and names the one that must go for it, "" if none.
func (s *shelf) add(client, key string, now time.Time) (gone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.clients[client]
	if r == nil {
		r = &requests{waiting: list.New(), opened: list.New(), places: map[string]place{}}
		s.clients[client] = r
	}
	for _, l := range []*list.List{r.waiting, r.opened} {
		for front := l.Front(); front != nil && !now.Before(front.Value.(shelved).until); front = l.Front() {
			r.remove(front.Value.(shelved).key)
		}
	}
	if len(r.places) >= maxPushed {
		oldest := r.waiting.Front()
		if oldest == nil {
			oldest = r.opened.Front()
		}
		gone = oldest.Value.(shelved).key
		r.remove(gone)
	}
	r.put(r.waiting, shelved{key, now.Add(RequestLifetime)})
	return gone
}

// open notes that a browser has come for a request.
func (s *shelf) open(client, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.clients[client]; r != nil {
		if p, there := r.places[key]; there && p.in == r.waiting {
			r.remove(key)
			r.put(r.opened, p.at.Value.(shelved))
		}
	}
}

// take takes a request that was answered off the shelf.
func (s *shelf) take(client, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.clients[client]; r != nil {
		r.remove(key)
	}
}

func (r *requests) put(in *list.List, what shelved) {
	r.places[what.key] = place{in, in.PushBack(what)}
}

func (r *requests) remove(key string) {
	if p, there := r.places[key]; there {
		p.in.Remove(p.at)
		delete(r.places, key)
	}
}
