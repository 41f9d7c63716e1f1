package product

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const answerPrefix = "/answer/"

// Internals stands in the body and in headers of every answer below /answer/: what an exposed product must not tell the outside.
const Internals = "db-7.internal"

// answerTag is the ETag of the answers with status 200.
const answerTag = `"v1"`

// isAnswer reads the status that a path below /answer/ asks for: from 200 to 599.
func isAnswer(path string) (status int, ok bool) {
	if len(path) != len(answerPrefix)+3 || path[:len(answerPrefix)] != answerPrefix {
		return 0, false
	}
	status, err := strconv.Atoi(path[len(answerPrefix):])
	return status, err == nil && status >= 200 && status <= 599
}

// serveAnswer answers with a status, and tells too much in all of its headers and in its body, as products do that were never meant to be seen from
// outside. With status 200 it knows its ETag (RFC 9110 section 13.1.2).
func serveAnswer(w http.ResponseWriter, r *http.Request, status int) {
	_, _ = io.Copy(io.Discard, r.Body) // it ends with the request
	for name, value := range map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "public, max-age=3600", "Last-Modified": "Mon, 02 Mar 2026 08:15:00 GMT", "Retry-After": "7",
		"Server": Internals, "Via": "1.1 " + Internals, "Location": "https://" + Internals + "/", "Link": "<https://" + Internals + ">; rel=next",
		"X-Backend": Internals, "X-Request-Id": Internals, "X-User-Context-Token": Internals, "X-Isolated-Cloud-User": Internals,
		"WWW-Authenticate": "Basic realm=" + Internals, "Access-Control-Allow-Origin": "*", "Content-Location": "/" + Internals,
	} {
		w.Header().Set(name, value)
	}
	w.Header()["Set-Cookie"] = []string{"theme=dark; Path=/; Secure", "session=" + Internals}
	if status == http.StatusOK {
		w.Header().Set("ETag", answerTag)
		if r.Header.Get("If-None-Match") == answerTag {
			status = http.StatusNotModified
		}
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "panic: dial tcp %s:5432: password authentication failed\n", Internals) // not with HEAD, 204 or 304
}
