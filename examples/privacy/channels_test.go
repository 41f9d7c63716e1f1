package privacy

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// channel is one place where the commercial side has bytes.
type channel struct {
	name   string
	pieces [][]byte
	holds  string // what must be in it, else it is not what its name says
	// passing means that the bytes were on their way between a person and a service, or are sealed for that way: what somebody types to a service is
	// in them as it must be. So strays are not looked for in these, but all names of people are.
	passing bool
	// allowed is the one stray that is in it as it must be, "" for none: the code that an answer brings is for the cloud to redeem, and the server name
	// that a client asks for is for the ingress to refuse.
	allowed string
}

// size is how many bytes it has.
func (c channel) size() (n int) {
	for _, p := range c.pieces {
		n += len(p)
	}
	return n
}

// signinForm is the one request that may bring an address: from the browser to the identity host's door.
const signinForm = "POST /.isogate/signin"

// channels are all of them. The address in the body of signinForm is cut out of the two that carry that body, and given as forms, by channel.
func (s *stage) channels(t *testing.T) (all []channel, forms map[string][][]byte) {
	forms = map[string][][]byte{}
	cut := func(name string, streams [][]byte) (rest [][]byte) {
		for _, stream := range streams {
			kept, bodies := WithoutBodies(signinForm, stream)
			rest, forms[name] = append(rest, kept), append(forms[name], bodies...)
		}
		return rest
	}
	all = append(all,
		channel{"edge to commercial Envoy, on the wire", s.commercial.Wire.Streams(), "support.commercial.localhost", false, ""},
		channel{"requests at the commercial listener", cut("listener", s.commercial.There.Streams()), signinForm, true, ""},
		channel{"answers of the commercial listener", s.commercial.Back.Streams(), "Choose how to sign in", true, ""},
		channel{"edge to ingress, on the wire", s.ingress.There.Streams(), "issues.acme.localhost", false, "stray in server-name"},
		channel{"ingress to edge, on the wire", s.ingress.Back.Streams(), "\x16\x03\x03", false, ""},
		channel{"sidecars to gateway, on the wire", s.gateway.There.Streams(), "gateway.acme.localhost", false, ""},
		channel{"gateway to sidecars, on the wire", s.gateway.Back.Streams(), "\x16\x03\x03", false, ""},
		channel{"to the isolated cloud", s.cloud.There.Streams(), "POST /oauth2/token", false, "stray in code"},
		channel{"from the isolated cloud", s.cloud.Back.Streams(), "id_token", false, ""},
	)
	for id, relay := range s.services {
		if id != "tenant" {
			all = append(all, channel{"to " + id, relay.There.Streams(), "x-isolated-cloud-user", true, ""}, channel{"from " + id, relay.Back.Streams(), "HTTP/1.1 200", true, ""})
		}
	}
	for name, relays := range s.sockets {
		var there, back [][]byte
		for _, r := range relays {
			there, back = append(there, r.There.Streams()...), append(back, r.Back.Streams()...)
		}
		switch passing := !strings.HasPrefix(name, "xds-"); name {
		case "door.sock":
			all = append(all, channel{"to door.sock", cut("door", there), signinForm, passing, ""}, channel{"from door.sock", back, "Choose how to sign in", passing, ""})
		default:
			says := ".commercial.localhost"
			switch {
			case strings.HasPrefix(name, "check-egress-"):
				says = "application/problem+json"
			case strings.HasPrefix(name, "xds-egress-"):
				says = "gateway.acme.localhost"
			}
			all = append(all, channel{"to " + name, there, "envoy", passing, ""}, channel{"from " + name, back, says, passing, ""})
		}
	}
	all = append(all, s.opened(t, all)...)
	all = append(all, s.held(t)...)
	return append(all, s.processes(t)...), forms
}

// opened are the contents of all sealed values that were seen anywhere.
func (s *stage) opened(t *testing.T, seen []channel) (all []channel) {
	var in [][]byte
	for _, c := range seen {
		in = append(in, c.pieces...)
	}
	for purpose, contents := range s.opener(t).openAll(in) {
		holds := map[string]string{"flow": `"h":"support.commercial.localhost"`, "outside state": `"v":`, "outside ticket": `"s":`, "federated": s.ID, "carried": s.ID}[purpose]
		all = append(all, channel{"sealed: " + purpose, contents, holds, true, ""})
	}
	if len(all) != 5 {
		t.Errorf("of the five kinds of sealed values %d were seen", len(all))
	}
	return all
}

// held is what world.Kept found, and the names of files.
func (s *stage) held(t *testing.T) (all []channel) {
	s.keep(t)
	merged := map[string]channel{}
	for _, kept := range s.kept {
		for place, what := range kept {
			c := merged[place]
			c.name, c.holds, c.pieces = place, expected(place), append(c.pieces, what)
			c.passing = strings.HasPrefix(place, "received by ") && place != "received by login"
			merged[place] = c
		}
	}
	delete(merged, "received by tenant") // which must be empty
	all = slices.Collect(maps.Values(merged))
	names, err := s.Platform.Files()
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := filepath.Glob(filepath.Join(s.file.Platform.Sockets, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(all, channel{"names of files", [][]byte{[]byte(strings.Join(append(names, sockets...), "\n"))}, "door.sock", false, ""})
}

// expected is what a place of the commercial side must hold.
func expected(place string) string {
	for _, one := range []struct{ suffix, holds string }{ // the first one that fits
		{"envoy-edge.log", `"cluster":"commercial"`},
		{"envoy-commercial.log", `"reason":"unauthenticated"`},
		{"envoy-egress-support.log", `"reason":"sent"`},
		{"envoy-egress-market.log", `"reason":"token"`},
		{"extauthz-commercial.log", "an isolated cloud does not say"},
		{".log", "msg"},
		{"extauthz-commercial/metrics", `result="ok"`},
		{"extauthz-egress-support/metrics", `{profile="egress",reason="sent"}`},
		{"/metrics", "isogate_"},
		{"/status", "{"},
		{"envoy-egress-support/config_dump?include_eds", "gateway.acme.localhost"},
		{"envoy-egress-market/config_dump?include_eds", "gateway.acme.localhost"},
		{"/config_dump?include_eds", "support.commercial.localhost"},
		{"envoy-edge/stats", "cluster.commercial"},
		{"envoy-commercial/stats", "http.commercial"},
		{"/stats", "http.egress"},
		{"/clusters", "::"},
		{"/listeners", "::"},
		{"/certs", "{"},
		{"commercial.yaml", "identity_host"},
		{"received by support", "x-isolated-cloud-user"},
		{"received by market", "x-isolated-cloud-user"},
		{"received by status", "x-isolated-cloud-user"},
		{"received by login", "GET / HTTP/1.1"},
	} {
		if strings.HasSuffix(place, one.suffix) {
			return one.holds
		}
	}
	return "" // a key or a certificate
}

// processes are the environments and the command lines of all processes of the commercial side, where the system shows them.
func (s *stage) processes(t *testing.T) (all []channel) {
	if runtime.GOOS != "linux" {
		return nil
	}
	for _, part := range s.outside() {
		for file, holds := range map[string]string{"environ": "PATH=", "cmdline": s.dir} {
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.Parts[part].Pid(), file))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, channel{part + "'s " + file, [][]byte{raw}, holds, false, ""})
		}
	}
	return all
}

// contains tells whether a text is in any of the pieces.
func (c channel) contains(text string) bool {
	return slices.ContainsFunc(c.pieces, func(piece []byte) bool { return bytes.Contains(piece, []byte(text)) })
}
