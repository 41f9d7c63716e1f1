package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// What only a call has: Envoy's name for it, and the certificate that came with its connection. No header counts as either.
func TestACallHasANameAndACertificate(t *testing.T) {
	in := question("GET", issuesHost, "/", "x-request-id", "2", "x-forwarded-client-cert", "Cert=forged")
	in.Attributes.Request.Http.Id, in.Attributes.Source.Certificate = "17", "-----BEGIN%20CERTIFICATE-----%0A"
	in.Attributes.Destination = peer("192.0.2.9")
	in.Attributes.Destination.Certificate = "ours"
	if got, err := parse(in); err != nil || got.ID != "17" || got.Certificate != "-----BEGIN%20CERTIFICATE-----%0A" {
		t.Errorf("%q, %q, %v", got.ID, got.Certificate, err)
	}
	in.Attributes.Request.Http.Id, in.Attributes.Source.Certificate = "", ""
	if got, err := parse(in); err != nil || got.ID != "" || got.Certificate != "" {
		t.Errorf("%q, %q, %v", got.ID, got.Certificate, err)
	}
}

// A body is there if a byte of it came, or if the header announces one. Which of the two Envoy saw first must not matter.
func TestWhetherThereIsABody(t *testing.T) {
	tests := []struct {
		name      string
		body, raw string
		lines     []string
		want      bool
	}{
		{"none", "", "", nil, false},
		{"a length of nothing", "", "", []string{"content-length", "0"}, false},
		{"a length of nothing, in more digits", "", "", []string{"content-length", "000"}, false},
		{"a byte", "{", "", nil, true},
		{"a byte that is no text", "", "\xff", nil, true},
		{"a NUL", "", "\x00", nil, true},
		{"a length", "", "", []string{"content-length", "1"}, true},
		{"a length in capitals", "", "", []string{"Content-Length", "10"}, true},
		{"a length that is none", "", "", []string{"content-length", ""}, true},
		{"a negative length", "", "", []string{"content-length", "-0"}, true},
		{"two lengths", "", "", []string{"content-length", "0", "content-length", "5"}, true},
		{"chunks", "", "", []string{"transfer-encoding", "chunked"}, true},
		{"a length of nothing and a byte", "x", "", []string{"content-length", "0"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := question("POST", issuesHost, "/", tt.lines...)
			in.Attributes.Request.Http.Body, in.Attributes.Request.Http.RawBody = tt.body, []byte(tt.raw)
			if got, err := parse(in); err != nil || got.Body != tt.want {
				t.Errorf("%v, %v", got.Body, err)
			}
		})
	}
}

// The record of a call names the service, whatever was decided, and even if the verdict had to be replaced.
func TestTheRecordNamesTheCaller(t *testing.T) {
	const support = "spiffe://commercial.example/support"
	for name, v := range map[string]Verdict{
		"a pass":     {Allow: true, Reason: Exposed, Caller: support},
		"a denial":   {Reason: NotExposed, Answer: Deny(403, NotExposed, false, "").Answer, Caller: support},
		"an unsound": {Allow: true, Reason: NotExposed, Caller: support},
		"an error":   {Caller: support, Cause: errors.New("why")},
	} {
		if got := encoded(t, v).GetDynamicMetadata().GetFields()["caller"].GetStringValue(); got != support {
			t.Errorf("%s: %q", name, got)
		}
	}
	if fields := encoded(t, Verdict{Allow: true, Reason: Session}).GetDynamicMetadata().GetFields(); fields["caller"] != nil {
		t.Error("a person's request has a caller")
	}
}

// Several profiles of a process count in one place, each under its name.
func TestProfilesShareTheirMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	first, second := Metrics(registry), Metrics(registry)
	first.WithLabelValues("ingress", "session").Observe(1)
	second.WithLabelValues("gateway", "exposed").Observe(1)
	all, err := registry.Gather()
	if err != nil || len(all) != 1 || len(all[0].GetMetric()) != 2 || !strings.HasPrefix(all[0].GetName(), "isogate_checks") {
		t.Errorf("%v, %v", all, err)
	}
}
