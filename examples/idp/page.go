package idp

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
)

//go:embed pages.html style.css
var files embed.FS

var pages = template.Must(template.ParseFS(files, "pages.html"))

const staleText = "This sign-in is not known in this browser or no longer valid. Please start again at the application."

// view is what a page shows.
type view struct {
	Title, Message, Request, Username string
	Fields                            map[string]string
}

func showPassword(w http.ResponseWriter, req authRequest, username, message string) {
	show(w, http.StatusOK, "password", view{Title: "Sign in", Message: message, Request: req.id, Username: username})
}

func showCode(w http.ResponseWriter, req authRequest, message string) {
	show(w, http.StatusOK, "code", view{Title: "Second step", Message: message, Request: req.id, Username: req.passed})
}

// showSignOut asks the person and carries the client's request along.
func showSignOut(w http.ResponseWriter, form url.Values) {
	fields := map[string]string{}
	for _, name := range []string{"client_id", "post_logout_redirect_uri", "state"} {
		if v := form.Get(name); v != "" {
			fields[name] = v
		}
	}
	show(w, http.StatusOK, "signout", view{Title: "Sign out", Fields: fields})
}

func showSignedOut(w http.ResponseWriter) {
	show(w, http.StatusOK, "signedout", view{Title: "Signed out"})
}

func showFailure(w http.ResponseWriter, status int, message string) {
	show(w, status, "failure", view{Title: "That did not work", Message: message})
}

// show sends one page. Its policy has no form-action: browsers apply that to the redirects after a form as well, and those lead
// to the client.
func show(w http.ResponseWriter, status int, name string, v view) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, v); err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the client is gone; nobody is left to tell
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, files, "style.css")
}
