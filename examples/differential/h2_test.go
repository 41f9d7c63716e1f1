package differential

import (
	"bytes"
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 writes header blocks by itself: a library's client would refuse to send what is to be tried here.
type h2 struct {
	conn    net.Conn
	from    netip.Addr
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
}

func newH2(conn net.Conn, from netip.Addr) (client, error) {
	c := &h2{conn: conn, from: from, framer: http2.NewFramer(conn, conn), stream: 1}
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	_, err := conn.Write([]byte(http2.ClientPreface))
	err = errors.Join(err, c.framer.WriteSettings(), c.framer.WriteWindowUpdate(0, 1<<30))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *h2) close()              { c.conn.Close() }
func (c *h2) address() netip.Addr { return c.from }

func (c *h2) send(r request) (answer, bool) {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	id := c.stream
	c.stream += 2
	if err := c.write(id, r); err != nil {
		return answer{ended: true}, false
	}
	var got answer
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			got.ended, got.waiting = got.status == 0, errors.Is(err, os.ErrDeadlineExceeded)
			return got, false
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID == id {
				got.read(f)
			}
		case *http2.DataFrame:
			if f.StreamID == id {
				got.body += string(f.Data())
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				got.ended = got.status == 0
				return got, true
			}
		case *http2.GoAwayFrame:
			if f.LastStreamID < id {
				return answer{ended: true}, false
			}
		}
		if h := frame.Header(); h.StreamID == id && (h.Type == http2.FrameHeaders || h.Type == http2.FrameData) && h.Flags.Has(http2.FlagDataEndStream) && got.status/100 != 1 {
			return got, true
		}
	}
}

func (a *answer) read(f *http2.MetaHeadersFrame) {
	if status := f.PseudoValue("status"); status != "" {
		a.status, _ = strconv.Atoi(status)
		a.header = http.Header{}
	}
	for _, field := range f.RegularFields() {
		a.header.Add(field.Name, field.Value)
	}
}

// maxFrame is what a receiver takes unless it says otherwise (RFC 9113 section 4.2).
const maxFrame = 16 << 10

func (c *h2) write(id uint32, r request) error {
	follows := r.body != "" || r.open
	err := c.writeBlock(id, r.fields(), !follows)
	if follows && err == nil {
		err = c.framer.WriteData(id, len(r.trailers) == 0, []byte(r.body[:min(len(r.body), maxFrame)]))
	}
	if len(r.trailers) > 0 && err == nil {
		err = c.writeBlock(id, fieldsOf(r.trailers), true)
	}
	return err
}

func (c *h2) writeBlock(id uint32, fields []line, last bool) error {
	c.block.Reset()
	for _, f := range fields {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value}) // into memory
	}
	block := c.block.Bytes()
	first := block[:min(len(block), maxFrame)]
	rest := block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: last, EndHeaders: len(rest) == 0})
	for len(rest) > 0 && err == nil {
		part := rest[:min(len(rest), maxFrame)]
		rest = rest[len(part):]
		err = c.framer.WriteContinuation(id, len(rest) == 0, part)
	}
	return err
}

// fields is the request as fields of HTTP/2.
func (r request) fields() []line {
	fields := []line{{":method", r.method}, {":scheme", "https"}, {":path", r.target}}
	for i, host := range r.hosts {
		if i == 0 {
			fields = append(fields, line{":authority", host})
		} else {
			fields = append(fields, line{"host", host})
		}
	}
	fields = append(fields, fieldsOf(r.lines)...)
	// Pseudo-headers come first (RFC 9113 section 8.3); one that a line adds is to be judged for itself, not for its place.
	slices.SortStableFunc(fields, func(a, b line) int {
		return cmp.Compare(strings.IndexByte(b.name, ':'), strings.IndexByte(a.name, ':'))
	})
	return fields
}

// fieldsOf turns lines into fields. A name goes on the wire as it stands, in capitals too; but the lines of a table are spelled as in HTTP/1.1,
// so a capital at its beginning means that the whole name is to be lowered.
func fieldsOf(lines []string) (fields []line) {
	for _, text := range lines {
		at := strings.IndexByte(text[min(1, len(text)):], ':') + min(1, len(text)) // a pseudo-header begins with a colon
		name, value := text, ""
		if at > 0 && text[at] == ':' {
			name, value = text[:at], strings.TrimPrefix(text[at+1:], " ")
		}
		if name != "" && 'A' <= name[0] && name[0] <= 'Z' {
			name = strings.ToLower(name)
		}
		fields = append(fields, line{name, value})
	}
	return fields
}
