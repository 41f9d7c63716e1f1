package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// traces finds out when the parts took an edit over: from the logs of extauthz and xds, and from the counters of the gateway's Envoy.
type traces struct {
	s        *stage
	extauthz logTail
	xds      logTail
	reloaded string // what Envoy said before
	used     map[string]time.Duration
}

const gatewayEnvoy = "envoy-gateway"

// watchEdit remembers where the logs end now.
func (s *stage) watchEdit() (t traces, err error) {
	t.s = s
	if t.extauthz, err = tailOf(s.logOf("extauthz")); err != nil {
		return t, err
	}
	if t.xds, err = tailOf(s.logOf("xds")); err != nil {
		return t, err
	}
	if t.reloaded, err = s.reloaded(context.Background()); err != nil {
		return t, err
	}
	t.used, err = s.used()
	return t, err
}

// used is the CPU time that the parts have taken so far.
func (s *stage) used() (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for _, part := range []string{"extauthz", "xds", gatewayEnvoy} {
		used, err := cpuTime(s.world.Parts[part].Pid())
		if err != nil {
			return nil, err
		}
		out[part] = used
	}
	return out, nil
}

func (s *stage) logOf(part string) string { return filepath.Join(s.world.Dir, "log", part+".log") }

// into waits for all three, and adds up what they took.
func (t traces) into(ctx context.Context, done *effect) (err error) {
	if done.extauthz, err = t.extauthz.find(ctx, "loaded", "what", "policies"); err != nil {
		return err
	}
	if done.xds, err = t.xds.find(ctx, "resources set", "role", "gateway"); err != nil {
		return err
	}
	if _, err = t.xds.find(ctx, "loaded", "what", "policies"); err != nil {
		return err
	}
	for now := t.reloaded; now == t.reloaded; {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("the gateway's Envoy has no new routes: %w", err)
		}
		if now, err = t.s.reloaded(ctx); err != nil {
			return err
		}
		at, _ := strconv.ParseInt(now, 10, 64) // of digits alone, see reloadTime
		done.envoy = time.UnixMilli(at)
	}
	if done.used, err = t.s.used(); err != nil {
		return err
	}
	for part, before := range t.used {
		done.used[part] -= before
	}
	return nil
}

var reloadTime = regexp.MustCompile(`\.rds\.gateway\.config_reload_time_ms: (\d+)`)

// reloaded is when the gateway's Envoy took over routes last, in milliseconds since 1970
// (https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/rds).
func (s *stage) reloaded(ctx context.Context) (string, error) {
	raw, err := s.world.EnvoyAdmin(ctx, gatewayEnvoy, "/stats?filter=config_reload_time_ms")
	if err != nil {
		return "", err
	}
	found := reloadTime.FindSubmatch(raw)
	if found == nil {
		return "", fmt.Errorf("bench: the gateway's Envoy does not say when it reloaded routes:\n%s", raw)
	}
	return string(found[1]), nil
}

// logTail is a log of a daemon from a place on.
type logTail struct {
	file string
	from int64
}

func tailOf(file string) (logTail, error) {
	info, err := os.Stat(file)
	if err != nil {
		return logTail{}, fmt.Errorf("bench: %w", err)
	}
	return logTail{file, info.Size()}, nil
}

// find waits for a line with a message and a field, and says when it was written.
func (l logTail) find(ctx context.Context, message, key, value string) (time.Time, error) {
	for {
		raw, err := os.ReadFile(l.file)
		if err != nil {
			return time.Time{}, fmt.Errorf("bench: %w", err)
		}
		for line := range bytes.Lines(raw[min(l.from, int64(len(raw))):]) {
			fields := map[string]any{}
			if json.Unmarshal(line, &fields) == nil && fields["msg"] == message && fields[key] == value {
				text, _ := fields["time"].(string)
				return time.Parse(time.RFC3339Nano, text)
			}
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return time.Time{}, fmt.Errorf("bench: %s never says %q of %s: %w", filepath.Base(l.file), message, value, err)
		}
	}
}
