package world

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// marker stands in everything that a flood sends and that no log may hold.
const marker = "FloodMarker0"

// size is how much a flood sends: less with the race detector, which makes the daemons several times slower.
func size(n int) int {
	if raceDetector {
		return n / 5
	}
	return n
}

// dialEdge is a TLS connection to a guarded host through the edge.
func dialEdge(name, protocol string) (*tls.Conn, error) {
	conn, err := tls.Dial("tcp", shared.Edge(), &tls.Config{RootCAs: shared.CA.Pool(), ServerName: name + "." + Domain, NextProtos: []string{protocol}})
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(2 * time.Minute))
}

// plain writes a request down as it goes over the wire in HTTP/1.1, so that nothing is made good that a client library would refuse to send.
func plain(method, name, target string, headers ...string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s.%s\r\n%s\r\n", method, target, name, Domain, lines(headers))
}

func lines(headers []string) (out string) {
	if len(headers) > 0 {
		out = strings.Join(headers, "\r\n") + "\r\n"
	}
	return out
}

var (
	asFetch      = []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin"}
	asNavigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none"}
)

// roundTrip sends one request and reads its answer to the end.
func roundTrip(conn *tls.Conn, answers *bufio.Reader, request []byte) (*http.Response, error) {
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer, err
}

// once is one round trip on a connection of its own.
func once(name string, request []byte) (*http.Response, error) {
	conn, err := dialEdge(name, "http/1.1")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return roundTrip(conn, bufio.NewReader(conn), request)
}

// send sends n requests to a host over a handful of connections, each as soon as the last was answered, and counts the statuses.
func send(t *testing.T, name string, n int, request func(i int) []byte) map[int]int {
	t.Helper()
	const connections = 8
	counts := map[int]int{}
	var mu sync.Mutex
	var next atomic.Int64
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			own, err := worker(name, &next, int64(n), request)
			if err != nil {
				t.Errorf("the sender failed: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for status, k := range own {
				counts[status] += k
			}
		})
	}
	workers.Wait()
	return counts
}

func worker(name string, next *atomic.Int64, n int64, request func(i int) []byte) (map[int]int, error) {
	counts := map[int]int{}
	var conn *tls.Conn
	var answers *bufio.Reader
	for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
		if conn == nil {
			fresh, err := dialEdge(name, "http/1.1")
			if err != nil {
				return counts, err
			}
			defer fresh.Close()
			conn, answers = fresh, bufio.NewReader(fresh)
		}
		answer, err := roundTrip(conn, answers, request(int(i)))
		if err != nil {
			return counts, err
		}
		counts[answer.StatusCode]++
		if answer.Close {
			conn.Close()
			conn = nil
		}
	}
	return counts, nil
}

// flood sends a flood while somebody works, and demands that nothing of it stays and that the person notices nothing. A small part of it goes
// ahead of the first measurement, so that whatever is made once for all is there by then.
func flood(t *testing.T, b *Browser, name string, n int, request func(i int) []byte) map[int]int {
	t.Helper()
	send(t, name, max(n/20, 200), request)
	before := measured(t)
	stop := probe(t, b)
	began := time.Now()
	counts := send(t, name, n, request)
	took := time.Since(began)
	stop()
	t.Logf("%d requests in %.1f s, %.0f a second: %v", n, took.Seconds(), float64(n)/took.Seconds(), counts)
	wantUnharmed(t, before, measured(t))
	return counts
}

// probe is a person who works while something happens. It gives the number of answers when it is stopped; each must be the product's.
func probe(t *testing.T, b *Browser) (stop func() int) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	var took []time.Duration
	go func() {
		defer close(done)
		for {
			began := time.Now()
			if a, err := b.Do("GET", shared.URL("issues", "/whoami"), Fetch, nil, ""); err != nil || a.Status != 200 {
				t.Errorf("a living session got %d %v %.200s", a.Status, err, a.Body)
			}
			took = append(took, time.Since(began))
			select {
			case <-quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(quit)
		<-done
		slices.Sort(took)
		t.Logf("a living session: %d answers, half of them within %s, the slowest after %s", len(took), took[len(took)/2].Round(100*time.Microsecond),
			took[len(took)-1].Round(100*time.Microsecond))
		return len(took)
	}
}

// wantOnly demands that a flood got these statuses and no other.
func wantOnly(t *testing.T, counts map[int]int, statuses ...int) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(counts)); !slices.Equal(got, statuses) {
		t.Errorf("the answers were %v, want only %v", counts, statuses)
	}
}
