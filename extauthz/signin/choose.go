package signin

import (
	"net/http"
	"net/url"
	"slices"

	"isogate/extauthz/page"
)

// maxForm bounds what the sign-in form may send: an address, and a sealed flow.
const maxForm = 16 << 10

// chooseProvider takes the address that a person typed. Its domain says which provider signs them in; nothing is kept of it. The form's
// answer leads on by a page, since browsers hold a form's redirects against the form-action of its page.
func (d *Door) chooseProvider(v visit) (page.Answer, error) {
	form, err := readForm(v)
	if err != nil {
		return page.Refused(http.StatusBadRequest, "bad-request"), nil
	}
	back, err := d.wanted(form["flow"], form["flow"] != "")
	if err != nil {
		return page.StartAgain(d.home(v.host)), nil
	}
	email, domain, err := normalEmail(form["email"])
	if err != nil {
		return page.AskEmail(PathSignIn, carried(form), form["email"], page.NoProvider), nil
	}
	var fit []*Provider
	for _, p := range d.Providers {
		if slices.Contains(p.Domains, domain) {
			fit = append(fit, p)
		}
	}
	switch len(fit) {
	case 0:
		return page.AskEmail(PathSignIn, carried(form), form["email"], page.NoProvider), nil
	case 1:
		return d.toProvider(v, fit[0], back, wish{again: form["prompt"] == promptLogin, hint: email}, page.Continue)
	}
	return page.Choose(choices(fit, carried(form))), nil
}

// carried are the parameters that a sign-in began with and that its form and links hand on.
func carried(from map[string]string) (fields []page.Field) {
	for _, name := range []string{"flow", "prompt"} {
		if value := from[name]; value != "" {
			fields = append(fields, page.Field{Name: name, Value: value})
		}
	}
	return fields
}

// choices are links that begin the sign-in at one provider each.
func choices(providers []*Provider, carry []page.Field) []page.Choice {
	out := make([]page.Choice, len(providers))
	for i, p := range providers {
		query := url.Values{"provider": {p.ID}}
		for _, f := range carry {
			query.Set(f.Name, f.Value)
		}
		out[i] = page.Choice{Name: p.title(), Href: PathSignIn + "?" + query.Encode()}
	}
	return out
}

func readForm(v visit) (map[string]string, error) {
	v.Body = http.MaxBytesReader(nil, v.Body, maxForm)
	if err := v.ParseForm(); err != nil {
		return nil, err
	}
	return single(v.PostForm.Encode())
}

func (p *Provider) title() string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID
}
