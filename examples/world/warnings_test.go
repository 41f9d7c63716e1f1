package world

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// warned are the tests whose warnings are shown already: a test may have many browsers.
var warned sync.Map

// warnings shows, after a test that failed, what the daemons have warned of since it began: where a test runs out of sight, its folder is soon gone.
func warnings(t *testing.T) {
	t.Helper()
	if _, again := warned.LoadOrStore(t, true); again {
		return
	}
	began := map[string]int64{}
	for _, file := range logs(t) {
		if info, err := os.Stat(file); err == nil {
			began[file] = info.Size()
		}
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, file := range logs(t) {
			for _, line := range warnedIn(t, file, began[file]) {
				t.Logf("%s: %s", filepath.Base(file), line)
			}
		}
	})
}

func logs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(shared.Dir, "log", "*.log"))
	if err != nil {
		t.Error(err)
	}
	return files
}

// mostWarnings is how many lines of one log are shown, the last ones.
const mostWarnings = 20

// warnedIn are the last warnings and errors of a log from a place on.
func warnedIn(t *testing.T, file string, from int64) (lines []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Log(err)
		return nil
	}
	defer f.Close()
	if _, err := f.Seek(from, 0); err != nil {
		t.Log(err)
		return nil
	}
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if line := scanner.Text(); strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
			lines = append(lines, line[:min(len(line), 600)])
		}
	}
	return lines[max(0, len(lines)-mostWarnings):]
}
