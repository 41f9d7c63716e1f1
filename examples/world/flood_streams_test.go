package world

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// multiplexed is an HTTP/2 connection that is written frame by frame: no library's client would do what is tried here.
type multiplexed struct {
	*tls.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32 // the next stream's number
}

func openMultiplexed(name string) (*multiplexed, error) {
	conn, err := dialEdge(name, "h2")
	if err != nil {
		return nil, err
	}
	m := &multiplexed{Conn: conn, Framer: http2.NewFramer(conn, conn), next: 1}
	m.encoder = hpack.NewEncoder(&m.block)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	return m, m.WriteSettings()
}

// headers opens a stream with a request. Unless it ends there, a body would follow.
func (m *multiplexed) headers(method, name, path string, ends bool) (stream uint32, err error) {
	m.block.Reset()
	for _, f := range [][2]string{
		{":method", method}, {":scheme", "https"}, {":authority", name + "." + Domain}, {":path", path}, {"origin", shared.URL(name, "")},
		{"sec-fetch-mode", "navigate"}, {"sec-fetch-dest", "document"}, {"sec-fetch-site", "same-origin"}, {"cookie", handleCookie + "=" + forged()},
	} {
		_ = m.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // into memory
	}
	stream = m.next
	m.next += 2
	return stream, m.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: m.block.Bytes(), EndStream: ends, EndHeaders: true})
}

// halfHeaders are an HTTP/2 client's first bytes, and a header block that says that more of it follows (RFC 9113 section 6.10).
func halfHeaders(t *testing.T) (preface, headers []byte) {
	t.Helper()
	var out, block bytes.Buffer
	framer := http2.NewFramer(&out, nil)
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":method", Value: "GET"}) // into memory
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes()}); err != nil {
		t.Fatal(err)
	}
	return []byte(http2.ClientPreface), out.Bytes()
}

// ended is how a connection went that opened more streams than it may.
type ended struct {
	announced, refused, answered int
	goAway                       bool
}

// watch reads until the connection is closed or a moment has come. It has a framer of its own, so that others may write meanwhile.
func (m *multiplexed) watch(until time.Time) (e ended) {
	_ = m.SetReadDeadline(until)
	for reader := http2.NewFramer(m.Conn, m.Conn); ; {
		frame, err := reader.ReadFrame()
		if err != nil {
			return e
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if limit, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
				e.announced = int(limit)
			}
			if !f.IsAck() {
				_ = reader.WriteSettingsAck() // if the connection is gone the next read says so
			}
		case *http2.RSTStreamFrame:
			e.refused++
		case *http2.HeadersFrame:
			e.answered++
		case *http2.GoAwayFrame:
			e.goAway = true
		}
	}
}

// Streams that wait for their body are open as long as their client likes, up to the time in which the door reads a request.
func TestStreamsOfOneConnectionAreBounded(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	before := measured(t)
	stop := probe(t, b)
	m, err := openMultiplexed("auth")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const streams = 300
	for range streams {
		if _, err := m.headers("POST", "auth", "/.isogate/signin", false); err != nil {
			t.Logf("stream %d: %v", m.next, err)
			break
		}
	}
	result := make(chan ended, 1)
	go func() { result <- m.watch(time.Now().Add(3 * time.Second)) }()
	most := 0
	for range 20 {
		most = max(most, gauge(t, "ingress", "http.ingress.downstream_rq_active"))
		time.Sleep(50 * time.Millisecond)
	}
	e := <-result
	t.Logf("%d streams: at most %d under way at the ingress, %+v", streams, most, e)
	if e.announced != 100 || most > 100+2 { // the living session's are there too
		t.Errorf("%d streams are announced, %d were under way, want 100", e.announced, most)
	}
	if e.refused < streams-100 && !e.goAway {
		t.Errorf("%d of the streams were refused", e.refused)
	}
	m.Close()
	stop()
	eventually(t, "nothing is under way", func() bool { return gauge(t, "ingress", "http.ingress.downstream_rq_active") <= 1 })
	wantUnharmed(t, before, measured(t))
}

// Rapid reset (CVE-2023-44487): a stream that is reset at once does not count against the limit of concurrent streams, but its request is at work.
func TestRapidReset(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	reset(t, 1_000)
	before := measured(t)
	stop := probe(t, b)
	began := time.Now()
	n := size(10_000)
	cut := gauge(t, "ingress", "http.ingress.downstream_rq_too_many_premature_resets")
	connections := reset(t, n)
	took := time.Since(began)
	stop()
	t.Logf("%d streams, reset at once, in %.1f s over %d connections", n, took.Seconds(), connections)
	if gauge(t, "ingress", "http.ingress.downstream_rq_too_many_premature_resets") == cut {
		t.Error("no connection was closed for its resets")
	}
	eventually(t, "nothing is under way", func() bool { return gauge(t, "ingress", "http.ingress.downstream_rq_active") <= 1 })
	wantUnharmed(t, before, measured(t))
}

// reset opens and resets streams, on as few connections as it is let, until n reached the ingress.
func reset(t *testing.T, n int) (connections int) {
	t.Helper()
	const requests = "http.ingress.downstream_rq_total"
	for want := gauge(t, "ingress", requests) + n; gauge(t, "ingress", requests) < want; connections++ {
		if connections > n {
			t.Fatal("each connection is closed at once")
		}
		m, err := openMultiplexed("issues")
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() { m.watch(time.Now().Add(time.Minute)); close(gone) }()
		m.resets(n, gone)
		m.Close()
		<-gone
	}
	return connections
}

// resets goes on until the connection is closed, or n streams are open and reset.
func (m *multiplexed) resets(n int, gone <-chan struct{}) {
	for range n {
		select {
		case <-gone:
			return
		default:
		}
		stream, err := m.headers("GET", "issues", "/rest/api/issue/OPS-1", true)
		if err != nil || m.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			return
		}
	}
}
