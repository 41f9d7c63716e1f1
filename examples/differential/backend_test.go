package differential

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"time"

	"isogate/envoy/daemon"
)

// doorName is the backend that stands for our own HTTP door.
const doorName = "door"

// seenHeader of an answer names the request that reached a backend. It is one that crosses the gateway too.
const seenHeader = "etag"

// backend records the exact bytes of each request's head. It answers before it reads a body, so a body that never ends holds up
// nobody.
func (l *lab) backend(name string, listener net.Listener) daemon.Unit {
	return daemon.Unit{Name: name, Run: func(ctx context.Context) error {
		var open sync.WaitGroup
		defer open.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		context.AfterFunc(ctx, func() { listener.Close() })
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			open.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				l.serve(name, conn)
			})
		}
	}}
}

func (l *lab) serve(name string, conn net.Conn) {
	for reader := bufio.NewReader(conn); ; {
		head, err := readHead(reader)
		if err != nil {
			return
		}
		a := parseHead(name, head)
		a.content = hasContent(conn, reader, a)
		l.arrived(a)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: inside=1\r\nx-inside: 1\r\n%s: %s\r\n\r\n", seenHeader, strings.Join(a.values(requestID), ","))
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		if err := l.skipBody(reader, a); err != nil {
			return
		}
		_ = conn.SetReadDeadline(time.Time{})
	}
}

// readHead reads up to the empty line.
func readHead(r *bufio.Reader) ([]byte, error) {
	var head []byte
	for {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if head = append(head, text...); bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			return bytes.TrimSuffix(head, []byte("\r\n\r\n")), nil
		}
	}
}

// hasContent tells whether a byte of a body follows. It waits a moment for the first chunk's length: one that does not come may be any.
func hasContent(conn net.Conn, r *bufio.Reader, a arrival) bool {
	if len(a.values("transfer-encoding")) == 0 {
		return strings.Trim(strings.Join(a.values("content-length"), ""), "0") != ""
	}
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	first, err := r.Peek(1)
	return err != nil || first[0] != '0'
}

// skipBody reads as plain servers do: what the body is not, is the next request. A trailer (RFC 9110 section 6.5) could bring in a header after the
// check, so it counts as something that nobody allowed.
func (l *lab) skipBody(r *bufio.Reader, a arrival) error {
	if len(a.values("transfer-encoding")) > 0 {
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(r)); err != nil {
			return err
		}
		for {
			text, err := r.ReadString('\n')
			if err != nil || text == "\r\n" {
				return err
			}
			l.arrived(arrival{backend: a.backend, head: []byte("trailer " + text)})
		}
	}
	if lengths := a.values("content-length"); len(lengths) > 0 {
		n, err := strconv.ParseInt(lengths[0], 10, 64)
		if err != nil {
			return err
		}
		_, err = io.CopyN(io.Discard, r, n)
		return err
	}
	return nil
}
