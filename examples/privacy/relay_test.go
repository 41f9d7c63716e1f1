package privacy

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// through sends one request by way of a relay, and gives the answer's body.
func through(t *testing.T, r *Relay, client *http.Client, address string) string {
	t.Helper()
	client.Transport.(*http.Transport).DialContext = func(_ context.Context, network, _ string) (net.Conn, error) {
		return net.Dial(network, r.Address())
	}
	answer, err := client.Post(address, "text/plain", strings.NewReader("a question"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
	return string(body)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// A relay changes nothing, and remembers both directions; where it ends TLS, what was inside and what was on the wire.
func TestRelay(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "answer to "+string(body)+" at "+r.Host)
	})
	plain, secret := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer plain.Close()
	defer secret.Close()
	roots := secret.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, c := range map[string]struct {
		relay   *Relay
		client  *http.Client
		address string
	}{
		"plain": {Listen(listen(t), dialer("tcp", plain.Listener.Addr().String())), &http.Client{Transport: &http.Transport{}}, "http://example.com/"},
		"TLS": {
			ListenTLS(listen(t), secret.TLS.Certificates[0], &tls.Config{RootCAs: roots}, dialer("tcp", secret.Listener.Addr().String())),
			&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}, "https://example.com/",
		},
	} {
		if got := through(t, c.relay, c.client, c.address); got != "answer to a question at example.com" {
			t.Errorf("%s: %q", name, got)
		}
		_ = c.relay.Close()
		if !holds(&c.relay.There, "a question") || !holds(&c.relay.Back, "answer to a question") {
			t.Errorf("%s: there %q, back %q", name, c.relay.There.Streams(), c.relay.Back.Streams())
		}
		if name == "TLS" && (!holds(&c.relay.Wire, "example.com") || holds(&c.relay.Wire, "a question")) {
			t.Errorf("the wire: %q", c.relay.Wire.Streams())
		}
	}
}

func holds(tape *Tape, text string) bool {
	for _, stream := range tape.Streams() {
		if bytes.Contains(stream, []byte(text)) {
			return true
		}
	}
	return false
}

// Where a relay leads nowhere, the connection ends.
func TestRelayToNobody(t *testing.T) {
	gone := listen(t)
	gone.Close()
	r := Listen(listen(t), dialer("tcp", gone.Addr().String()))
	defer r.Close()
	conn, err := net.Dial("tcp", r.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came from nobody", n)
	}
}
