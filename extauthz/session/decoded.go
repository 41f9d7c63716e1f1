package session

import (
	"encoding/json"
	"sync"
)

// generation is how many records one half of decoded may hold; past it the older half goes.
const generation = 1 << 13

// decoded spares reading a record's JSON again while its bytes are the same. The store alone says whether a session exists and what is in
// it: a record is asked of it every time, and what was made of other bytes counts for nothing. Only records of the store come in, so nobody
// fills it with handles that he made up.
type decoded struct {
	mu           sync.Mutex
	fresh, stale map[string]reading // by session id
}

// reading is what a record was found to say. Nobody changes what its slices hold.
type reading struct {
	record  string
	session Session
}

// read gives the session that a record says.
func (d *decoded) read(id string, record []byte) (Session, error) {
	if known, ok := d.find(id); ok && known.record == string(record) {
		return known.session, nil
	}
	made := reading{record: string(record)}
	if err := json.Unmarshal(record, &made.session); err != nil {
		return Session{}, err
	}
	d.store(id, made)
	return made.session, nil
}

func (d *decoded) find(id string) (reading, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.fresh[id]; ok {
		return r, true
	}
	r, ok := d.stale[id]
	return r, ok
}

func (d *decoded) store(id string, r reading) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.fresh) >= generation {
		d.stale, d.fresh = d.fresh, nil
	}
	if d.fresh == nil {
		d.fresh = map[string]reading{}
	}
	d.fresh[id] = r
}
