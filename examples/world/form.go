package world

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// form is one form of a page: where it goes, and what it sends as it is.
type form struct {
	action  string
	fields  url.Values
	buttons []pressed
}

// pressed is a button, and what the form sends in addition if it is pressed.
type pressed struct{ label, name, value string }

// Submit sends the page's first form with values for its fields, and follows.
func (b *Browser) Submit(page Answer, values map[string]string) (Answer, error) {
	forms, err := page.forms()
	if err != nil {
		return page, err
	}
	return b.send(page, forms[0], values)
}

// Press sends the form that has a button of that label, as a person does who presses it, with values for its fields, and follows.
func (b *Browser) Press(page Answer, label string, values map[string]string) (Answer, error) {
	forms, err := page.forms()
	if err != nil {
		return page, err
	}
	for _, f := range forms {
		for _, button := range f.buttons {
			if button.label != label {
				continue
			}
			if button.name != "" {
				f.fields.Set(button.name, button.value)
			}
			return b.send(page, f, values)
		}
	}
	return page, fmt.Errorf("world: the page at %s (%d) has no button %q, but %q", page.URL.Path, page.Status, label, page.Buttons())
}

func (b *Browser) send(page Answer, f form, values map[string]string) (Answer, error) {
	for name, value := range values {
		f.fields.Set(name, value)
	}
	a, err := b.Do("POST", f.action, Navigation, map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": page.URL.Scheme + "://" + page.URL.Host, "Sec-Fetch-Site": "same-origin",
	}, f.fields.Encode())
	if err != nil {
		return a, err
	}
	return b.Follow(a)
}

// Buttons are the labels of all buttons of a page, in order.
func (a Answer) Buttons() (labels []string) {
	forms, err := a.forms()
	if err != nil {
		return nil
	}
	for _, f := range forms {
		for _, button := range f.buttons {
			labels = append(labels, button.label)
		}
	}
	return labels
}

// form finds the page's first form.
func (a Answer) form() (action string, fields url.Values, err error) {
	forms, err := a.forms()
	if err != nil {
		return "", nil, err
	}
	return forms[0].action, forms[0].fields, nil
}

// forms finds the page's forms: at least one, or an error.
func (a Answer) forms() (forms []form, err error) {
	tree, err := html.Parse(strings.NewReader(a.Body))
	if err != nil {
		return nil, err
	}
	for node := range tree.Descendants() {
		if node.Type != html.ElementNode || node.Data != "form" {
			continue
		}
		f, err := a.formOf(node)
		if err != nil {
			return nil, err
		}
		forms = append(forms, f)
	}
	if len(forms) == 0 {
		return nil, fmt.Errorf("world: the page at %s (%d) has no form:\n%.400s", a.URL.Path, a.Status, a.Body)
	}
	return forms, nil
}

func (a Answer) formOf(node *html.Node) (form, error) {
	target, err := a.URL.Parse(attribute(node, "action"))
	if err != nil {
		return form{}, err
	}
	f := form{action: target.String(), fields: url.Values{}}
	for inner := range node.Descendants() {
		name, value := attribute(inner, "name"), attribute(inner, "value")
		switch {
		case inner.Data == "input" && name != "":
			f.fields.Set(name, value)
		case inner.Data == "button":
			f.buttons = append(f.buttons, pressed{strings.TrimSpace(text(inner)), name, value})
		}
	}
	return f, nil
}

func text(node *html.Node) (all string) {
	for inner := range node.Descendants() {
		if inner.Type == html.TextNode {
			all += inner.Data
		}
	}
	return all
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
