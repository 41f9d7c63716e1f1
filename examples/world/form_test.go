package world

import (
	"slices"
	"testing"
)

// A page's forms are kept apart, and a button sends its own form with its own value.
func TestForms(t *testing.T) {
	page := Answer{URL: parsed(t, "https://a.example/x/page"), Body: `<form action="/one"><input name="a" value="1"><button>Go</button></form>
		<form action="two"><input name="b" value="2"><button name="d" value="yes">Do</button><button name="d" value="no"> <b>Do</b> not </button></form>`}
	if got := page.Buttons(); !slices.Equal(got, []string{"Go", "Do", "Do not"}) {
		t.Errorf("buttons: %q", got)
	}
	forms, err := page.forms()
	if err != nil || len(forms) != 2 {
		t.Fatal(forms, err)
	}
	if forms[0].action != "https://a.example/one" || forms[1].action != "https://a.example/x/two" || forms[0].fields.Encode() != "a=1" || forms[1].fields.Encode() != "b=2" {
		t.Errorf("%+v", forms)
	}
	if _, err := (Answer{URL: page.URL}).forms(); err == nil {
		t.Error("a page without a form has one")
	}
	if _, err := shared.Browser().Press(page, "Nothing", nil); err == nil {
		t.Error("a button that is not there was pressed")
	}
}
