package privacy

import (
	"bytes"
	"slices"
	"sync"
)

// Tape remembers bytes, those of each connection for themselves.
type Tape struct {
	mu      sync.Mutex
	streams [][]byte
}

// Stream begins a connection. What is written to it never fails.
func (t *Tape) Stream() *Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams = append(t.streams, nil)
	return &Stream{t, len(t.streams) - 1}
}

// Streams are the bytes of each connection so far.
func (t *Tape) Streams() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([][]byte, len(t.streams))
	for i, s := range t.streams {
		out[i] = slices.Clone(s)
	}
	return out
}

// Stream is one connection on a tape.
type Stream struct {
	tape *Tape
	n    int
}

// Write appends.
func (s *Stream) Write(p []byte) (int, error) {
	s.tape.mu.Lock()
	defer s.tape.mu.Unlock()
	s.tape.streams[s.n] = append(s.tape.streams[s.n], p...)
	return len(p), nil
}

// WithoutBodies cuts the bodies of the requests of one kind, such as "POST /sign-in", out of what went over an HTTP/1.1 connection, and gives them.
// A body without content-length is not cut.
func WithoutBodies(of string, stream []byte) (rest []byte, bodies [][]byte) {
	for {
		at := bytes.Index(stream, []byte(of+" HTTP/1.1\r\n"))
		end := -1
		if at >= 0 {
			end = bytes.Index(stream[at:], []byte("\r\n\r\n"))
		}
		if end < 0 {
			return append(rest, stream...), bodies
		}
		end += at + len("\r\n\r\n")
		length := min(contentLength(stream[at:end]), len(stream)-end)
		rest = append(rest, stream[:end]...)
		bodies = append(bodies, stream[end:end+length])
		stream = stream[end+length:]
	}
}

// contentLength is that of a request's head, 0 if there is none.
func contentLength(head []byte) (n int) {
	const name = "\r\ncontent-length:"
	at := bytes.Index(bytes.ToLower(head), []byte(name))
	if at < 0 {
		return 0
	}
	for _, digit := range bytes.TrimLeft(head[at+len(name):], " ") {
		if digit < '0' || digit > '9' || n > 1<<24 {
			break
		}
		n = 10*n + int(digit-'0')
	}
	return n
}
