package push

import (
	"net"
	"sync"
)

// connections are those of one listener, so that they can be bounded and cut. Its zero value is ready.
type connections struct {
	mu    sync.Mutex
	open  map[*connection]bool
	ended bool
}

// connection leaves the set when it closes.
type connection struct {
	net.Conn
	set *connections
}

func (c *connection) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

type tracking struct {
	net.Listener
	set *connections
}

func (c *connections) track(listener net.Listener) net.Listener { return &tracking{listener, c} }

// Accept closes what is beyond the bound and waits for the next.
func (t *tracking) Accept() (net.Conn, error) {
	for {
		conn, err := t.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tracked := t.set.add(conn); tracked != nil {
			return tracked, nil
		}
		_ = conn.Close()
	}
}

func (c *connections) add(conn net.Conn) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || len(c.open) >= maxConnections {
		return nil
	}
	if c.open == nil {
		c.open = map[*connection]bool{}
	}
	tracked := &connection{conn, c}
	c.open[tracked] = true
	return tracked
}

// cut closes every connection; new ones may come.
func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Conn.Close()
	}
	clear(c.open)
}

// end closes every connection and takes no more.
func (c *connections) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.cut()
}
