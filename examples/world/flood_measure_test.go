package world

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"isogate/envoy/topology"
	"isogate/extauthz/kv"
)

// What may be left after a flood. A trace of every request would be at least a key of some kind and its place in a map: over 100 bytes of 100 000
// requests, so 10 MB and more. What is allowed beside is what an allocator and open connections keep: it does not depend on the number of requests.
const (
	heapLeft  = 4 << 20 // bytes, of extauthz after its garbage was collected
	envoyLeft = 4 << 20 // bytes that an Envoy has allocated
	logLeft   = 64 << 10
)

// condition is what the world holds at a moment.
type condition struct {
	at         time.Time
	pids       map[string]int
	rss        map[string]int // KiB, by part
	envoy      map[string]int // bytes allocated, by role
	heap       int            // of extauthz, in bytes, without garbage
	goroutines int
	series     map[string]map[string]bool // names and labels of what is counted, by daemon
	store      storeState
	log        int64 // length of extauthz's log
}

// measured waits until extauthz has collected its garbage and measures.
func measured(t *testing.T) condition {
	t.Helper()
	c := condition{pids: map[string]int{}, rss: map[string]int{}, envoy: map[string]int{}, series: map[string]map[string]bool{}}
	c.heap = settledHeap(t)
	for _, part := range slices.Sorted(maps.Keys(shared.Parts)) {
		c.pids[part] = shared.Parts[part].Pid()
		c.rss[part] = residentKiB(t, c.pids[part])
	}
	for _, role := range roles {
		c.envoy[string(role)] = allocated(t, role)
	}
	for daemon, admin := range map[string]int{"extauthz": shared.ports.extauth, "xds": shared.ports.xds} {
		c.series[daemon] = map[string]bool{}
		for name := range metrics(t, admin) {
			c.series[daemon][name] = true
		}
	}
	c.goroutines = int(metrics(t, shared.ports.extauth)["go_goroutines"])
	if info, err := os.Stat(shared.logFile("extauthz")); err == nil {
		c.log = info.Size()
	}
	c.at, c.store = time.Now(), stored(t)
	return c
}

// wantUnharmed demands that a flood has left nothing behind.
func wantUnharmed(t *testing.T, before, after condition) {
	t.Helper()
	for part, pid := range before.pids {
		if after.pids[part] != pid {
			t.Errorf("%s died and was started again", part)
		}
		t.Logf("%-14s resident %6d → %6d KiB", part, before.rss[part], after.rss[part])
	}
	t.Logf("extauthz       heap %d → %d KiB, goroutines %d → %d; store %+v → %+v", before.heap>>10, after.heap>>10, before.goroutines, after.goroutines,
		before.store, after.store)
	if grown := after.heap - before.heap; grown > heapLeft {
		t.Errorf("extauthz keeps %d KiB more", grown>>10)
	}
	if after.goroutines > before.goroutines+32 {
		t.Errorf("extauthz keeps %d goroutines more", after.goroutines-before.goroutines)
	}
	for role, was := range before.envoy {
		t.Logf("envoy-%-8s allocated %d → %d KiB", role, was>>10, after.envoy[role]>>10)
		if grown := after.envoy[role] - was; grown > envoyLeft {
			t.Errorf("the %s keeps %d KiB more", role, grown>>10)
		}
	}
	for daemon, was := range before.series {
		for name := range after.series[daemon] {
			if !was[name] {
				t.Errorf("%s counts something new: %s", daemon, name)
			}
		}
	}
	if grown := after.log - before.log; grown > logLeft {
		t.Errorf("extauthz wrote %d KiB to its log", grown>>10)
	}
	wantStoreUnchanged(t, before, after)
}

// wantStoreUnchanged allows the transactions by which the activity of living sessions is written every ten seconds, and those of a sweep.
func wantStoreUnchanged(t *testing.T, before, after condition) {
	t.Helper()
	if after.store.items > before.store.items {
		t.Errorf("the store holds %d items, and held %d", after.store.items, before.store.items)
	}
	if after.store.size > 2*before.store.size { // it doubles when it needs a page, as it may for the activity of living sessions
		t.Errorf("the store's file grew from %d to %d bytes", before.store.size, after.store.size)
	}
	allowed := 3 + uint64(after.at.Sub(before.at)/(10*time.Second))
	if wrote := after.store.transactions - before.store.transactions; wrote > allowed {
		t.Errorf("%d transactions were written to the store, want at most %d, of the living sessions", wrote, allowed)
	}
}

