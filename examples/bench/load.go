package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// target is a guarded host at an ingress, reached as the edge reaches it.
type target struct {
	address, host string
	roots         *x509.CertPool
	toldClient    bool             // whether the edge tells it the client's address; the commercial side is told nothing
	pair          *tls.Certificate // of a caller, where the host asks for one
}

// conn is one kept-alive HTTP/1.1 connection.
type conn struct {
	net.Conn
	answers *bufio.Reader
}

// dial connects, says by PROXY protocol version 2 for whom if the target is told, and makes the TLS handshake.
func (t target) dial() (*conn, error) {
	plain, err := net.DialTimeout("tcp", t.address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if t.toldClient {
		if _, err := plain.Write(proxyHeader(net.IPv4(192, 0, 2, 1), 50000)); err != nil {
			return nil, errors.Join(err, plain.Close())
		}
	}
	trust := &tls.Config{ServerName: t.host, RootCAs: t.roots, MinVersion: tls.VersionTLS13}
	if t.pair != nil {
		trust.Certificates = []tls.Certificate{*t.pair}
	}
	c := tls.Client(plain, trust)
	if err := c.Handshake(); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// proxyHeader is that of a TCP connection over IPv4 from an address to 127.0.0.1:443
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2).
func proxyHeader(from net.IP, port uint16) []byte {
	out := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12)
	out = append(append(out, from.To4()...), 127, 0, 0, 1)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, port), 443)
}

// exchange sends one request and reads its answer to the end.
func (c *conn) exchange(request []byte) (status int, err error) {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}

// pass is an exchange that must end in 200.
func (c *conn) pass(request []byte) error {
	status, err := c.exchange(request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the answer is %d, want 200", status)
	}
	return err
}

// once is one exchange on a connection of its own.
func (t target) once(request []byte) (status int, err error) {
	c, err := t.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.exchange(request)
}

// each runs work on n connections and waits for all.
func (t target) each(ctx context.Context, n int, work func(context.Context, *conn) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for range n {
		c, err := t.dial()
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			defer c.Close()
			return work(ctx, c)
		})
	}
	return group.Wait()
}

// saturate keeps every connection busy for a time and gives the requests per second: a closed loop.
func (t target) saturate(ctx context.Context, request func(int64) []byte, conns int, d time.Duration) (perSecond float64, err error) {
	var done atomic.Int64
	var began time.Time
	ready := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { began = time.Now(); close(ready) }) // handshakes are not what is measured
	err = t.each(ctx, conns, func(ctx context.Context, c *conn) error {
		<-ready
		for time.Since(began) < d && ctx.Err() == nil {
			if err := c.pass(request(done.Add(1))); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return float64(done.Load()) / time.Since(began).Seconds(), err
}

// pace sends at a fixed rate and gives the time of each request from the moment at which it should have begun. A server that stalls delays
// the requests behind it, and the delay counts: an open loop, so no stall is left out because nobody asked meanwhile.
func (t target) pace(ctx context.Context, request func(int64) []byte, conns, rate int, d time.Duration) (took []time.Duration, err error) {
	var next atomic.Int64
	var mu sync.Mutex
	total := int64(float64(rate) * d.Seconds())
	start := time.Now().Add(300 * time.Millisecond)
	err = t.each(ctx, conns, func(ctx context.Context, c *conn) error {
		for i := next.Add(1) - 1; i < total && ctx.Err() == nil; i = next.Add(1) - 1 {
			intended := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(intended))
			if err := c.pass(request(i)); err != nil {
				return err
			}
			late := time.Since(intended)
			mu.Lock()
			took = append(took, late)
			mu.Unlock()
		}
		return ctx.Err()
	})
	return took, err
}
