package product

import (
	"fmt"
	"net/http"
	"time"

	"golang.org/x/net/websocket"
)

// maxMessage bounds one WebSocket message, in bytes.
const maxMessage = 1 << 20

const eventInterval = 100 * time.Millisecond

// echoSocket accepts every Origin: cross-origin upgrades are refused at the ingress, and the token says who is here.
var echoSocket = websocket.Server{Handler: echo}

type message struct {
	data []byte
	kind byte // text or binary
}

// frames reads and writes whole messages and keeps their kind, which the package's own codecs do not.
var frames = websocket.Codec{
	Marshal: func(v any) ([]byte, byte, error) {
		m := v.(message)
		return m.data, m.kind, nil
	},
	Unmarshal: func(data []byte, kind byte, v any) error {
		*v.(*message) = message{data, kind}
		return nil
	},
}

// echo sends every message back until the client leaves.
func echo(ws *websocket.Conn) {
	ws.MaxPayloadBytes = maxMessage
	for {
		var m message
		if frames.Receive(ws, &m) != nil || frames.Send(ws, m) != nil {
			return
		}
	}
}

// serveEvents sends a numbered server-sent event every 100 ms until the client leaves.
func serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(eventInterval)
	defer tick.Stop()
	for n := 1; ; n++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %d\n\n", n, n); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}
