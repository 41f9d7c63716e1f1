package service

import (
	"net"
	"slices"
	"sync"
)

// maxRecord bounds what is remembered, in bytes: enough for any one test, and little under a load.
const maxRecord = 8 << 20

// Record remembers what was received, as raw bytes of all connections in the order in which they were read: requests, and answers to what the service
// itself asked. The oldest go first.
type Record struct {
	mu    sync.Mutex
	bytes []byte
}

// Listen gives a listener whose connections are recorded, above TLS if there is any.
func (r *Record) Listen(l net.Listener) net.Listener { return tapped{l, r} }

// Received is what is remembered.
func (r *Record) Received() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bytes)
}

func (r *Record) add(read []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes = append(r.bytes, read...)
	if over := len(r.bytes) - maxRecord; over > 0 {
		r.bytes = slices.Delete(r.bytes, 0, over+maxRecord/2) // half, so that this is seldom
	}
}

type tapped struct {
	net.Listener
	record *Record
}

func (t tapped) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tappedConn{conn, t.record}, nil
}

type tappedConn struct {
	net.Conn
	record *Record
}

func (c tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.record.add(p[:n])
	return n, err
}