// metrics are what a daemon counts, by name and labels.
func metrics(t *testing.T, admin int) map[string]float64 {
	t.Helper()
	response, err := http.Get("http://" + local(admin) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if out[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return out
}

// settledHeap lets extauthz work until it has collected its garbage twice more, since what one collection finds is swept before the next. The
// least that it held meanwhile is what it keeps.
func settledHeap(t *testing.T) int {
	t.Helper()
	const collections = "go_gc_duration_seconds_count"
	first := metrics(t, shared.ports.extauth)[collections]
	least := 0.0
	for deadline := time.Now().Add(20 * time.Second); ; {
		now := metrics(t, shared.ports.extauth)
		if heap := now["go_memstats_heap_inuse_bytes"]; now[collections] > first && (least == 0 || heap < least) {
			least = heap
		}
		if now[collections] >= first+3 && least > 0 {
			return int(least)
		}
		if time.Now().After(deadline) {
			t.Fatal("extauthz does not collect its garbage")
		}
	}
}

func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	raw := must2(t)(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)))
	for line := range bytes.Lines(raw) {
		var kib int
		if n, _ := fmt.Sscanf(string(line), "VmRSS: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatalf("process %d has no memory", pid)
	return 0
}

// allocated is what an Envoy's allocator has given out, which the allocator's own caches do not blur.
func allocated(t *testing.T, role topology.Role) int {
	t.Helper()
	raw := must2(t)(shared.envoyAdmin(string(role), "/memory"))
	var memory struct {
		Allocated int `json:",string"`
	}
	if err := json.Unmarshal(raw, &memory); err != nil || memory.Allocated == 0 {
		t.Fatalf("%v: %s", err, raw)
	}
	return memory.Allocated
}

// gauge is one of an Envoy's statistics.
func gauge(t *testing.T, role, name string) int {
	t.Helper()
	raw := must2(t)(shared.envoyAdmin(role, "/stats?filter=^"+name+"$"))
	_, text, _ := strings.Cut(strings.TrimSpace(string(raw)), ": ")
	value, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s of the %s: %q", name, role, raw)
	}
	return value
}

// storeState is what the store's file holds. bbolt numbers each transaction that it writes, and keeps the newest number in one of the two first
// pages.
type storeState struct {
	size         int
	items        int
	transactions uint64
}

func stored(t *testing.T) storeState {
	t.Helper()
	file := filepath.Join(shared.Dir, "sessions.db")
	raw := must2(t)(os.ReadFile(file))
	for again := must2(t)(os.ReadFile(file)); !bytes.Equal(raw, again); again = must2(t)(os.ReadFile(file)) { // written just now
		raw = again
	}
	s := storeState{size: len(raw)}
	const magic, header = 0xED0CDAED, 16
	page := int(binary.NativeEndian.Uint32(raw[header+8:]))
	for _, meta := range [][]byte{raw[header:], raw[page+header:]} {
		if binary.NativeEndian.Uint32(meta) != magic {
			t.Fatal("the store is no bbolt file")
		}
		s.transactions = max(s.transactions, binary.NativeEndian.Uint64(meta[48:]))
	}
	s.items = items(t, raw)
	return s
}

// items counts what is alive in a copy of the store, since extauthz alone may hold the file.
func items(t *testing.T, raw []byte) int {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := kv.OpenBolt(copied, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, err := store.List(t.Context(), "")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d items, %v", len(all), err)
	}
	return len(all)
}

// cutLogs shortens the logs to what they were once the test is over, after a look for what the flood sent and no log may hold: the other tests
// read these logs, many times over.
func cutLogs(t *testing.T, secretive ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(shared.Dir, "log", "*.log"))
	if err != nil || len(files) < 4 {
		t.Fatalf("logs: %v %v", files, err)
	}
	was := map[string]int64{}
	for _, file := range files {
		was[file] = int64(len(must2(t)(os.ReadFile(file))))
	}
	t.Cleanup(func() {
		time.Sleep(300 * time.Millisecond) // Envoy writes its log every 100 ms
		for file, length := range was {
			fresh := must2(t)(os.ReadFile(file))[length:]
			for _, marker := range secretive {
				if bytes.Contains(fresh, []byte(marker)) {
					t.Errorf("%s holds %q", filepath.Base(file), marker)
				}
			}
			if err := os.Truncate(file, length); err != nil {
				t.Error(err)
			}
		}
	})
}
