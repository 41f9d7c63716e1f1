package profile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

const support = "spiffe://commercial.example/support"

// Kinds of GeneralName (RFC 5280 section 4.2.1.6).
const (
	sanEmail = 1
	sanDNS   = 2
	sanURI   = 6
)

type san struct {
	kind int
	name string
}

// certify makes a certificate with these names, one extension for each list, as Envoy shows it.
func certify(t testing.TB, change func(*x509.Certificate), lists ...[]san) string {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour)}
	for _, names := range lists {
		var values []asn1.RawValue
		for _, n := range names {
			values = append(values, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: n.kind, Bytes: []byte(n.name)})
		}
		raw := must(asn1.Marshal(values))(t)
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: raw})
	}
	if change != nil {
		change(template)
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return shown(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// shown is a PEM text as Envoy gives it to a check.
func shown(text string) string {
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(text)
}

func uri(name string) []san { return []san{{sanURI, name}} }

// CVE-2026-47778: one URI of the trust domain, to the byte, names a caller; nothing else in a certificate does.
func TestWhoACertificateNames(t *testing.T) {
	plain, other := certify(t, nil, uri(support)), certify(t, nil, uri("spiffe://commercial.example/market"))
	decoded := must(url.PathUnescape(plain))(t)
	subject := func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: support} }
	tests := []struct{ name, in, want string }{
		{"a service", plain, support},
		{"beside a DNS name", certify(t, nil, []san{{sanDNS, "support.commercial.example"}, {sanURI, support}}), support},
		{"a subject says otherwise", certify(t, func(c *x509.Certificate) { c.Subject.CommonName = "spiffe://commercial.example/market" }, uri(support)), support},
		{"as it stands in a file", decoded, support},
		{"two paths", certify(t, nil, uri("spiffe://commercial.example/a/b")), "spiffe://commercial.example/a/b"},
		{"none", "", ""},
		{"no names", certify(t, nil), ""},
		{"a subject alone", certify(t, subject), ""},
		{"a DNS name alone", certify(t, nil, []san{{sanDNS, support}}), ""},
		{"an address alone", certify(t, nil, []san{{sanEmail, support}}), ""},
		{"two URIs", certify(t, nil, []san{{sanURI, support}, {sanURI, "spiffe://commercial.example/market"}}), ""},
		{"the same URI twice", certify(t, nil, []san{{sanURI, support}, {sanURI, support}}), ""},
		{"a web address beside it", certify(t, nil, []san{{sanURI, "https://x"}, {sanURI, support}}), ""},
		{"two lists of names", certify(t, nil, uri(support), uri("spiffe://commercial.example/market")), ""},
		{"another trust domain", certify(t, nil, uri("spiffe://evil.example/support")), ""},
		{"a trust domain that begins alike", certify(t, nil, uri("spiffe://commercial.example.evil/support")), ""},
		{"a trust domain below", certify(t, nil, uri("spiffe://x.commercial.example/support")), ""},
		{"another case", certify(t, nil, uri("spiffe://Commercial.example/support")), ""},
		{"another case of the scheme", certify(t, nil, uri("SPIFFE://commercial.example/support")), ""},
		{"a trailing dot", certify(t, nil, uri("spiffe://commercial.example./support")), ""},
		{"a trailing slash", certify(t, nil, uri(support+"/")), ""},
		{"an authority alone", certify(t, nil, uri("spiffe://commercial.example")), ""},
		{"a NUL", certify(t, nil, uri(support+"\x00.evil")), ""},
		{"a comma", certify(t, nil, uri(support+",URI=spiffe://x/y")), ""},
		{"an escape", certify(t, nil, uri("spiffe://commercial.example/%73upport")), ""},
		{"a query", certify(t, nil, uri(support+"?x")), ""},
		{"dot segments", certify(t, nil, uri("spiffe://commercial.example/market/../support")), ""},
		{"an authority's certificate", certify(t, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, uri(support)), ""},
		{"one that has expired", certify(t, func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Second) }, uri(support)), ""},
		{"one of tomorrow", certify(t, func(c *x509.Certificate) { c.NotBefore = start.Add(time.Second) }, uri(support)), ""},
		{"two certificates", plain + other, ""},
		{"text behind it", plain + "x", ""},
		{"a broken escape", plain + "%zz", ""},
		{"another kind of block", strings.ReplaceAll(plain, "CERTIFICATE", "PUBLIC%20KEY"), ""},
		{"cut off", plain[:len(plain)/2], ""},
		{"no certificate inside", shown("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ""},
		{"its name alone", support, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := newCallers("commercial.example")
			for range 2 { // the second time it may be remembered
				if got, err := all.name(tt.in, start); got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, errCaller) {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
}

// A connection may outlive its certificate: what is remembered of that ends with it.
func TestACertificateIsGoodForItsTimeAlone(t *testing.T) {
	all, in := newCallers("commercial.example"), certify(t, nil, uri(support))
	for after, want := range map[time.Duration]string{-time.Hour: support, 0: support, time.Hour: support, time.Hour + time.Second: "", -time.Hour - time.Second: ""} {
		if got, _ := all.name(in, start.Add(after)); got != want {
			t.Errorf("after %s: %q", after, got)
		}
	}
}

// Whatever certificates come, what is remembered has a bound, and each is still read right.
func TestFewCertificatesAreRemembered(t *testing.T) {
	all, first := newCallers("commercial.example"), certify(t, nil, uri(support))
	for i := range 5 * maxCallers {
		all.keep(fmt.Sprint(i), caller{id: "spiffe://commercial.example/x"})
		if i%100 == 0 {
			if got, err := all.name(first, start); got != support {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	if n := len(all.recent) + len(all.older); n > 2*maxCallers {
		t.Errorf("%d are remembered", n)
	}
	if _, ok := all.find("0"); ok {
		t.Error("the first one is still remembered")
	}
}
