package topology

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// A certificate as Go parses it holds no such names; PeerID itself looks at bytes and order all the same.
func TestPeerID(t *testing.T) {
	const id = "spiffe://commercial.example/support"
	uri := func(text string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: uriTag, Bytes: []byte(text)}
	}
	dns := func(text string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(text)}
	}
	for _, test := range []struct {
		name  string
		names []asn1.RawValue
		after []byte
		ca    bool
		want  string
	}{
		{"one URI", []asn1.RawValue{uri(id)}, nil, false, id},
		{"one URI beside a name", []asn1.RawValue{dns("support.example"), uri(id)}, nil, false, id},
		{"NUL is a byte", []asn1.RawValue{uri(id + "\x00")}, nil, false, id + "\x00"},
		{"no name", nil, nil, false, ""},
		{"a name that reads like one (CVE-2026-47778)", []asn1.RawValue{dns(id)}, nil, false, ""},
		{"two URIs", []asn1.RawValue{uri(id), uri(id + "2")}, nil, false, ""},
		{"the same URI twice", []asn1.RawValue{uri(id), uri(id)}, nil, false, ""},
		{"something after the names", []asn1.RawValue{uri(id)}, []byte{0}, false, ""},
		{"an authority", []asn1.RawValue{uri(id)}, nil, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			value, err := asn1.Marshal(test.names)
			if err != nil {
				t.Fatal(err)
			}
			extension := pkix.Extension{Id: sanExtension, Value: append(value, test.after...)}
			got, err := PeerID(&x509.Certificate{IsCA: test.ca, Extensions: []pkix.Extension{extension}})
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
