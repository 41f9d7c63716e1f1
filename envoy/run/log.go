package run

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

const (
	tailLines = 40       // of the log stand in an error
	tailBytes = 64 << 10 // are read for them at most
)

// openLog opens a log to append to, and gives its length so far.
func openLog(path string) (*os.File, int64, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	length, err := file.Seek(0, io.SeekEnd)
	return file, length, err
}

// tail gives the last lines of a log, none of them before an offset.
func tail(path string, from int64) string {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Sprintf("(its log cannot be read: %v)", err)
	}
	defer file.Close()
	if end, err := file.Seek(0, io.SeekEnd); err == nil {
		from = max(from, end-tailBytes)
	}
	raw, err := io.ReadAll(io.NewSectionReader(file, from, tailBytes))
	if err != nil {
		return fmt.Sprintf("(its log cannot be read: %v)", err)
	}
	return lastLines(raw, tailLines)
}

func lastLines(raw []byte, n int) string {
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
