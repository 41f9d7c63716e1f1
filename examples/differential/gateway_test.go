package differential

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
)

// Each endpoint takes what it is for, from the caller itself and through the sidecar, in both protocols.
func TestWhatIsExposedIsReached(t *testing.T) {
	b := theBorder(t)
	for _, e := range exposures {
		target, want := strings.NewReplacer("{", "", "}", "").Replace(e.path), ""
		for i, name := range e.query {
			target += string("?&"[min(i, 1)]) + name + "=1"
		}
		if want = target; strings.HasPrefix(e.path, denied) {
			want = "403"
		}
		for _, r := range []request{b.call("support", e.product, e.method, target), b.tell(e.product, e.method, target)} {
			if e.opaque {
				r.lines, r.body = append(r.lines, "Content-Length: 4"), "body"
			}
			for _, one := range r.inBoth() {
				if o := b.check(t, one); !o.matches(want) {
					t.Errorf("%s: want %s\n%s", e.id, want, b.describe(o))
				}
			}
		}
	}
}

// Whatever is not exposed gets one and the same answer, whoever gives it: that it is the same to the byte is a rule of judge.
func TestWhatIsNotExposed(t *testing.T) {
	b := theBorder(t)
	get := func(target string, lines ...string) request {
		return b.call("support", "issues", "GET", target, lines...)
	}
	of := func(method, target, body string, lines ...string) request {
		r := b.call("support", "issues", method, target, lines...)
		r.body = body
		return r
	}
	elsewhere := get("/a")
	elsewhere.hosts = []string{"issues." + domain}
	for name, r := range map[string]request{
		"path": get("/b"), "path below one": get("/a/b/c"), "path of another product": get("/page"),
		"slash": get("/rest/api/issue/A-1/"), "case": get("/A"),
		"method": of("POST", "/a", ""), "HEAD": of("HEAD", "/a", ""), "OPTIONS": of("OPTIONS", "/a", ""),
		"parameter": get("/a?c=1"), "parameter in escapes": get("/a?%62=1"),
		"parameter of another": get("/a?fields=1"), "empty parameter": get("/a?b=1&"), "product": b.call("support", "nothing", "GET", "/a"), "gateway itself": b.call("support", "x", "GET", "/a"),
		"public host": elsewhere,
		"caller":      b.call("market", "issues", "GET", "/a/b"), "nobody's caller": b.call("stranger", "issues", "GET", "/a"), "ended": get("/gone"),
		"body": of("POST", "/rest/api/poke", "body", "Content-Length: 4"), "upgrade": get("/a", "Connection: Upgrade", "Upgrade: websocket"),
		"upgrade of nothing": get("/nothing", "Connection: Upgrade", "Upgrade: websocket"),
		"prefix":             get("/rest/api/issu"), "another prefix": get("/rest/api/issue/A-1/mov"), "root": b.call("support", "wiki", "GET", "/"),
	} {
		both := r.inBoth()
		if strings.HasPrefix(name, "upgrade") { // HTTP/2 has none
			both[1] = both[0]
		}
		for _, one := range both {
			if o := b.check(t, one); !o.matches("403") || !o.unexposed() {
				t.Errorf("%s\n%s", name, b.describe(o))
			}
		}
	}
	for _, of := range [][2]string{{"OPTIONS", "*"}, {"CONNECT", b.cloud.GatewayName("issues") + ":443"}, {"CONNECT", "evil.example:443"}} {
		r := get(of[1])
		r.method = of[0]
		if o := b.check(t, r); !o.matches("403") || !o.unexposed() {
			t.Errorf("%s\n%s", of, b.describe(o))
		}
	}
}

