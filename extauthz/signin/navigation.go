package signin

import "strings"

// IsNavigation tells whether a browser's window asks for a page to show, so that a redirect to sign-in makes sense: a GET whose fetch
// metadata says so (https://www.w3.org/TR/fetch-metadata/), or, from a browser that sends none, one that accepts HTML and is no script's.
// A frame is no navigation: no page of ours shows inside one.
func IsNavigation(method string, header func(string) string) bool {
	return method == "GET" && isDocument(header) && header("upgrade") == ""
}

// IsFormPost tells whether a browser's window sends a form and will show what comes back.
func IsFormPost(method string, header func(string) string) bool {
	return method == "POST" && isDocument(header)
}

func isDocument(header func(string) string) bool {
	if mode, dest := header("sec-fetch-mode"), header("sec-fetch-dest"); mode != "" || dest != "" {
		return mode == "navigate" && dest == "document"
	}
	return strings.Contains(header("accept"), "text/html") && header("x-requested-with") == ""
}
