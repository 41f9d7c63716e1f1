package differential

import "strings"

// methodNames are what a method byte chooses from, the plain ones more than once.
var methodNames = []string{
	"GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "QUERY", "get", "TRACK", "PRI", "GE\x00T", "",
}

// hostForms are what a host byte chooses from: the hosts that a request names, given that of the TLS handshake and another of ours. The first
// form is chosen more often.
var hostForms = []func(own, other string) []string{
	func(own, _ string) []string { return []string{own} },
	func(own, _ string) []string { return []string{own + ":443"} },
	func(own, _ string) []string { return []string{strings.ToUpper(own)} },
	func(own, _ string) []string { return []string{own + "."} },
	func(own, _ string) []string { return []string{own + ".:443"} },
	func(own, _ string) []string { return []string{own + ":443:443"} },
	func(_, other string) []string { return []string{other} },
	func(own, other string) []string { return []string{own, other} },
	func(own, other string) []string { return []string{other, own} },
	func(own, other string) []string { return []string{own + "," + other} },
	func(own, other string) []string { return []string{other + "@" + own} },
	func(string, string) []string { return []string{"evil.example"} },
	func(string, string) []string { return []string{"localhost"} },
	func(string, string) []string { return []string{""} },
	func(string, string) []string { return nil },
}

// whose are the ways in which a request says who sends it.
var whose = []func(cookie, other string) []string{
	func(cookie, _ string) []string { return []string{"Cookie: " + cookie} },
	func(string, string) []string { return nil },
	func(cookie, _ string) []string {
		return []string{"Cookie: a=1; " + cookie + "; __Host-isogate_flow_1=x", "Cookie: b=2"}
	},
	func(string, string) []string {
		return []string{"Cookie: __Host-isogate_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
	},
	func(_, other string) []string { return []string{"Cookie: " + other} },
	func(cookie, other string) []string { return []string{"Cookie: " + cookie + "; " + other} },
	func(cookie, other string) []string { return []string{"Cookie: " + cookie, "Cookie: " + other} },
	func(cookie, _ string) []string {
		return []string{"Cookie: " + strings.ToLower(cookie[:14]) + cookie[14:]}
	},
}

// placeholder in header lines stands for the living session's cookie, which no corpus can hold.
const placeholder = "{session}"

// build makes a request of bytes that a fuzzer can change one at a time. The lines are separated by line feeds. Of shape, bit 0 is the protocol,
// bits 1 to 3 say who sends it, and bit 4 leaves out where a page's requests come from.
func (w *world) build(target, lines, body string, method, host, shape byte) request {
	names := append([]string{"auth"}, products...)
	own, other := hostOf(names[1+int(host>>6)%2]), hostOf(names[1+int(host>>6+1)%2])
	if host>>6 == 3 {
		own = w.cloud.AuthHost()
	}
	r := request{h2: shape&1 == 1, sni: own, method: methodNames[int(method)%len(methodNames)], target: target, body: body}
	form := max(int(host&31)-16, 0) % len(hostForms)
	r.hosts = hostForms[form](own, other)
	r.lines = whose[shape>>1&7](w.cookie(own), w.cookie(other))
	if shape>>4&1 == 0 {
		r.lines = append(r.lines, "Origin: https://"+own, "Sec-Fetch-Site: same-origin")
	}
	if lines != "" {
		r.lines = append(r.lines, strings.Split(strings.ReplaceAll(lines, placeholder, w.cookie(own)), "\n")...)
	}
	return r
}
