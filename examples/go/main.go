// The smallest server that can say whether it is well.
package main

import (
	"fmt"
	"log"
	"net/http"
)

func pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, "hello from go")
	})
	return mux
}

func main() {
	log.Fatal(http.ListenAndServe(":8080", pages()))
}
