package main

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"

	"github.com/gonng/nnghttp/nng"
)

//go:embed page
var pageFiles embed.FS

// pageHeaders keep the page to itself: it loads nothing, and talks to this server
// only. Isolated from other pages it also gets a clock fine enough for the round
// trips of one machine.
var pageHeaders = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Embedder-Policy": "require-corp",
	"X-Content-Type-Options":       "nosniff",
	"Cache-Control":                "no-cache",
	"Content-Type":                 "text/html; charset=utf-8",
}

// servePage answers with the page, which is put together once.
func servePage() http.HandlerFunc {
	page := buildPage()
	return func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range pageHeaders {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(page))) // nng's own clients want it
		_, _ = w.Write(page)
	}
}

// buildPage makes one document of the page's files.
func buildPage() []byte {
	read := func(name string) string {
		b, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		return string(b)
	}
	var page bytes.Buffer
	err := template.Must(template.New("page").Parse(read("page.html"))).Execute(&page, map[string]any{
		"Style":   template.CSS(read("page.css")),
		"Script":  template.JS(read("page.js")),
		"Linked":  nng.LinkInfo().String(),
		"Version": version(),
	})
	if err != nil {
		panic(err) // the template does not fit the values
	}
	return page.Bytes()
}
