package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, so that tests of time may run in a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// serving runs a unit and gives the function that asks it to end, and the channel with its result.
func serving(t *testing.T, u Unit) (end func(), ended chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	return cancel, ended
}

// get asks once on a connection of its own.
func get(p *pipes) (string, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
	answer, err := client.Get("http://x/")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func TestHTTPDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		end, ended := serving(t, HTTP("door", listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(w, "whole")
		})))
		time.AfterFunc(time.Second, end)
		start := time.Now()
		body, err := get(listener)
		if err != nil || body != "whole" {
			t.Errorf("the request under way: %q, %v", body, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("ended after %s", took)
		}
		if _, err := get(listener); err == nil {
			t.Error("a new request is taken after the end")
		}
	})
}

func TestHTTPCutsWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener, release := newPipes(), make(chan struct{})
		end, ended := serving(t, HTTP("door", listener, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })))
		failed := make(chan error, 1)
		go func() { _, err := get(listener); failed <- err }()
		synctest.Wait()
		start := time.Now()
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != graceful {
			t.Errorf("ended after %s, want %s", took, graceful)
		}
		if err := <-failed; err == nil {
			t.Error("the hanging request was answered")
		}
		close(release)
	})
}

// A handler's panic ends its own request and nothing else.
func TestHTTPSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		first := true
		end, ended := serving(t, HTTP("door", listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if first {
				first = false
				panic(http.ErrAbortHandler)
			}
		})))
		if _, err := get(listener); err == nil {
			t.Error("the panic was answered")
		}
		if _, err := get(listener); err != nil {
			t.Error(err)
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A client that never ends its header is cut off.
func TestHTTPCutsASlowHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		end, ended := serving(t, HTTP("door", listener, http.NotFoundHandler()))
		conn, err := listener.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n")
		_, _ = io.ReadAll(conn)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("held for %s", took)
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A request header of any size would let strangers fill the memory.
func TestHTTPBoundsHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		end, ended := serving(t, HTTP("door", listener, http.NotFoundHandler()))
		conn, _ := listener.dial(t.Context(), "", "")
		go func() {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nx: "+strings.Repeat("y", 80<<10)+"\r\n\r\n")
		}()
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
			t.Errorf("answer %q", answer)
		}
		_ = conn.Close()
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of luck") }
func (brokenListener) Close() error              { return nil }
func (brokenListener) Addr() net.Addr            { return &net.UnixAddr{} }

func TestHTTPReportsABrokenListener(t *testing.T) {
	if err := HTTP("door", brokenListener{}, http.NotFoundHandler()).Run(t.Context()); err == nil || err.Error() != "out of luck" {
		t.Errorf("error = %v", err)
	}
}

// A unit that is asked to end before it has begun lets its listener go.
func TestHTTPEndsBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := HTTP("door", listener, http.NotFoundHandler()).Run(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case <-listener.closed:
		default:
			t.Error("the listener is still open")
		}
	})
}
