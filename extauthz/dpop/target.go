package dpop

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// defaultPorts are those of the schemes that a request can have.
var defaultPorts = map[string]uint64{"https": 443, "http": 80}

// sameTarget compares an htu with a request's URL.
func sameTarget(htu, url string) error {
	claimed, err := normalise(htu)
	if err != nil {
		return fmt.Errorf("htu: %w", err)
	}
	requested, err := normalise(url)
	if err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	if claimed != requested {
		return errors.New("htu is another target")
	}
	return nil
}

// normalise gives equal texts for equivalent URLs, by syntax and scheme (RFC 3986, 6.2.2 and 6.2.3, which RFC 9449, 4.3
// asks for), without query and fragment, which do not count (4.3, 9). It takes absolute http and https URLs without user
// information.
func normalise(url string) (string, error) {
	for i := range len(url) {
		if c := url[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return "", errors.New("a character that no URL has")
		}
	}
	scheme, rest, _ := strings.Cut(withoutQuery(url), "://")
	scheme = strings.ToLower(scheme)
	if _, known := defaultPorts[scheme]; !known {
		return "", errors.New("not an absolute http or https URL")
	}
	path := "/" // an empty path is this one
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		rest, path = rest[:slash], rest[slash:]
	}
	authority, err := normaliseAuthority(rest, defaultPorts[scheme])
	if err != nil {
		return "", err
	}
	path, err = normaliseEscapes(path)
	if err != nil {
		return "", err
	}
	return scheme + "://" + authority + withoutDots(path), nil
}

func normaliseAuthority(authority string, defaultPort uint64) (string, error) {
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		host, port = authority[:colon], authority[colon+1:]
	}
	host = strings.ToLower(host)
	if !isHost(host) {
		return "", errors.New("not a host")
	}
	if port == "" {
		return host, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", errors.New("not a port")
	}
	if number == defaultPort {
		return host, nil
	}
	return host + ":" + strconv.FormatUint(number, 10), nil
}

// isHost wants a name as certificates have it, or an address. So there is no user information, and no escape to undo.
func isHost(host string) bool {
	if literal, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(literal, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(literal, "]")
	}
	return host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") == ""
}

// normaliseEscapes undoes what need not be escaped and writes the rest in capitals (RFC 3986, 6.2.2.1 and 6.2.2.2). It is
// done once: %25 stays what it is.
func normaliseEscapes(path string) (string, error) {
	if strings.IndexByte(path, '%') < 0 {
		return path, nil
	}
	var b strings.Builder
	for ; path != ""; path = path[1:] {
		if path[0] != '%' {
			b.WriteByte(path[0])
			continue
		}
		if len(path) < 3 {
			return "", errors.New("a broken escape")
		}
		c, err := strconv.ParseUint(path[1:3], 16, 8)
		if err != nil {
			return "", errors.New("a broken escape")
		}
		if isUnreserved(byte(c)) {
			b.WriteByte(byte(c))
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
		path = path[2:]
	}
	return b.String(), nil
}

// isUnreserved: RFC 3986, 2.3.
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// withoutDots is remove_dot_segments for a path that begins with a slash (RFC 3986, 5.2.4). Doubled slashes stay.
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		dots := segment == "." || segment == ".."
		if segment == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if !dots {
			kept = append(kept, segment)
		} else if i == len(segments)-1 { // a/b/.. is the directory a/
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}
