package privacy

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const planted = "Robin.O'Quill+x@acme.example"

// The encoders here are not those of the finder: each is what somebody else's code would do.
func TestFinderFinds(t *testing.T) {
	f, err := NewFinder([]Canary{{"address of robin", planted}, {"other", "quite another"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range encodings(t, planted) {
		for _, around := range []string{"", "x", `{"a":"`, "\x00\xff", strings.Repeat("filler ", 1000)} {
			hits := f.Find([]byte(around + text + around))
			if !slices.ContainsFunc(hits, func(h Hit) bool { return h.Canary == "address of robin" }) {
				t.Errorf("%s: not found in %.60q", name, around+text)
			}
			if slices.ContainsFunc(hits, func(h Hit) bool { return h.Canary == "other" }) {
				t.Errorf("%s: the other one was found", name)
			}
		}
	}
}

func TestFinderFindsNothing(t *testing.T) {
	f, err := NewFinder([]Canary{{"address", planted}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "abc", planted[:len(planted)-1], planted[1:], "x@acme.example", strings.Repeat("\x1f\x8b\x08", 100), strings.Repeat("\x78\x9c", 100),
		"%", "%4", "%zz", `\`, `\u`, `\u00`, `\x`, "&", "&;", "&#;", "&nonsense;",
	} {
		if hits := f.Find([]byte(text)); len(hits) != 0 {
			t.Errorf("%.40q: %v", text, hits)
		}
	}
	if _, err := NewFinder([]Canary{{"short", "seven77"}}); err == nil {
		t.Error("a canary that chance could find was taken")
	}
}

func packed(t *testing.T, text string, writer func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var out bytes.Buffer
	w := writer(&out)
	if _, err := io.WriteString(w, strings.Repeat("what stands before ", 20)+text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWithoutBodies(t *testing.T) {
	const post = "POST /f HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
	for _, c := range []struct{ name, in, want, bodies string }{
		{"one", post + "12345", post, "12345"},
		{"between others", "GET / HTTP/1.1\r\n\r\n" + post + "12345GET /2 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n" + post + "GET /2 HTTP/1.1\r\n\r\n", "12345"},
		{"two", post + "12345" + post + "67890", post + post, "12345,67890"},
		{"cut short", post + "12", post, "12"},
		{"another path", "POST /g HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", "POST /g HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", ""},
		{"no length", "POST /f HTTP/1.1\r\n\r\n12345", "POST /f HTTP/1.1\r\n\r\n12345", ""},
		{"a query", "POST /f?x HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", "POST /f?x HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", ""},
		{"head without an end", "POST /f HTTP/1.1\r\nContent-Length: 5\r\n", "POST /f HTTP/1.1\r\nContent-Length: 5\r\n", ""},
	} {
		rest, bodies := WithoutBodies("POST /f", []byte(c.in))
		if got := string(bytes.Join(nonEmpty(bodies), []byte(","))); string(rest) != c.want || got != c.bodies {
			t.Errorf("%s: %q and %q", c.name, rest, got)
		}
	}
}

func nonEmpty(all [][]byte) [][]byte {
	return slices.DeleteFunc(all, func(one []byte) bool { return len(one) == 0 })
}

// encodings are a text in every writing that the search must undo, by name. They are not made by the finder's own code, but as others would.
func encodings(t *testing.T, text string) map[string]string {
	m := sums(text)
	cases := map[string]string{
		"raw": text, "lower": strings.ToLower(text), "upper": strings.ToUpper(text), "query": url.QueryEscape(text), "path": url.PathEscape(text),
		"form":              url.Values{"email": {text}}.Encode(),
		"HTML as written":   html.EscapeString(text),
		"JSON":              `{"email":"` + signs(text, `\u%04X`) + `"}`,
		"JSON, lower case":  signs(text, `\u%04x`),
		"HTML":              strings.ReplaceAll(signs(text, "&#%d;"), "&#64;", "&#x40;"),
		"percent, all":      strings.ToUpper(regexp.MustCompile("..").ReplaceAllString(hex.EncodeToString([]byte(text)), "%$0")),
		"percent twice":     url.QueryEscape(url.QueryEscape(text)),
		"JSON in a query":   url.QueryEscape(signs(text, `\u%04X`)),
		"HTML in JSON":      strings.ReplaceAll(signs(text, "&#x%x;"), "&", `\u0026`),
		"hex":               hex.EncodeToString([]byte("a" + text)),
		"upper hex":         strings.ToUpper(hex.EncodeToString([]byte(text))),
		"MD5":               hex.EncodeToString(m["MD5"]),
		"SHA-1":             hex.EncodeToString(m["SHA-1"]),
		"SHA-256":           strings.ToUpper(hex.EncodeToString(m["SHA-256"])),
		"half of SHA-256":   base64.RawURLEncoding.EncodeToString(m["SHA-256"][:16]),
		"SHA-256 in base64": base64.StdEncoding.EncodeToString(m["SHA-256"]),
		"SHA-1 in base64":   base64.StdEncoding.EncodeToString(m["SHA-1"]),
		"MD5 in base64":     base64.URLEncoding.EncodeToString(m["MD5"]),
		"gzip":              packed(t, text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"zlib":              packed(t, text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }),
	}
	for skip := range 6 {
		around := strings.Repeat("~", skip)
		cases[fmt.Sprint("base64 after ", skip)] = base64.StdEncoding.EncodeToString([]byte(around + text + around))
		cases[fmt.Sprint("base64url after ", skip)] = base64.RawURLEncoding.EncodeToString([]byte(around + text + "?"))
	}
	return cases
}

// signs writes all but letters and digits by a format.
func signs(text, format string) string {
	return regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllStringFunc(text, func(sign string) string { return fmt.Sprintf(format, sign[0]) })
}
