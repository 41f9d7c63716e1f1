package world

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"isogate/examples/idp"
)

// Word is something that tells who a person is, in any case of its letters.
type Word struct {
	What    string // such as "name of alice"
	Pattern *regexp.Regexp
}

// Personal are the words of all people of the world's clouds: names, addresses, local parts, and their subjects at their identity provider.
func (w *World) Personal() (words []Word) {
	add := func(what, text string) {
		words = append(words, Word{what, regexp.MustCompile(`(?i)(^|[^a-z0-9])` + regexp.QuoteMeta(text) + `($|[^a-z0-9])`)})
	}
	for _, c := range w.clouds() {
		for _, u := range c.Users {
			add("name of "+u.Username, u.Name)
			add("address of "+u.Username, u.Email)
			add("local part of "+u.Username, u.Username)
			add("subject of "+u.Username, idp.Subject(u.Username))
		}
	}
	return words
}

// Kept is all that the commercial side holds, by where it holds it: its files, the logs, metrics and status of its daemons, the logs, counters and
// dumps of its Envoys, and every byte that its services and its standard sign-in received.
func (w *World) Kept(ctx context.Context) (map[string][]byte, error) {
	kept := map[string][]byte{"received by " + loginHost: w.Platform.Login.Received()}
	for id, s := range w.Platform.Services {
		kept["received by "+id] = s.Received()
	}
	for _, file := range []string{w.Platform.file, w.Platform.dir} {
		if err := readAll(file, kept); err != nil {
			return nil, err
		}
	}
	for _, p := range w.Platform.programs() {
		if err := readAll(w.logFile(p.part), kept); err != nil {
			return nil, err
		}
		for _, path := range []string{"/metrics", "/status"} {
			body, err := fetch(ctx, "http://"+local(p.admin)+path)
			if err != nil {
				return nil, err
			}
			kept[p.part+path] = body
		}
	}
	for _, p := range w.Platform.proxies() {
		if err := readAll(w.logFile(p.part), kept); err != nil {
			return nil, err
		}
		for _, path := range []string{"/config_dump?include_eds", "/stats", "/clusters", "/listeners", "/certs"} {
			body, err := w.EnvoyAdmin(ctx, p.part, path)
			if err != nil {
				return nil, err
			}
			kept[p.part+path] = body
		}
	}
	return kept, nil
}

// Files are the names of all that the commercial side has on disk but logs.
func (p *Platform) Files() (names []string, err error) {
	err = filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	return names, err
}

// readAll reads a file, or all files of a folder.
func readAll(from string, into map[string][]byte) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		into[path], err = os.ReadFile(path)
		return err
	})
}

func fetch(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("world: %s answered %d", address, answer.StatusCode)
	}
	return io.ReadAll(answer.Body)
}
