package differential

import (
	"net/netip"
	"strings"
)

// request is what a client sends, as it is written.
type request struct {
	from           netip.Addr // of the connection on which it was sent; set by exchange
	h2             bool
	sni            string // of the TLS handshake
	caller         string // whose certificate is shown at the gateway; "" elsewhere
	proof, proved  string // what went into the place for it, and the method and URL that it was made for
	method, target string
	hosts          []string // Host lines; in HTTP/2 the first is :authority
	lines          []string // header lines without their ends
	body           string
	open           bool     // in HTTP/2 only: not the header ends the stream but an empty DATA frame
	trailers       []string // in HTTP/2 only, where they follow the body in a block of their own; a body must be there
}

// plain is a request that ends where it seems to end, so that the connection is good for another.
func (r request) plain() bool {
	if r.body != "" || r.open || strings.ContainsAny(r.method+r.target+strings.Join(r.hosts, ""), "\r\n \t\v\f") {
		return false
	}
	for _, text := range r.lines {
		name, _, _ := strings.Cut(text, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "content-length", "transfer-encoding", "connection", "upgrade", "expect", "keep-alive", "te", "trailer", "proxy-connection":
			return false
		}
		if strings.ContainsAny(text, "\r\n") {
			return false
		}
	}
	return true
}

// text is all that the client sent, for a search.
func (r request) text() string { return string(r.wire()) }

// get is a GET of a signed-in person's browser.
func (w *world) get(product, target string, lines ...string) request {
	host := hostOf(product)
	return request{
		sni: host, method: "GET", target: target, hosts: []string{host},
		lines: append([]string{"Cookie: " + w.cookie(host), "Origin: https://" + host, "Sec-Fetch-Site: same-origin"}, lines...),
	}
}

// stranger is the same without a session.
func (w *world) stranger(product, target string, lines ...string) request {
	host := hostOf(product)
	return request{sni: host, method: "GET", target: target, hosts: []string{host}, lines: lines}
}

// cookie is the living session's cookie for a host.
func (w *world) cookie(host string) string {
	return "__Host-isogate_session=" + string(w.handles[host])
}

// inBoth gives the request in each protocol, HTTP/1.1 first.
func (r request) inBoth() [2]request {
	two := r
	two.h2 = true
	return [2]request{r, two}
}

func (r request) protocol() string {
	if r.h2 {
		return "HTTP/2"
	}
	return "HTTP/1.1"
}
