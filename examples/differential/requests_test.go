package differential

import (
	"strings"
	"testing"
)

// The host is read by TLS, Envoy, the check and the product: one of ours, the same to all, or refused.
func TestHosts(t *testing.T) {
	w := theWorld(t)
	issues, wiki := hostOf("issues"), hostOf("wiki")
	for _, c := range []struct {
		name     string
		hosts    []string
		want, h2 string
	}{
		{"port", []string{issues + ":443"}, "/a", same}, {"another port", []string{issues + ":8443"}, "/a", same}, {"capitals", []string{strings.ToUpper(issues)}, "/a", same},
		{"other product", []string{wiki}, "421", same}, {"other product and port", []string{wiki + ":443"}, "421", same}, {"auth host", []string{"auth." + domain}, "421", same},
		{"unknown", []string{"other." + domain}, "421", same}, {"foreign", []string{"evil.example"}, "421", same}, {"domain itself", []string{domain}, "421", same},
		{"empty port", []string{issues + ":"}, "400", same}, {"port that is none", []string{issues + ":x"}, "400", same},
		{"user", []string{"x@" + issues}, "400", reset}, {"two in one", []string{issues + "," + wiki}, "400", same}, {"address", []string{"127.0.0.1"}, "421", same},
		{"IPv6", []string{"[::1]"}, "400", same}, {"space", []string{issues + " x"}, "400", reset}, {"path", []string{issues + "/a"}, "400", reset}, {"NUL", []string{issues + "\x00"}, "400", reset},
		{"none", nil, "400", reset}, {"empty", []string{""}, "400", reset},
		{"twice", []string{issues, issues}, "400", "/a"}, {"two", []string{issues, wiki}, "400", "/a"}, {"two, the other first", []string{wiki, issues}, "400", "421"},
		{"escaped", []string{"%69ssues." + domain}, "400", same}, {"no ASCII", []string{"issues\u3002" + domain}, "400", reset},
	} {
		r := w.get("issues", "/a")
		r.hosts = c.hosts
		w.try(t, c.name, r, c.want, c.h2)
	}
}

// A host that is ours but for a trailing dot (RFC 1034 section 3.1) or a second port is ours to all, or to nobody. It is never a fault of ours.
func TestHostsThatAreNearlyOurs(t *testing.T) {
	w := theWorld(t)
	for _, host := range []string{hostOf("issues"), w.cloud.AuthHost()} {
		for _, end := range []string{".", ".:443", ":443:443", ".:443:443", "..", ":443."} {
			for _, target := range []string{"/a", denied, "/open/health", "/.isogate/enter", "/.isogate/signin", "/.well-known/uct/jwks.json"} {
				for _, r := range w.get("issues", target).inBoth() {
					r.sni, r.hosts = host, []string{host + end}
					w.check(t, r)
				}
			}
		}
	}
}

// A target in absolute form (RFC 9112 section 3.2.2) says the host itself, whatever the Host line says. HTTP/2 has none.
func TestAbsoluteForm(t *testing.T) {
	w := theWorld(t)
	issues, wiki := hostOf("issues"), hostOf("wiki")
	for _, c := range []struct {
		target, host string
		want         string
	}{
		{"http://" + issues + "/a", issues, "/a"}, {"https://" + issues + "/a?b", issues, "/a?b"}, {"http://" + issues + "/a", wiki, "/a"},
		{"http://" + wiki + "/a", issues, "421"}, {"http://evil.example/a", issues, "421"}, {"http://" + issues, issues, "/"},
		{"http://" + issues + "//open/../a", issues, "/a"}, {"http://" + issues + "/a%2fb", issues, "400"}, {"HTTP://" + issues + "/a", issues, "/a"},
		{"http:///a", issues, "400"}, {"ftp://" + issues + "/a", issues, "400"}, {"http:/a", issues, "400"}, {"//" + wiki + "/a", issues, "/" + wiki + "/a"},
		{"http://" + wiki + "@" + issues + "/a", issues, "/a"}, {"http://" + issues + "?x", issues, "404"}, {`http://` + issues + `\a`, issues, "400"},
	} {
		r := w.get("issues", c.target)
		r.hosts = []string{c.host}
		if !strings.HasPrefix(c.target, "/") {
			two := r
			two.h2 = true
			if o := w.check(t, two); !o.matches(reset) {
				t.Errorf("%s in HTTP/2\n%s", c.target, w.describe(o))
			}
		}
		if o := w.check(t, r); !o.matches(c.want) {
			t.Errorf("%s to %s: want %s\n%s", c.target, c.host, c.want, w.describe(o))
		}
	}
}

