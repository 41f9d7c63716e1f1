package topology

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
)

var (
	sanExtension = asn1.ObjectIdentifier{2, 5, 29, 17} // RFC 5280 section 4.2.1.6
	errIdentity  = errors.New("the certificate must have exactly one URI among its subject alternative names")
)

const uriTag = 6 // uniformResourceIdentifier of GeneralName, RFC 5280 section 4.2.1.6

// PeerID is the one URI SAN of a verified leaf, byte for byte. The parsed form of a URI would not do: its scheme is lower-cased, so two names
// that differ would be one. A DNS name or a subject that reads like a SPIFFE id is none, and of two URIs an attacker could choose which one counts
// (X509-SVID section 2: exactly one). Nor is a certificate that may sign others (X509-SVID section 4.1).
func PeerID(leaf *x509.Certificate) (string, error) {
	if leaf.IsCA {
		return "", errors.New("the certificate is an authority's")
	}
	var uris []string
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(sanExtension) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &names); err != nil || len(rest) > 0 {
			return "", fmt.Errorf("the subject alternative names do not parse: %w", errors.Join(err, errIdentity))
		}
		for _, name := range names {
			if name.Class == asn1.ClassContextSpecific && name.Tag == uriTag {
				uris = append(uris, string(name.Bytes))
			}
		}
	}
	if len(uris) != 1 {
		return "", errIdentity
	}
	return uris[0], nil
}
