package policies

import (
	"context"
	"time"
)

// settleTime is how long a directory must have stood still before it is loaded.
const settleTime = 25 * time.Millisecond

// Watch loads dir, calls changed with the outcome, and does so again each time the directory's content changes, until
// ctx ends. changed gets a bundle or an error, never both, from the goroutine that called Watch; it is called at once at
// the start and then once for each distinct content. An error leaves the caller with the bundle it has. every is positive. A directory that
// is missing is one more content: Watch reports it once and takes up the directory when it comes.
//
// The directory is read every time and compared by digest; notifications of the file system are not used. They are
// silent on network file systems and point at the wrong files when a ConfigMap swaps its symbolic link, sizes and times
// miss an edit within the clock's grain, and the files are small. An edit is seen within every plus the time to settle.
//
// A file that is being written in place can be caught half-way, and half a policy may compile. Two readings must
// therefore be equal before anything is loaded, and a third after that before it is reported. Writers should still
// rename a finished file into place.
func Watch(ctx context.Context, dir string, every time.Duration, changed func(*Bundle, error)) {
	var reported string
	for {
		s := look(dir)
		if s.id != reported && sleep(ctx, min(every, settleTime)) && s.still() {
			b, err := s.load(ctx)
			if ctx.Err() != nil {
				return
			}
			if !s.still() {
				continue
			}
			reported = s.id
			changed(b, err)
		}
		if !sleep(ctx, every) {
			return
		}
	}
}

// state is what a directory held at one moment. Equal ids mean equal content, or the same failure to read it.
type state struct {
	id  string
	src source
	err error
}

func look(dir string) state {
	src, err := read(dir)
	if err != nil {
		return state{id: "error: " + err.Error(), src: source{dir: dir}, err: err}
	}
	return state{id: src.digest, src: src}
}

// still tells whether the directory holds the same now.
func (s state) still() bool { return look(s.src.dir).id == s.id }

func (s state) load(ctx context.Context) (*Bundle, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.src.build(ctx, evalLimit)
}

// sleep reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
