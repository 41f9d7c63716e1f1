package provider

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForm(t *testing.T) {
	long := strings.Repeat("a", maxForm)
	tests := []struct {
		name, target string
		types        []string
		body         string
		want         form
		code         string
	}{
		{"parameters", "/x", []string{formType}, "a=1&b=%C3%A9+c", form{"a": "1", "b": "é c"}, ""},
		{"empty", "/x", []string{formType}, "", form{}, ""},
		{"a charset", "/x", []string{"Application/X-WWW-Form-Urlencoded; charset=UTF-8"}, "a=1", form{"a": "1"}, ""},
		{"without a value", "/x", []string{formType}, "a=&b", form{}, ""}, // RFC 6749 section 3.2: as if omitted
		{"as long as may be", "/x", []string{formType}, "a=" + long[2:], form{"a": long[2:]}, ""},
		{"longer", "/x", []string{formType}, "a=" + long[1:], nil, invalidRequest},
		{"doubled", "/x", []string{formType}, "a=1&a=2", nil, invalidRequest}, // RFC 6749 section 3.2: MUST NOT
		{"doubled and equal", "/x", []string{formType}, "a=1&a=1", nil, invalidRequest},
		{"doubled and empty", "/x", []string{formType}, "a=1&a=", nil, invalidRequest},
		{"doubled by an escape", "/x", []string{formType}, "a=1&%61=2", nil, invalidRequest},
		{"an unknown one doubled", "/x", []string{formType}, "unheard-of=1&unheard-of=2", nil, invalidRequest},
		{"no escape", "/x", []string{formType}, "a=%zz", nil, invalidRequest},
		{"a semicolon", "/x", []string{formType}, "a=1;b=2", nil, invalidRequest},
		{"not UTF-8", "/x", []string{formType}, "a=%ff", nil, invalidRequest},
		{"a name not UTF-8", "/x", []string{formType}, "%ff=1", nil, invalidRequest},
		{"a query", "/x?a=1", []string{formType}, "b=2", nil, invalidRequest},
		{"an empty query", "/x?", []string{formType}, "b=2", nil, invalidRequest},
		{"no type", "/x", nil, "a=1", nil, invalidRequest},
		{"JSON", "/x", []string{"application/json"}, "a=1", nil, invalidRequest},
		{"multipart", "/x", []string{"multipart/form-data; boundary=x"}, "a=1", nil, invalidRequest},
		{"two types", "/x", []string{formType, "application/json"}, "a=1", nil, invalidRequest},
		{"two assertions", "/x", []string{formType}, "client_assertion=1&client_assertion=1", nil, invalidClient},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, test.target, strings.NewReader(test.body))
			r.Header["Content-Type"] = test.types
			got, err := parseForm(r)
			if f, _ := err.(fault); f.Code != test.code || (err == nil) != (test.code == "") {
				t.Errorf("%v, want %q", err, test.code)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// cut is a body that ends before its time.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, errDown }

func TestFormThatCannotBeRead(t *testing.T) {
	for status, body := range map[int]io.Reader{
		http.StatusBadRequest:            cut{},
		http.StatusRequestEntityTooLarge: strings.NewReader("a=" + strings.Repeat("a", maxForm)), // RFC 9126 section 2.3
	} {
		r := httptest.NewRequest(http.MethodPost, "/x", body)
		r.Header.Set("Content-Type", formType)
		_, err := parseForm(r)
		if f, _ := err.(fault); f.Status != status || f.Code != invalidRequest || f.Cause == nil {
			t.Errorf("%v, want %d", err, status)
		}
	}
}

func FuzzForm(f *testing.F) {
	for _, body := range []string{"", "a=1&b=2", "a=1&a=2", "%", "a=%ff", ";", "&&=&", "client_secret=a&client_secret="} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := readForm(body)
		values, parseErr := url.ParseQuery(body)
		if err == nil && parseErr != nil {
			t.Fatalf("%q passed", body)
		}
		for name, value := range got {
			if value == "" || values.Get(name) != value || len(values[name]) != 1 {
				t.Errorf("%q: %q is %q", body, name, value)
			}
		}
	})
}
