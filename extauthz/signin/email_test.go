package signin

import (
	"strings"
	"testing"
)

// GHSA-c5c4: an address has exactly one @, no display name, and a domain that is compared as IDNA writes it (RFC 5891), so that nothing which
// only looks like an organisation's domain is it.
func TestEmailAddressesAreBareAndTheirDomainsExact(t *testing.T) {
	p := &Provider{ProviderConfig: ProviderConfig{Domains: []string{"acme.example", "xn--bcher-kva.example"}}}
	for _, tt := range []struct{ name, in, want string }{ // want is "" where it is refused
		{"plain", "bob@acme.example", "bob@acme.example"},
		{"domain in capitals", "Bob@ACME.Example", "Bob@acme.example"},
		{"domain with an umlaut", "bob@bücher.example", "bob@xn--bcher-kva.example"},
		{"the same in capitals, which no label holds", "bob@BÜCHER.example", ""},
		{"the same, decomposed", "bob@bu\u0308cher.example", "bob@xn--bcher-kva.example"},
		{"the same as it is looked up", "bob@xn--bcher-kva.example", "bob@xn--bcher-kva.example"},

		{"full-width letter", "bob@\uff41cme.example", ""}, {"ideographic full stop", "bob@acme\u3002example", ""}, {"ordinal indicator", "bob@acme.ex\u00aample", ""},
		{"the Kelvin sign", "bob@ac\u212ae.example", ""}, {"broken UTF-8 as JSON makes it", "bob\ufffd@acme.example", ""},
		{"nothing", "", ""}, {"no at sign", "acme.example", ""}, {"at sign alone", "@", ""}, {"no local part", "@acme.example", ""}, {"no domain", "bob@", ""},
		{"two at signs", "bob@evil.example@acme.example", ""}, {"two at signs, ours first", "bob@acme.example@evil.example", ""},
		{"at sign in quotes", `"bob@evil.example"@acme.example`, ""}, {"full-width at sign", "bob\uff20evil.example@acme.example", "bob\uff20evil.example@acme.example"},
		{"display name", "Bob <bob@acme.example>", ""}, {"display name behind", "bob@acme.example <bob@evil.example>", ""}, {"angle brackets", "<bob@acme.example>", ""},
		{"comment", "bob(x)@acme.example", ""}, {"route", "@evil.example:bob@acme.example", ""}, {"list", "bob@acme.example,eve@evil.example", ""}, {"two, apart", "bob@acme.example eve@evil.example", ""},
		{"group", "x:bob@acme.example;", ""}, {"backslash", `bob\@acme.example`, ""}, {"address literal", "bob@[127.0.0.1]", ""},
		{"blank before", " bob@acme.example", ""}, {"blank behind", "bob@acme.example ", ""}, {"line break", "bob@acme.example\r\nx", ""}, {"NUL", "bob@acme.example\x00", ""}, {"tabulator", "bob\t@acme.example", ""},
		{"text direction", "bob\u202e@acme.example", ""}, {"zero width", "bob@acme\u200b.example", ""}, {"soft hyphen", "bob@ac\u00adme.example", ""},
		{"no-break space", "bob\u00a0@acme.example", ""}, {"byte order mark", "\ufeffbob@acme.example", ""},
		{"sub-domain", "bob@sub.acme.example", ""}, {"longer", "bob@evilacme.example", ""}, {"ours as a label", "bob@acme.example.evil", ""}, {"trailing dot", "bob@acme.example.", ""}, {"leading dot", "bob@.acme.example", ""},
		{"Cyrillic letter", "bob@\u0430cme.example", ""}, {"the same as it is looked up", "bob@xn--cme-5cd.example", ""}, {"dotless letter", "bob@acme.examp\u0131e", ""},
		{"broken Punycode", "bob@xn--a.example", ""}, {"ASCII in Punycode", "bob@xn--acme-.example", ""}, {"Punycode's prefix in capitals, broken", "bob@XN--ACME-.example", ""},
		{"percent", "bob%evil.example@acme.example", "bob%evil.example@acme.example"}, {"long", strings.Repeat("b", 300) + "@acme.example", ""}, {"long domain", "bob@" + strings.Repeat("a.", 130) + "acme.example", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.address(idClaims{Email: tt.in, Verified: true})
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q: %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

// An address that the provider did not verify names nobody, whatever it is.
func TestUnverifiedAddressesNameNobody(t *testing.T) {
	p := &Provider{ProviderConfig: ProviderConfig{Domains: []string{"acme.example"}}}
	if got, err := p.address(idClaims{Email: "bob@acme.example"}); err == nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
	for raw, want := range map[string]bool{`true`: true, `"true"`: true, `false`: false, `"false"`: false, `1`: false, `"1"`: false, `"yes"`: false, `"TRUE"`: false, `null`: false, `[true]`: false, `{}`: false, `" true"`: false} {
		var b boolish
		if err := b.UnmarshalJSON([]byte(raw)); err != nil || bool(b) != want {
			t.Errorf("%s: %v, %v", raw, b, err)
		}
	}
}
