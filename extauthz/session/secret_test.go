package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// A handle, or the secret of a flow, that somebody prints by mistake must not reach a log. Two ways are beyond a type of text: %p, which go vet
// refuses, and the key of a map in JSON.
func TestSecretsAreNeverPrinted(t *testing.T) {
	const secret = "c2VjcmV0LXNlY3JldA"
	h, f := Handle(secret), FlowCookie{Name: "n", Secret: secret}
	o, c := Outside{Subject: secret, Grant: secret, Token: secret, Key: []byte(secret)}, Cookies{Outside: secret, Rest: secret}
	k := Carried{Cloud: secret, Token: secret, Key: []byte(secret)}
	for name, value := range map[string]any{
		"handle": h, "pointer": &h, "flow": f, "flow pointer": &f, "handles": []Handle{h}, "map": map[string]Handle{"h": h},
		"cookies": Cookies{Session: h, Flows: []FlowCookie{f}}, "sealed": c, "sealed pointer": &c,
		"outside": o, "outside pointer": &o, "outsides": []Outside{o},
		"carried": k, "carried pointer": &k, "all carried": []Carried{k}, "error": fmt.Errorf("no %v, no %q, no %v, no %v, no %v", h, f, o, c, k),
		"struct": struct{ H any }{h},
	} {
		t.Run(name, func(t *testing.T) {
			for form, text := range printed(t, value) {
				for _, leak := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprint([]byte(secret))} {
					if strings.Contains(text, leak) {
						t.Errorf("%s shows it: %s", form, text)
					}
				}
			}
		})
	}
	if got := fmt.Sprint(h); got != "[redacted]" {
		t.Errorf("%q", got)
	}
}

// printed is a value in every form that a log line could give it.
func printed(t *testing.T, value any) map[string]string {
	t.Helper()
	forms := map[string]string{"Sprint": fmt.Sprint(value), "Sprintln": fmt.Sprintln(value)}
	for _, verb := range "vsqxXdTtbcoOUeEfFgG" {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "80", ".99"} {
			format := "%" + flags + string(verb)
			forms[format] = fmt.Sprintf(format, value)
		}
	}
	if raw, err := json.Marshal(value); err == nil {
		forms["JSON"] = string(raw)
	}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("m", "value", value, slog.Any("any", value), slog.Group("g", "v", value))
	}
	forms["slog"] = out.String()
	return forms
}
