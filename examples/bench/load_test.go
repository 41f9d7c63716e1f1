package main

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// behindEdge takes a PROXY header of version 2 off each connection, and remembers the last.
type behindEdge struct {
	net.Listener
	header *atomic.Value
}

func (l behindEdge) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	header := make([]byte, 28)
	if _, err := io.ReadFull(c, header); err != nil {
		return nil, err
	}
	l.header.Store(string(header))
	return c, nil
}

// ingressLike is an HTTPS server that expects what an ingress expects.
func ingressLike(t *testing.T, handler http.HandlerFunc) (target, *atomic.Value) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	header := new(atomic.Value)
	server.Listener = behindEdge{server.Listener, header}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return target{address: server.Listener.Addr().String(), host: "example.com", roots: roots, toldClient: true}, header
}

func constant(request []byte) func(int64) []byte { return func(int64) []byte { return request } }

var plainRequest = []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")

// One stall of 400 ms holds up the forty requests that were meant for that time, and each of them counts as late. A generator that measures
// from the moment of sending would report one.
func TestAStallCountsForEveryRequestThatWaited(t *testing.T) {
	var seen atomic.Int64
	to, _ := ingressLike(t, func(http.ResponseWriter, *http.Request) {
		if seen.Add(1) == 10 {
			time.Sleep(400 * time.Millisecond)
		}
	})
	took, err := to.pace(t.Context(), constant(plainRequest), 1, 100, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, d := range took {
		if d > 100*time.Millisecond {
			late++
		}
	}
	if len(took) != 100 || late < 25 {
		t.Errorf("%d requests, %d of them late", len(took), late)
	}
}

func TestTheClientsAddressIsSaidByPROXYProtocol(t *testing.T) {
	to, header := ingressLike(t, func(http.ResponseWriter, *http.Request) {})
	status, err := to.once(plainRequest)
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	want := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\xc3\x50\x01\xbb"
	if got := header.Load(); got != want {
		t.Errorf("%q", got)
	}
}

// The edge tells the commercial side nobody's address.
func TestTheCommercialSideIsToldNoAddress(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	status, err := target{address: server.Listener.Addr().String(), host: "example.com", roots: roots}.once(plainRequest)
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
}

func TestAnyAnswerButAPassEndsTheMeasurement(t *testing.T) {
	to, _ := ingressLike(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if _, err := to.saturate(t.Context(), constant(plainRequest), 2, 100*time.Millisecond); err == nil {
		t.Error("503 counts as a request that was served")
	}
	if _, err := to.pace(t.Context(), constant(plainRequest), 2, 100, 100*time.Millisecond); err == nil {
		t.Error("503 counts as a request that was served")
	}
}
