package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// HTTP/2 would only reorder requests.
var noHTTP2 = map[string]func(*http.Server, *tls.Conn, http.Handler){}

// Request is what a client asked for, as far as it decides the answer.
type Request struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Accept  string            `json:"accept"`
	Body    string            `json:"body"` // SHA-256 of the body, "" for none
	Headers map[string]string `json:"headers"`
	Length  int               `json:"length"`
}

// Exchange is a request and its locked answer; the body is /bodies/SHA256.
type Exchange struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Accept  string            `json:"accept"`
	Body    string            `json:"body"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	SHA256  string            `json:"sha256"`
	Size    int64             `json:"size"`
}

// answer is what the client gets.
type answer struct {
	status  int
	headers map[string]string
	size    int64
	body    io.Reader
}

// source is where answers come from. ok is false when there is none.
type source interface {
	ask(request *Request, body []byte, use func(*answer) error) (ok bool, err error)
}

// handler answers for every host. The request is read whole before it is asked for.
func (n *network) handler(scheme string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		request := describe(scheme, r, body)
		ok, err := n.source.ask(request, body, func(a *answer) error {
			for name, value := range a.headers {
				w.Header().Set(name, value)
			}
			w.Header().Set("Content-Length", fmt.Sprint(a.size))
			w.WriteHeader(a.status)
			if r.Method == http.MethodHead {
				return nil
			}
			_, err := io.CopyN(w, a.body, a.size)
			return err
		})
		if err != nil {
			fmt.Printf("vcr: %s %s: %v\n", request.Method, request.URL, err)
		} else if !ok {
			n.refuse(request.Method + " " + request.URL)
			http.Error(w, "vcr: "+request.Method+" "+request.URL+" is not locked; run `vcr lock`",
				http.StatusForbidden)
		}
	})
}

// Headers that say how to transfer an answer, not which one: every answer is whole and
// as it is, so that it does not matter how a client asks.
var ignoredHeaders = map[string]bool{
	"Accept-Encoding": true, "Cache-Control": true, "Connection": true, "If-Match": true,
	"If-Modified-Since": true, "If-None-Match": true, "If-Range": true, "If-Unmodified-Since": true,
	"Keep-Alive": true, "Pragma": true, "Proxy-Connection": true, "Range": true, "Te": true,
	"Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Expect": true,
}

func describe(scheme string, r *http.Request, body []byte) *Request {
	request := &Request{
		Method:  r.Method,
		URL:     scheme + "://" + strings.ToLower(r.Host) + r.URL.RequestURI(),
		Accept:  r.Header.Get("Accept"),
		Headers: map[string]string{},
		Length:  len(body),
	}
	if request.Accept == "*/*" {
		request.Accept = ""
	}
	if len(body) > 0 {
		digest := sha256.Sum256(body)
		request.Body = hex.EncodeToString(digest[:])
	}
	for name, values := range r.Header {
		if !ignoredHeaders[name] {
			request.Headers[name] = strings.Join(values, ", ")
		}
	}
	return request
}

// replay answers with what was locked, each exchange as often as it is asked for;
// of several answers to one request, in their order, the last one over again.
type replay struct {
	exchanges map[string][]Exchange
	lock      chan struct{}
}

func newReplay(exchanges []Exchange) *replay {
	r := &replay{exchanges: map[string][]Exchange{}, lock: make(chan struct{}, 1)}
	for _, e := range exchanges {
		key := keyOf(e.Method, e.URL, e.Accept, e.Body)
		r.exchanges[key] = append(r.exchanges[key], e)
	}
	return r
}

func keyOf(method, url, accept, body string) string {
	return strings.Join([]string{method, url, accept, body}, "\n")
}

func (r *replay) ask(request *Request, _ []byte, use func(*answer) error) (bool, error) {
	key := keyOf(request.Method, request.URL, request.Accept, request.Body)
	r.lock <- struct{}{}
	left := r.exchanges[key]
	if len(left) > 1 {
		r.exchanges[key] = left[1:]
	}
	<-r.lock
	if len(left) == 0 {
		return false, nil
	}
	body, err := os.Open("/bodies/" + left[0].SHA256)
	if err != nil {
		return false, err
	}
	defer body.Close()
	return true, use(&answer{left[0].Status, left[0].Headers, left[0].Size, body})
}
