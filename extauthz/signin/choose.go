package signin

import (
	"net/http"
	"net/url"
	"strings"

	"isogate/extauthz/page"
)

// maxForm bounds what the sign-in form may send: an address, where the sign-in leads to, and what it asks of the provider.
const maxForm = 16 << 10

// chooseProvider takes the address that a person typed. Its domain says which provider signs them in; nothing is kept of it. The form's
// answer leads on by a page, since browsers hold a form's redirects against the form-action of its page.
func (d *Door) chooseProvider(v visit) (page.Answer, error) {
	form, err := readForm(v)
	if err != nil {
		return page.Refused(http.StatusBadRequest, "bad-request"), nil
	}
	in, err := d.entry(form)
	if err != nil {
		return page.StartAgain(d.Site.home(v.host)), nil
	}
	email, domain, err := normalEmail(strings.TrimSpace(form["email"]))
	if err != nil {
		return page.AskEmail(PathSignIn, in.carry, form["email"], page.NoProvider), nil
	}
	in.hint = email
	switch fit := d.fit(domain); len(fit) {
	case 0:
		return page.AskEmail(PathSignIn, in.carry, form["email"], page.NoProvider), nil
	case 1:
		return d.toProvider(v, fit[0], in, page.Continue)
	default:
		return page.Choose(choices(fit, append(in.carry, page.Field{Name: "login_hint", Value: email}))), nil
	}
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
