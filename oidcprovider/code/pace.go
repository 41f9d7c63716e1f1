package code

import (
	"sync"
	"time"
)

// maxPushed is how many requests one client may push within RequestLifetime. A request holds some kilobytes, and anybody who presses the
// sign-in button of a client makes it push one: the store must not grow with what strangers do.
const maxPushed = 10_000

// span is how finely pushes are counted.
const span = RequestLifetime / 10

// pace counts the pushes of each client. Clients are few: the file names them. Each process counts for itself.
type pace struct {
	mu      sync.Mutex
	clients map[string]*[10]slot
}

type slot struct{ number, pushes int64 }

// admit tells whether a client may push one more request now, and counts it.
func (p *pace) admit(client string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients[client] == nil {
		p.clients[client] = new([10]slot)
	}
	slots, number := p.clients[client], now.UnixNano()/int64(span)
	var pushed int64
	for _, s := range slots {
		if s.number > number-10 {
			pushed += s.pushes
		}
	}
	if pushed >= maxPushed {
		return false
	}
	current := &slots[number%10]
	if current.number != number {
		*current = slot{number: number}
	}
	current.pushes++
	return true
}
