package differential

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// patience is how long an answer may take. Only a request that Envoy waits for the rest of takes it whole.
const patience = 2 * time.Second

// answer is what a client got: a status, or a connection or stream that ended.
type answer struct {
	status  int
	header  http.Header
	body    string
	ended   bool // without an answer
	waiting bool // Envoy was still waiting when patience was at its end
}

func (a answer) String() string {
	switch {
	case a.waiting:
		return "none yet"
	case a.ended:
		return "ended"
	}
	return fmt.Sprintf("%d %v", a.status, a.header)
}

// fails tells whether it was not the request's fault.
func (a answer) fails() bool {
	return a.status == 503 || a.status == 504 || a.header.Get("grpc-status") == "14"
}

// client is one connection.
type client interface {
	// send gives the answer, and whether the connection is good for another request.
	send(request) (answer, bool)
	address() netip.Addr
	close()
}

// outcome is all that came of one request.
type outcome struct {
	sent      request
	answer    answer
	decisions []*decision
	arrivals  []arrival
	late      []outcome // of requests before it, after their answers

	unreachable error // whatever is sent, a connection can be made
}

// exchange sends a request on a kept connection, or on a new one where the kept one has just ended.
func (l *lab) exchange(r request) outcome {
	key := fmt.Sprint(r.h2, r.sni, r.caller)
	kept, isOld := l.clients[key]
	if isOld && !r.plain() {
		kept.close()
		isOld = false
	}
	for {
		c := kept
		if !isOld {
			var err error
			if c, err = l.connect(r); err != nil {
				return outcome{sent: r, unreachable: err}
			}
		}
		r.from = c.address()
		l.sent[r.from] = r
		got, good := c.send(r)
		delete(l.clients, key)
		if good && r.plain() {
			l.clients[key] = c
		} else {
			c.close()
		}
		o := l.outcome(r, got)
		if isOld && got.ended && !got.waiting && len(o.decisions)+len(o.late) == 0 { // closed before it was ours, perhaps
			isOld = false
			continue
		}
		return o
	}
}

// outcome tells what came of this request from what came of earlier ones, by the address that each connection has for itself.
func (l *lab) outcome(r request, got answer) outcome {
	o := outcome{sent: r, answer: got}
	earlier := map[netip.Addr]*outcome{}
	of := func(address netip.Addr) *outcome {
		sent, known := l.sent[address]
		if !known || address == r.from {
			return &o
		}
		if earlier[address] == nil {
			earlier[address] = &outcome{sent: sent, answer: answer{ended: true}}
		}
		return earlier[address]
	}
	decisions, arrivals := l.since()
	for _, d := range decisions {
		from := of(d.from)
		from.decisions = append(from.decisions, d)
	}
	for _, a := range arrivals {
		from := of(a.address())
		from.arrivals = append(from.arrivals, a)
	}
	for _, e := range earlier {
		o.late = append(o.late, *e)
	}
	return o
}

// nextAddress is another one for each of some thousands of connections, with these two bytes first.
func (l *lab) nextAddress(first, second byte) netip.Addr {
	l.dialled++
	return netip.AddrFrom4([4]byte{first, second, byte(l.dialled >> 8 & 15), byte(l.dialled)})
}

// dial connects as the edge does: a PROXY protocol version 2 header, then the client's own TLS. The addresses are those that RFC 2544 keeps for tests.
func (w *world) dial(r request) (client, error) {
	raw, err := net.Dial("tcp", string(w.cloud.Listeners.Ingress))
	if err != nil {
		return nil, err
	}
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12)
	from := w.nextAddress(198, 18)
	header = append(header, from.AsSlice()...)
	header = append(header, 127, 0, 0, 1)
	header = binary.BigEndian.AppendUint16(header, 4711)
	header = binary.BigEndian.AppendUint16(header, 443)
	if _, err := raw.Write(header); err != nil {
		raw.Close()
		return nil, err
	}
	return handshake(raw, &tls.Config{RootCAs: w.roots, ServerName: r.sni}, r.h2, from)
}

// handshake makes TLS of a connection, which it closes if there is an error.
func handshake(raw net.Conn, config *tls.Config, h2 bool, from netip.Addr) (client, error) {
	protocol := "http/1.1"
	if h2 {
		protocol = "h2"
	}
	config.NextProtos = []string{protocol}
	conn := tls.Client(raw, config)
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	err := conn.Handshake()
	if err == nil && conn.ConnectionState().NegotiatedProtocol != protocol {
		err = errors.New("Envoy chose another protocol")
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return newClient(conn, h2, from)
}

func newClient(conn net.Conn, h2 bool, from netip.Addr) (client, error) {
	if h2 {
		return newH2(conn, from)
	}
	return &h1{conn: conn, from: from, reader: bufio.NewReader(conn)}, nil
}

type h1 struct {
	conn   net.Conn
	from   netip.Addr
	reader *bufio.Reader
}

func (c *h1) close()              { c.conn.Close() }
func (c *h1) address() netip.Addr { return c.from }

func (c *h1) send(r request) (answer, bool) {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	_, _ = c.conn.Write(r.wire()) // Envoy may answer, and close, before it has read all
	for {
		response, err := http.ReadResponse(c.reader, &http.Request{Method: r.method})
		if err != nil {
			return answer{ended: true, waiting: errors.Is(err, os.ErrDeadlineExceeded)}, false
		}
		if response.StatusCode/100 == 1 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, _ := io.ReadAll(response.Body)
		good := !response.Close && c.reader.Buffered() == 0
		return answer{status: response.StatusCode, header: response.Header, body: string(body)}, good
	}
}

// wire is the request as bytes of HTTP/1.1. Nothing is escaped or checked.
func (r request) wire() []byte {
	var b strings.Builder
	b.WriteString(r.method + " " + r.target + " HTTP/1.1\r\n")
	for _, host := range r.hosts {
		b.WriteString("Host: " + host + "\r\n")
	}
	for _, text := range r.lines {
		b.WriteString(text + "\r\n")
	}
	b.WriteString("\r\n" + r.body)
	return []byte(b.String())
}
