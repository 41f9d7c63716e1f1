package check

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// metadataNamespace is where a route says what it leads to.
const metadataNamespace = "isogate"

// methods are those that may reach a product. TRACE would show a page's script the cookies that it must not read, and CONNECT has no path.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

// errRawHeaders means that Envoy is set up wrongly; the client did nothing wrong.
var errRawHeaders = errors.New("check: Envoy must send raw headers (encode_raw_headers)")

// Parse reads Envoy's question. An error means that the request must be refused as malformed: absent parts, a path with two readings, a
// header that is not UTF-8 or holds a control character (RFC 9110 section 5.5).
func Parse(in *auth.CheckRequest) (Request, error) {
	attributes := in.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	if http == nil {
		return Request{}, errors.New("check: not an HTTP request")
	}
	if !methods[http.GetMethod()] {
		return Request{}, fmt.Errorf("check: the method %q is not served", http.GetMethod())
	}
	if len(http.GetPath()) > maxTarget {
		return Request{}, errPath
	}
	raw, query, _ := strings.Cut(http.GetPath(), "?")
	path, err := Path(raw)
	if err != nil {
		return Request{}, err
	}
	header, err := headerOf(http)
	if err != nil {
		return Request{}, err
	}
	host, err := hostOf(http.GetHost())
	if err != nil {
		return Request{}, err
	}
	return Request{
		Method: http.GetMethod(), Host: host, Path: path, Query: query, Header: header,
		SNI:     strings.ToLower(attributes.GetTlsSession().GetSni()),
		Address: addressOf(attributes.GetSource()),
		Route:   routeOf(attributes),
	}, nil
}

// headerOf takes the raw form, where repeated lines stand apart and bytes are what they were. The joined form, which an Envoy without
// encode_raw_headers sends, hides both and is refused.
func headerOf(http *auth.AttributeContext_HttpRequest) (Header, error) {
	if http.GetHeaderMap() == nil {
		return nil, errRawHeaders
	}
	header := make(Header, len(http.GetHeaderMap().GetHeaders()))
	for _, line := range http.GetHeaderMap().GetHeaders() {
		value := line.GetValue()
		if raw := line.GetRawValue(); raw != nil {
			value = string(raw)
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, isControl) {
			return nil, fmt.Errorf("check: the header %q is not UTF-8 or holds a control character", line.GetKey())
		}
		name := strings.ToLower(line.GetKey())
		header[name] = append(header[name], value)
	}
	return header, nil
}

// isControl finds what no header value may hold (RFC 9110 section 5.5); Envoy would take such a cookie from a client and refuse it from us.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// hostOf is the host in lower case. Envoy has taken the port off, and its routes match to the letter, so a port or a trailing dot that is left
// makes another host here too. Only names are served, so only their characters pass: nothing that one reader folds, decodes or cuts and
// another does not.
func hostOf(authority string) (string, error) {
	if authority == "" || strings.ContainsFunc(authority, notInHost) {
		return "", errHost
	}
	return strings.ToLower(authority), nil
}

var errHost = errors.New("check: no usable host")

func notDigit(r rune) bool { return r < '0' || r > '9' }

func notInHost(r rune) bool {
	return notDigit(r) && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '.'
}

func addressOf(source *auth.AttributeContext_Peer) netip.Addr {
	address, err := netip.ParseAddr(source.GetAddress().GetSocketAddress().GetAddress())
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap()
}

func routeOf(attributes *auth.AttributeContext) Route {
	fields := attributes.GetRouteMetadataContext().GetFilterMetadata()[metadataNamespace].GetFields()
	return Route{Product: fields["product"].GetStringValue(), Door: fields["door"].GetStringValue()}
}
