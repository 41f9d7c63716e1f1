package world

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// slow is a client that begins something and does not go on.
type slow struct {
	name  string
	limit time.Duration // after which it is closed
	open  func() (net.Conn, error)
	first []byte               // sent at once
	drip  bool                 // whether a byte a second follows
	until func(net.Conn) error // returns when the other side has ended it
}

// slowClients and the limits that end them: listener_filters_timeout of the edge, transport_socket_connect_timeout and request_headers_timeout of
// the ingress, and the time in which the door reads a request. A connection without any request lives a minute, and so does one of HTTP/2
// whose stream was ended.
func slowClients(t *testing.T) []slow {
	hello := clientHello(t)
	plainTCP := func() (net.Conn, error) { return net.Dial("tcp", shared.Edge()) }
	over := func(protocol string) func() (net.Conn, error) {
		return func() (net.Conn, error) { return dialEdge("auth", protocol) }
	}
	request := plain("POST", "auth", "/.isogate/signin", append(slices.Clone(asNavigation), "Origin: "+shared.URL("auth", ""),
		"Content-Type: application/x-www-form-urlencoded", "Content-Length: 1000")...)
	preface, headers := halfHeaders(t)
	return []slow{
		{"nothing at all", 5 * time.Second, plainTCP, nil, false, isClosed},
		{"half a TLS hello", 5 * time.Second, plainTCP, hello[:len(hello)/2], false, isClosed},
		{"half a TLS hello and a byte a second", 5 * time.Second, plainTCP, hello[:len(hello)/2], true, isClosed},
		{"no more than a TLS hello", 10 * time.Second, plainTCP, hello, false, isClosed},
		{"half a request line", 10 * time.Second, over("http/1.1"), request[:12], false, isClosed},
		{"half a header", 10 * time.Second, over("http/1.1"), request[:len(request)/2], false, isClosed},
		{"half a header and a byte a second", 10 * time.Second, over("http/1.1"), request[:len(request)/4], true, isClosed},
		{"half a header block of HTTP/2", 10 * time.Second, over("h2"), append(preface, headers...), false, streamIsReset},
		{"a body of a byte a second", 15 * time.Second, over("http/1.1"), request, true, isClosed},
	}
}

// clientHello is what a browser's first bytes are.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		_ = tls.Client(theirs, &tls.Config{ServerName: "issues." + Domain}).Handshake() // it gets no answer
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(ours, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(ours, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// endure opens a slow connection, holds it until the other side closes it, and gives the time that this took.
func (s slow) endure() (time.Duration, error) {
	conn, err := s.open()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	began := time.Now()
	if _, err := conn.Write(s.first); err != nil {
		return 0, err
	}
	closed := make(chan struct{})
	var dripping sync.WaitGroup
	if s.drip {
		dripping.Go(func() { drip(conn, closed) })
	}
	_ = conn.SetReadDeadline(began.Add(s.limit + patience))
	err = s.until(conn)
	took := time.Since(began)
	close(closed)
	dripping.Wait()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return took, fmt.Errorf("it is still open after %s", took)
	}
	return took, nil
}

// isClosed waits until the other side closes a connection, in whatever way.
func isClosed(conn net.Conn) error {
	_, err := io.Copy(io.Discard, conn)
	return err
}

// streamIsReset waits until a stream ends.
func streamIsReset(conn net.Conn) error {
	for framer := http2.NewFramer(io.Discard, conn); ; {
		frame, err := framer.ReadFrame()
		if err != nil || frame.Header().Type == http2.FrameRSTStream {
			return err
		}
	}
}

func drip(conn net.Conn, until <-chan struct{}) {
	for {
		select {
		case <-until:
			return
		case <-time.After(time.Second):
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			return
		}
	}
}

// patience is what a busy machine may add to a limit.
const patience = 8 * time.Second

func TestSlowClientsAreClosed(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	before, clients := measured(t), slowClients(t)
	busy := map[string]int{"edge": connections(t, "edge"), "ingress": connections(t, "ingress")}
	stop := probe(t, b)
	var all sync.WaitGroup
	var mu sync.Mutex
	took := map[string][]time.Duration{}
	const each = 25
	for _, s := range clients {
		for range each {
			all.Go(func() {
				d, err := s.endure()
				mu.Lock()
				defer mu.Unlock()
				took[s.name] = append(took[s.name], d)
				if err != nil && len(took[s.name]) < 3 {
					t.Errorf("%s: %v", s.name, err)
				}
			})
		}
	}
	time.Sleep(2 * time.Second)
	t.Logf("%d slow clients: %d connections at the edge, %d at the ingress", each*len(clients), connections(t, "edge"), connections(t, "ingress"))
	all.Wait()
	stop()
	for _, s := range clients {
		d := took[s.name]
		slices.Sort(d)
		t.Logf("%-38s closed after %4.1f to %4.1f s, the limit is %s", s.name, d[0].Seconds(), d[len(d)-1].Seconds(), s.limit)
		if d[0] < s.limit-2*time.Second {
			t.Errorf("%s: closed after %s, so something else than its slowness was the cause", s.name, d[0])
		}
	}
	for role, was := range busy {
		eventually(t, "the "+role+" has as many connections as before", func() bool { return connections(t, role) <= was })
	}
	wantUnharmed(t, before, measured(t))
}

// connections are those that clients hold at an Envoy.
func connections(t *testing.T, role string) (total int) {
	t.Helper()
	raw := must2(t)(shared.envoyAdmin(role, "/stats?filter=^listener\\..*downstream_cx_active$"))
	if len(bytes.TrimSpace(raw)) == 0 {
		t.Fatalf("the %s counts no connections", role)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, ".worker_") {
			continue
		}
		var n int
		_, value, _ := strings.Cut(line, ": ")
		if _, err := fmt.Sscan(value, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		total += n
	}
	return total
}
