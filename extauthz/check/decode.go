package check

import "errors"

// metadataNamespace is where a route says what it leads to.
const metadataNamespace = "isogate"

// maxLines bounds the lines of a header. Envoy's own bound is lower.
const maxLines = 1000

var errLines = errors.New("check: too many header lines")

// attributes is what we read of a CheckRequest, each part as it came and not judged yet.
type attributes struct {
	isHTTP               bool
	method, target, host string
	isRaw                bool // the header came line by line
	lines                []line
	sni, address         string
	certificate, id      string
	hasBody              bool // a byte of it came
	route                Route
}

type line struct{ name, value string }

// Numbers of the fields that are read
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/attribute_context.proto).
const (
	requestAttributes = 1 // of CheckRequest

	attributesSource     = 1
	attributesRequest    = 4
	attributesTLSSession = 12
	attributesRoute      = 13 // route_metadata_context

	peerAddress          = 1 // of Peer
	peerCertificate      = 5
	addressSocket        = 1 // of Address, a oneof
	socketAddressAddress = 2
	requestHTTP          = 2 // of Request
	sessionSNI           = 1 // of TLSSession

	httpID        = 1
	httpMethod    = 2
	httpPath      = 4
	httpHost      = 5
	httpBody      = 11
	httpRawBody   = 12
	httpHeaderMap = 13

	headerMapHeaders = 1
	headerKey        = 1 // of HeaderValue
	headerValue      = 2
	headerRawValue   = 3

	valueString = 3 // of google.protobuf.Value, a oneof
)

// decode reads a CheckRequest.
func decode(m message) (a attributes, err error) {
	err = m.read(set(requestAttributes), 0, func(_ uint64, v message) error {
		return v.read(set(attributesSource, attributesRequest, attributesTLSSession, attributesRoute), 0, a.take)
	})
	return a, err
}

func (a *attributes) take(number uint64, v message) error {
	switch number {
	case attributesSource:
		return v.read(set(peerAddress, peerCertificate), 0, a.source)
	case attributesRequest:
		return v.read(set(requestHTTP), 0, a.http)
	case attributesTLSSession:
		return v.read(set(sessionSNI), 0, func(_ uint64, v message) (err error) {
			a.sni, err = v.text()
			return err
		})
	default:
		return v.entries([]string{metadataNamespace}, a.leads)
	}
}

// source reads the client's certificate, and its address, which is none if it is no socket's.
func (a *attributes) source(number uint64, v message) (err error) {
	if number == peerCertificate {
		a.certificate, err = v.text()
		return err
	}
	f, err := v.sole()
	if err != nil || f.number != addressSocket {
		return err
	}
	return f.value.read(set(socketAddressAddress), 0, func(_ uint64, v message) (err error) {
		a.address, err = v.text()
		return err
	})
}

func (a *attributes) http(_ uint64, v message) error {
	a.isHTTP = true
	return v.read(set(httpID, httpMethod, httpPath, httpHost, httpBody, httpRawBody, httpHeaderMap), 0, func(number uint64, v message) (err error) {
		switch number {
		case httpID:
			a.id, err = v.text()
		case httpMethod:
			a.method, err = v.text()
		case httpPath:
			a.target, err = v.text()
		case httpHost:
			a.host, err = v.text()
		case httpBody, httpRawBody: // what stands in it is the product's affair
			a.hasBody = a.hasBody || v != ""
		default:
			a.isRaw, a.lines = true, make([]line, 0, 32)
			err = v.read(0, set(headerMapHeaders), a.line)
		}
		return err
	})
}

// line reads one line of the header. Envoy writes its value in one of two fields, never both.
func (a *attributes) line(_ uint64, v message) error {
	if len(a.lines) == maxLines {
		return errLines
	}
	var l line
	hasValue := false
	err := v.read(set(headerKey, headerValue, headerRawValue), 0, func(number uint64, v message) (err error) {
		if number == headerKey {
			l.name, err = v.text()
			return err
		}
		if hasValue {
			return errTwice
		}
		l.value, hasValue = string(v), true
		return nil
	})
	a.lines = append(a.lines, l)
	return err
}

// leads reads our namespace of the metadata of the route that Envoy chose. What is no text there counts as absent.
func (a *attributes) leads(_ string, v message) error {
	return v.entries([]string{"product", "door", "oauth", "endpoint"}, func(key string, v message) error {
		f, err := v.sole()
		if err != nil || f.number != valueString {
			return err
		}
		text, err := f.value.text()
		switch key {
		case "product":
			a.route.Product = text
		case "door":
			a.route.Door = text
		case "oauth":
			a.route.OAuth = text
		default:
			a.route.Endpoint = text
		}
		return err
	})
}
