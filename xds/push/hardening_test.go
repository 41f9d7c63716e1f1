package push

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"isogate/envoy/topology"
)

// forgery is a text that would be a log line of its own, in colour, if somebody wrote it as it is.
const forgery = "n\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\x1b[31m"

// CVE-2024-45808: what a client says of itself, and why it refuses, stays one escaped value of one line.
func TestAClientCannotForgeLogLines(t *testing.T) {
	r := edge(t, "one")
	f := serve(t, &r)
	c := f.connect(t, forgery)
	response, _, _ := c.receive()
	c.refuse(response, forgery)
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(f.log.String(), "refused resources") })
	wantWholeLines(t, f.log.String())
}

// The same holds of a certificate's name; a line break in it is no name of anybody (CVE-2026-47778).
func TestACertificateCannotForgeLogLines(t *testing.T) {
	f := newFar(t)
	f.remote.Allow(f.access(f.ca.pool, map[string]topology.Role{edgeID: topology.Edge}))
	for name, id := range map[string]string{
		"a line": "spiffe://acme.example/envoy/edge%0d%0a%1b[31m", "a name with a line": "spiffe://acme.example/" + `","msg":"forged`,
	} {
		f.expect(t, name, f.as(t, f.ca.certificate(t, nil, uri(id))), codes.PermissionDenied)
	}
	if !strings.Contains(f.log.String(), "remote client denied") {
		t.Errorf("nothing is logged: this test proves nothing: %s", f.log)
	}
	wantWholeLines(t, f.log.String())
}

// wantWholeLines demands that each line of a log is one object that nobody forged.
func wantWholeLines(t *testing.T, log string) {
	t.Helper()
	if strings.ContainsAny(log, "\r\x1b") {
		t.Errorf("the log holds control characters: %q", log)
	}
	for line := range strings.Lines(log) {
		var record struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg == "forged" {
			t.Errorf("no line of ours: %q %v", line, err)
		}
	}
}

// What is proven elsewhere or does not apply yet: that stream, delta and fetch are all refused without a certificate is TestRemoteHandshake's
// matter, and that a role gets its own resources alone TestRemoteRole's and, on a real Envoy, the xds command's TestRemoteStrangers. The
// names in certificates of callers at a gateway are no matter of this package, and there is no gateway yet.
