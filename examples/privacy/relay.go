package privacy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Relay stands between two processes, passes on every byte, and remembers it.
type Relay struct {
	There Tape // what went where the relay leads
	Back  Tape // what came from there
	Wire  Tape // where the relay ends TLS: what went there as it was on the wire, before it was opened

	listener net.Listener
	secret   *tls.Config // nil where it does not end TLS
	dial     func(serverName string) (net.Conn, error)
	open     sync.WaitGroup
}

// Listen starts a relay that passes bytes as they come.
func Listen(listener net.Listener, dial func() (net.Conn, error)) *Relay {
	return start(&Relay{listener: listener, dial: func(string) (net.Conn, error) { return dial() }})
}

// ListenTLS starts a relay that ends TLS with a certificate, remembers what was said inside, and begins TLS anew for the same name. It speaks
// HTTP/1.1 alone, which is remembered as it is.
func ListenTLS(listener net.Listener, certificate tls.Certificate, onward *tls.Config, dial func() (net.Conn, error)) *Relay {
	return start(&Relay{
		listener: listener,
		secret:   &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		dial: func(serverName string) (net.Conn, error) {
			conn, err := dial()
			if err != nil {
				return nil, err
			}
			own := onward.Clone()
			own.ServerName, own.NextProtos = serverName, []string{"http/1.1"}
			return tls.Client(conn, own), nil
		},
	})
}

func start(r *Relay) *Relay {
	go func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return // with Close
			}
			r.open.Go(func() { _ = r.pass(conn) }) // either side may go at any time
		}
	}()
	return r
}

// Close ends the relay for new connections. Open ones go on.
func (r *Relay) Close() error { return r.listener.Close() }

// pass joins a connection with one to where the relay leads, until either side has ended both directions.
func (r *Relay) pass(from net.Conn) error {
	defer from.Close()
	serverName := ""
	if r.secret != nil {
		inside := tls.Server(wired{from, r.Wire.Stream()}, r.secret)
		if err := inside.Handshake(); err != nil {
			return fmt.Errorf("privacy: a client's TLS: %w", err)
		}
		serverName, from = inside.ConnectionState().ServerName, inside
	}
	to, err := r.dial(serverName)
	if err != nil {
		return fmt.Errorf("privacy: where a relay leads: %w", err)
	}
	defer to.Close()
	there := make(chan error, 1)
	go func() { there <- stream(to, from, r.There.Stream()) }()
	err = stream(from, to, r.Back.Stream())
	return errors.Join(err, <-there)
}

// stream copies one direction. Its end is passed on as such, so that the other direction can go on.
func stream(to, from net.Conn, tape io.Writer) error {
	_, err := io.Copy(io.MultiWriter(tape, to), from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		return half.CloseWrite()
	}
	return errors.Join(err, to.Close(), from.Close())
}

// wired remembers what is read.
type wired struct {
	net.Conn
	tape io.Writer
}

func (w wired) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	_, _ = w.tape.Write(p[:n]) // a tape takes everything
	return n, err
}

// Address is where the relay listens.
func (r *Relay) Address() string { return r.listener.Addr().String() }
