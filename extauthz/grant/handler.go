package grant

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// Handler serves the calls of a Client over a keeper. It answers 400 to what is no such call and 503, with the cause in the log alone, where
// the keeper could not tell. ErrNone must be the keeper's only word for "there is none": it becomes 404.
func Handler(k Keeper, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /open", serve(log, "opening", func(ctx context.Context, in opening) (any, error) {
		return k.Open(ctx, in.Session, in.Client)
	}))
	mux.Handle("POST /redeem", serve(log, "redeeming", func(ctx context.Context, in naming) (any, error) {
		return k.Redeem(ctx, in.Grant, in.Client)
	}))
	mux.Handle("POST /end", serve(log, "ending", func(ctx context.Context, in naming) (any, error) {
		return struct{}{}, k.End(ctx, in.Grant, in.Client)
	}))
	return mux
}

func serve[T interface{ complete() bool }](log *slog.Logger, doing string, act func(context.Context, T) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := decode[T](http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "a JSON object of this call's members is wanted, at most 4 KB", http.StatusBadRequest)
			return
		}
		out, err := act(r.Context(), in)
		if errors.Is(err, ErrNone) {
			http.Error(w, "none", http.StatusNotFound)
			return
		}
		raw, failed := json.Marshal(out)
		if err = errors.Join(err, failed); err != nil {
			log.ErrorContext(r.Context(), "a call about a grant was not answered", "call", doing, "cause", err.Error())
			http.Error(w, "it could not be found out", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("content-type", "application/json")
		_, _ = w.Write(raw) // who does not hear the answer asks again
	})
}