// A target is one path to all, at the gateway and through the sidecar, or it is refused. In HTTP/2 as in HTTP/1.1.
func TestPathsOfCalls(t *testing.T) {
	b := theBorder(t)
	for _, c := range []struct{ target, want string }{
		{"//rest//api/issue/A-1", "/rest/api/issue/A-1"}, {"/x/../rest/./api/issue/A-1", "/rest/api/issue/A-1"}, {"/a/..;/a/b", "/a/b"}, {"/%61/%2e%2e/a?b", "/a?b"},
		{"/rest/api/issue/%41%2D1", "/rest/api/issue/A-1"}, {"/rest/api/issue/%c3%a9%20", "/rest/api/issue/%c3%a9%20"}, {`/rest\api/issue/A`, "/rest/api/issue/A"},
		{"/rest/api/issue/..", "/rest/api/"}, {"/rest/api/issue/A%2fB", "400"}, {"/rest/api/issue/A%5cB", "400"}, {"/rest/api/issue/%252fB", "400"}, {"/rest/api/issue/%2e%2e;", "400"},
		{"/rest/api/issue/;x", "400"}, {"/rest/api/issue/%zz", "400"}, {"/rest/api/issue/%ff", "400"}, {"/rest/api/issue/%00", "400"}, {"/rest/api/issue/%0a", "400"},
		{"/a?", "/a?"}, {"/a?b=/../%2f", "/a?b=/../%2f"}, {"/rest/api/issue/A;x=1", "403"}, {"/rest/api/issue/A%3fx", "403"}, {"/rest/api/issue/%25", "/rest/api/issue/%25"},
	} {
		for _, r := range []request{b.call("support", "issues", "GET", c.target), b.tell("issues", "GET", c.target)} {
			for _, one := range r.inBoth() {
				if o := b.check(t, one); !o.matches(c.want) {
					t.Errorf("%s: want %s\n%s", c.target, c.want, b.describe(o))
				}
			}
		}
	}
}

// A body that nothing announces is one all the same: chunks, and frames of HTTP/2 without a length.
func TestBodiesWhereNoneIsTaken(t *testing.T) {
	b := theBorder(t)
	for _, method := range []string{"GET", "DELETE", "PATCH", "HEAD"} {
		for _, r := range []request{b.call("support", "issues", method, "/rest/api/issue/A-1"), b.tell("issues", method, "/rest/api/issue/A-1")} {
			one, two := r, r
			one.lines, one.body = append(slices.Clone(r.lines), "Transfer-Encoding: chunked"), "1\r\nx\r\n0\r\n\r\n"
			two.h2, two.body = true, "x"
			for _, r := range []request{one, two} {
				if o := b.check(t, r); !o.matches("403") {
					t.Errorf("%s\n%s", method, b.describe(o))
				}
			}
			three := r
			three.h2, three.open = true, true
			b.check(t, three) // nothing at all comes: no body, or a refusal
		}
	}
}

// Whoever does not ask for the gateway, or shows no certificate of the callers', gets no HTTP.
func TestHandshakesAtTheGateway(t *testing.T) {
	b := theBorder(t)
	roots := x509.NewCertPool()
	roots.AddCert(b.authority.leaf)
	stranger, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := stranger.issue(stranger.caller(callers["support"]), b.path("other.key"))
	if err != nil {
		t.Fatal(err)
	}
	shown := []tls.Certificate{b.certificates["support"]}
	for name, c := range map[string]*tls.Config{
		"no name": {Certificates: shown}, "a product's name": {ServerName: b.cloud.GatewayName("issues"), Certificates: shown},
		"the ingress's name": {ServerName: hostOf("issues"), Certificates: shown},
		"no certificate":     {ServerName: b.cloud.GatewayHost()}, "another authority": {ServerName: b.cloud.GatewayHost(), Certificates: []tls.Certificate{other}},
	} {
		c.InsecureSkipVerify = true
		raw, err := net.Dial("tcp", string(b.cloud.Listeners.Gateway))
		if err != nil {
			t.Fatal(err)
		}
		client, err := handshake(raw, c, false, b.nextAddress(127, 18))
		if err != nil {
			continue
		}
		call := b.fill(b.call("support", "issues", "GET", "/a"), "GET", "https://"+b.cloud.GatewayName("issues")+"/a")
		if got, _ := client.send(call); got.status != 0 {
			t.Errorf("%s: %v", name, got)
		}
		client.close()
	}
	if decisions, arrivals := b.since(); len(decisions)+len(arrivals) > 0 {
		t.Errorf("the check was asked %d times, %d calls arrived", len(decisions), len(arrivals))
	}
}
