package policies

import (
	"slices"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	const full = `, "purpose": "p", "owner": "o"`
	dir := gatewayOf(t, exposed("bare", "path", `"/bare"`)+
		exposed("fine", "path", `"/fine"`, "purpose", `"p"`, "owner", `"o"`, "expires", `"2027-07-01"`)+
		exposed("soon", "path", `"/soon"`, "purpose", `"p"`, "owner", `"o"`, "expires", `"2027-06-29"`)+
		exposed("over", "path", `"/over"`, "purpose", `"p"`, "owner", `"o"`, "expires", `"2027-05-31"`))
	write(t, dir, "more.rego", head+`anonymous["probe"] := {"product": "issues", "method": "GET", "path": "/health"`+full+`, "expires": "2027-05-30"}`)
	write(t, dir, "ingress.rego", head+open)
	want := []Warning{
		{`anonymous["probe"]`, "ended with 2027-05-30; remove it, or set another day"},
		{`endpoints["bare"]`, "has no owner; say who answers for it"},
		{`endpoints["bare"]`, "has no purpose; say what it is for"},
		{`endpoints["over"]`, "ended with 2027-05-31; remove it, or set another day"},
		{`endpoints["soon"]`, "ends with 2027-06-29; set another day if it is still needed"},
	}
	if got, err := Check(t.Context(), dir, date("2027-06-01T00:00:00Z")); err != nil || !slices.Equal(got, want) {
		t.Errorf("Check = %q, %v; want %q", got, err, want)
	}
	want = []Warning{{"", "no file is of package isogate.gateway: a cloud with a gateway refuses this folder; put gateway.rego there"}}
	if got, err := Check(t.Context(), dirOf(t, files{"a.rego": valid}), time.Now()); err != nil || !slices.Equal(got, want) {
		t.Errorf("Check without the gateway = %q, %v; want %q", got, err, want)
	}
	write(t, dir, "more.rego", "package x\ny := z")
	if got, err := Check(t.Context(), dir, date("2027-06-01T00:00:00Z")); err == nil || got != nil {
		t.Errorf("Check = %q, %v; want an error", got, err)
	}
}

func TestExplain(t *testing.T) {
	b := mustLoad(t, gatewayOf(t, exposed("read", "path", `"/issue/{key}"`, "query", `["fields"]`)+
		exposed("old", "path", `"/old"`, "expires", `"2020-01-31"`)+exposed("gone", "path", `"/gone/{x}"`, "expires", `"2020-01-31"`)+
		exposed("mine", "path", `"/issue/m:x"`)))
	call := func(change func(*CrossInput)) CrossInput {
		in := CrossInput{Product: "issues", Method: "GET", Path: "/issue/A", Caller: support}
		change(&in)
		return in
	}
	const matched = "endpoint read: GET /issue/{key} of issues"
	tests := []struct {
		name string
		in   CrossInput
		body bool
		want []string // the last step decides
	}{
		{"passes", call(func(in *CrossInput) { in.Query = []string{"fields"} }), false, []string{matched, "isogate.gateway.decision says allowed: exposed"}},
		{"caller", call(func(in *CrossInput) { in.Caller = "spiffe://a/b" }), false, []string{matched, `caller "spiffe://a/b" is not listed; the callers are ` + support}},
		{"query and body", call(func(in *CrossInput) { in.Query = []string{"x"} }), true,
			[]string{matched, `query parameter "x" is not listed; listed is fields`, "a body is not taken; the endpoint says none"}},
		{"method", call(func(in *CrossInput) { in.Method = "HEAD" }), false,
			[]string{"no endpoint: nothing exposes HEAD /issue/A of issues", "endpoint read is for GET"}},
		{"product", call(func(in *CrossInput) { in.Product = "wiki" }), false,
			[]string{"no endpoint: nothing exposes GET /issue/A of wiki", "endpoint read is of issues"}},
		{"ended", call(func(in *CrossInput) { in.Path = "/old" }), false,
			[]string{"no endpoint: nothing exposes GET /old of issues", "endpoint old ended with 2020-01-31"}},
		{"another endpoint's in escapes", call(func(in *CrossInput) { in.Path = "/issue/m%3Ax" }), false,
			[]string{"no endpoint: nothing exposes GET /issue/m%3Ax of issues", "endpoint read: once it is decoded, the path is another endpoint's; write it without escapes"}},
		{"semicolon", call(func(in *CrossInput) { in.Path = "/issue/A;a" }), false,
			[]string{"no endpoint: nothing exposes GET /issue/A;a of issues", "endpoint read: {key} takes no ; ? or # in any spelling"}},
		{"escaped question mark", call(func(in *CrossInput) { in.Path = "/issue/%3Fa%23%3b" }), false,
			[]string{"no endpoint: nothing exposes GET /issue/%3Fa%23%3b of issues", "endpoint read: {key} takes no ; ? or # in any spelling"}},
		{"semicolon in what is written out", call(func(in *CrossInput) { in.Path = "/issue;/A" }), false,
			[]string{"no endpoint: nothing exposes GET /issue;/A of issues"}},
		{"semicolon and more", call(func(in *CrossInput) { in.Path = "/issue/A;a/b" }), false,
			[]string{"no endpoint: nothing exposes GET /issue/A;a/b of issues"}},
		{"semicolon where it ended", call(func(in *CrossInput) { in.Path = "/gone/A;a" }), false,
			[]string{"no endpoint: nothing exposes GET /gone/A;a of issues"}},
		{"nothing near", call(func(in *CrossInput) { in.Path = "/x" }), false, []string{"no endpoint: nothing exposes GET /x of issues"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := b.Explain(t.Context(), tt.in, tt.body, date("2026-01-01T00:00:00Z"))
			if err != nil || !slices.Equal(got.Steps, tt.want) || got.Decision.Allow != (tt.name == "passes") {
				t.Errorf("Explain = %+v, %v; want %q", got, err, tt.want)
			}
		})
	}
	var none *Bundle
	if got, err := none.Explain(t.Context(), call(func(*CrossInput) {}), false, date("2026-01-01T00:00:00Z")); err != nil || got.Decision.Allow {
		t.Errorf("Explain without a bundle = %+v, %v", got, err)
	}
}