func TestMethods(t *testing.T) {
	w := theWorld(t)
	for _, c := range []struct{ method, want, h2 string }{
		{"GET", "/a", same}, {"HEAD", "/a", same}, {"POST", "/a", same}, {"PUT", "/a", same}, {"PATCH", "/a", same}, {"DELETE", "/a", same}, {"OPTIONS", "/a", same},
		{"TRACE", "400", same}, {"TRACK", "400", same}, {"PROPFIND", "400", same}, {"QUERY", "400", same}, {"PRI", "400", same}, {"DEBUG", "400", same},
		{"get", "400", same}, {"Post", "400", same}, {"", "400", reset}, {"G\x00ET", "400", reset}, {"GET,POST", "400", reset}, {"CONNECT", "400", reset},
	} {
		r := w.get("issues", "/a")
		r.method = c.method
		w.try(t, c.method, r, c.want, c.h2)
	}
	for _, c := range []struct{ method, target, want string }{
		{"CONNECT", hostOf("issues") + ":443", "404"}, {"CONNECT", "evil.example:443", "404"}, {"OPTIONS", "*", "404"}, {"GET", "*", "400"},
	} {
		r := w.get("issues", c.target)
		r.method = c.method
		if o := w.check(t, r); !o.matches(c.want) {
			t.Errorf("%s %s: want %s\n%s", c.method, c.target, c.want, w.describe(o))
		}
	}
}

// Where a body ends is one thing to Envoy and to the product: what is smuggled behind it is a request that the check was asked about, or none.
func TestBodies(t *testing.T) {
	w := theWorld(t)
	smuggled := "GET " + denied + "/smuggled HTTP/1.1\r\nHost: " + hostOf("issues") + "\r\nCookie: " + w.cookie(hostOf("issues")) + "\r\n\r\n"
	for _, c := range []struct {
		name     string
		lines    []string
		body     string
		want, h2 string
	}{
		{"length", []string{"Content-Length: 4"}, "body", "/a", same},
		{"chunks", []string{"Transfer-Encoding: chunked"}, "4\r\nbody\r\n0\r\n\r\n", "/a", reset},
		{"length and chunks", []string{"Content-Length: 4", "Transfer-Encoding: chunked"}, "0\r\n\r\n" + smuggled, "400", reset},
		{"chunks and length", []string{"Transfer-Encoding: chunked", "Content-Length: 4"}, "0\r\n\r\n" + smuggled, "400", reset},
		{"two lengths", []string{"Content-Length: 4", "Content-Length: 0"}, "body" + smuggled, "400", reset},
		{"one length twice", []string{"Content-Length: 4", "Content-Length: 4"}, "body", "400", reset},
		{"lengths in a list", []string{"Content-Length: 4, 4"}, "body", "400", reset},
		{"length with a sign", []string{"Content-Length: +4"}, "body", "400", reset},
		{"negative length", []string{"Content-Length: -4"}, "body", "400", reset},
		{"length in hexadecimal", []string{"Content-Length: 0x4"}, "body", "400", reset},
		{"other coding", []string{"Transfer-Encoding: identity"}, smuggled, "501", reset},
		{"obscured coding", []string{"Transfer-Encoding: xchunked"}, "0\r\n\r\n" + smuggled, "501", reset},
		{"two codings", []string{"Transfer-Encoding: gzip, chunked"}, "0\r\n\r\n" + smuggled, "501", reset},
		{"coding twice", []string{"Transfer-Encoding: chunked", "Transfer-Encoding: identity"}, "0\r\n\r\n" + smuggled, "501", reset},
		{"vertical tab", []string{"Transfer-Encoding: \x0bchunked"}, "0\r\n\r\n" + smuggled, "400", reset},
		{"trailers", []string{"Transfer-Encoding: chunked", "Trailer: x-user-context-token"}, "0\r\nX-User-Context-Token: forged\r\n\r\n", "/a", reset},
		{"wrong length", []string{"Content-Length: 9"}, "body", "/a", reset},
	} {
		r := w.get("issues", "/a", c.lines...)
		r.method, r.body = "POST", c.body
		w.try(t, c.name, r, c.want, c.h2)
	}
	r := w.get("issues", "/a", "Content-Length: 0")
	r.method, r.body = "POST", smuggled // a request of its own, pipelined (RFC 9112 section 9.3.2)
	w.check(t, r)
}

