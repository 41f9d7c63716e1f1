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

// seenHeader of an answer names the request that reached a backend.
const seenHeader = "x-seen"

// backend records the exact bytes of each request's head. It answers before it reads a body, so a body that never ends holds up nobody.
func (w *world) backend(name string, listener net.Listener) daemon.Unit {
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
				w.serve(name, conn)
			})
		}
	}}
}

func (w *world) serve(name string, conn net.Conn) {
	for reader := bufio.NewReader(conn); ; {
		head, err := readHead(reader)
		if err != nil {
			return
		}
		a := parseHead(name, head)
		w.arrived(a)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n%s: %s\r\n\r\n", seenHeader, strings.Join(a.values(requestID), ","))
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		if err := w.skipBody(reader, a); err != nil {
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

// skipBody reads as plain servers do: what the body is not, is the next request. A trailer (RFC 9110 section 6.5) could bring in a header after the
// check, so it counts as something that nobody allowed.
func (w *world) skipBody(r *bufio.Reader, a arrival) error {
	if len(a.values("transfer-encoding")) > 0 {
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(r)); err != nil {
			return err
		}
		for {
			text, err := r.ReadString('\n')
			if err != nil || text == "\r\n" {
				return err
			}
			w.arrived(arrival{backend: a.backend, head: []byte("trailer " + text)})
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
