package idp

import (
	"errors"
	"sync"
	"time"
)

// maxEntries bounds each shelf, since strangers fill it.
const maxEntries = 10_000

var errFull = errors.New("idp: too many entries in flight")

// shelf keeps at most maxEntries values, each for a fixed time. A full shelf refuses what is new rather than drop what is there.
type shelf[V any] struct {
	now   func() time.Time
	life  time.Duration
	mu    sync.Mutex
	items map[string]item[V]
}

type item[V any] struct {
	value   V
	expires time.Time
}

func newShelf[V any](now func() time.Time, life time.Duration) *shelf[V] {
	return &shelf[V]{now: now, life: life, items: map[string]item[V]{}}
}

func (s *shelf[V]) put(key string, v V) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) >= maxEntries {
		s.sweep()
	}
	if len(s.items) >= maxEntries {
		return errFull
	}
	s.items[key] = item[V]{v, s.now().Add(s.life)}
	return nil
}

func (s *shelf[V]) get(key string) (V, bool) {
	return s.update(key, func(*V) {})
}

// take returns the value and removes it: of several callers exactly one gets it.
func (s *shelf[V]) take(key string) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.living(key)
	delete(s.items, key)
	return it.value, ok
}

// update changes the value in one step and returns what it became.
func (s *shelf[V]) update(key string, change func(*V)) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.living(key)
	if ok {
		change(&it.value)
		s.items[key] = it
	}
	return it.value, ok
}

// drop removes all values for which is holds.
func (s *shelf[V]) drop(is func(V) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, it := range s.items {
		if is(it.value) {
			delete(s.items, key)
		}
	}
}

func (s *shelf[V]) living(key string) (item[V], bool) {
	it, ok := s.items[key]
	if !ok || !s.now().Before(it.expires) {
		return item[V]{}, false
	}
	return it, true
}

func (s *shelf[V]) sweep() {
	for key, it := range s.items {
		if !s.now().Before(it.expires) {
			delete(s.items, key)
		}
	}
}