// A trailer is a header line that comes after the check (RFC 9110 section 6.5.1): none may pass.
func TestTrailers(t *testing.T) {
	w := theWorld(t)
	for _, trailers := range [][]string{{"X-Harmless: a"}, {"X-User-Context-Token: forged"}, {"Cookie: " + w.cookie(hostOf("issues"))}, {":path: " + denied}, {"X_Any: a"}} {
		for range 3 { // more than once: they may be seen late
			one := w.get("issues", "/a", "Te: trailers", "Transfer-Encoding: chunked", "Trailer: "+trailers[0])
			one.method, one.body = "POST", "4\r\nbody\r\n0\r\n"+trailers[0]+"\r\n\r\n"
			w.check(t, one)
			two := w.get("issues", "/a", "Te: trailers")
			two.method, two.body, two.trailers, two.h2 = "POST", "body", trailers, true
			w.check(t, two)
		}
	}
}

// An upgrade passes where a route allows it. There the product may also answer as if nobody had asked for one.
func TestUpgrades(t *testing.T) {
	w := theWorld(t)
	for _, c := range []struct{ product, target, protocol, want string }{
		{"issues", "/a", "websocket", "/a"}, {"issues", denied, "websocket", "403"}, {"issues", "/.isogate/enter", "websocket", "403"},
		{"wiki", "/a", "websocket", "403"}, {"wiki", "/a", "WebSocket", "403"}, {"issues", "/a", "other", "403"}, {"wiki", "/a", "websocket, h2c", "403"},
		{"issues", "/a", "h2c", "/a"}, {"wiki", "/a", "h2c", "/a"}, {"issues", "/a", "TLS/1.3", "403"},
	} {
		r := w.get(c.product, c.target, "Connection: Upgrade", "Upgrade: "+c.protocol, "HTTP2-Settings: AAMAAABkAAQAAP__", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
		if o := w.check(t, r); !o.matches(c.want) {
			t.Errorf("%s at %s: want %s\n%s", c.protocol, c.product, c.want, w.describe(o))
		}
	}
	for _, lines := range [][]string{{":protocol: websocket"}, {":protocol: connect-udp"}, {":path: /open/health"}, {":method: POST"}, {":authority: " + hostOf("wiki")}, {":scheme: ftp"}, {":unknown: x"}, {":status: 200"}} {
		r := w.get("wiki", "/a", lines...)
		r.h2 = true
		if o := w.check(t, r); !o.matches(reset) {
			t.Errorf("%s\n%s", lines, w.describe(o))
		}
		r.method = "CONNECT"
		if o := w.check(t, r); len(o.arrivals) > 0 {
			t.Errorf("CONNECT with %s\n%s", lines, w.describe(o))
		}
	}
}

// Old and broken versions of HTTP.
func TestVersions(t *testing.T) {
	w := theWorld(t)
	for _, version := range []string{" HTTP/1.0\r\nX: ", " HTTP/0.9\r\nX: ", " HTTP/2.0\r\nX: ", " HTTP/1.1\r\nX: ", "\r\nX: ", " http/1.1\r\nX: ", " HTTP/1.1 HTTP/1.1\r\nX: "} {
		w.check(t, w.get("issues", "/a"+version))
	}
}
