package check

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// methods are those that may reach a product. TRACE would show a page's script the cookies that it must not read, and CONNECT has no path.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

// errRawHeaders means that Envoy hides repeated lines and replaces bytes.
var errRawHeaders = fmt.Errorf("%w: it must send raw headers (encode_raw_headers)", errEnvoy)

// Parse reads Envoy's question, a CheckRequest as it travels. An error means that the request must be refused as malformed: absent parts, a
// path with two readings, a header that is not UTF-8 or holds a control character (RFC 9110 section 5.5); or, if it is an errEnvoy, that
// Envoy's part in it is wrong. The strings of a Request are pieces of the question.
func Parse(question string) (Request, error) {
	read, err := decode(message(question))
	if err != nil {
		return Request{}, err
	}
	return read.request()
}

// request judges what was read.
func (a *attributes) request() (Request, error) {
	if !a.isHTTP {
		return Request{}, errors.New("check: not an HTTP request")
	}
	if !methods[a.method] {
		return Request{}, fmt.Errorf("check: the method %q is not served", a.method)
	}
	if len(a.target) > maxTarget {
		return Request{}, errPath
	}
	raw, query, _ := strings.Cut(a.target, "?")
	path, err := Path(raw)
	if err != nil {
		return Request{}, err
	}
	header, err := a.header()
	if err != nil {
		return Request{}, err
	}
	host, err := hostOf(a.host)
	if err != nil {
		return Request{}, err
	}
	return Request{
		Method: a.method, Host: host, Path: path, Query: query, Header: header,
		SNI: strings.ToLower(a.sni), Address: addressOf(a.address), Route: a.route,
		ID: a.id, Certificate: a.certificate, Body: a.hasBody || announcesBody(header),
	}, nil
}

// announcesBody tells whether a header frames a body that is not plainly empty (RFC 9112 section 6.3).
func announcesBody(h Header) bool {
	for _, length := range h["content-length"] {
		if strings.Trim(length, "0") != "" || length == "" {
			return true
		}
	}
	return len(h["transfer-encoding"]) > 0
}

// header takes the raw form, where repeated lines stand apart and bytes are what they were. The joined form, which an Envoy without
// encode_raw_headers sends, hides both and is refused.
func (a *attributes) header() (Header, error) {
	if !a.isRaw {
		return nil, errRawHeaders
	}
	header := make(Header, len(a.lines))
	values := make([]string, len(a.lines)) // one allocation for all values that stand alone
	for i, l := range a.lines {
		if !isValue(l.value) {
			return nil, fmt.Errorf("check: the header %q is not UTF-8 or holds a control character", l.name)
		}
		name := strings.ToLower(l.name)
		if before, repeated := header[name]; repeated {
			header[name] = append(before, l.value)
			continue
		}
		values[i] = l.value
		header[name] = values[i : i+1 : i+1]
	}
	return header, nil
}

// isValue accepts what a header value may hold (RFC 9110 section 5.5), as UTF-8; Envoy would take a cookie with a control character from a
// client and refuse it from us. In UTF-8 a byte of a control character is never part of another character.
func isValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(value)
}

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

func notInHost(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '.'
}

func addressOf(text string) netip.Addr {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap()
}
