package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/gonng/nnghttp/nng"
)

// addKinds adds the routes that need another kind of handler, or a setting of one. It writes files
// into the folder dir.
func addKinds(srv *nng.Server, dir string) error {
	for name, content := range map[string]string{"index.html": "index\n", "a.txt": "a\n", "empty.txt": "", "gone.html": "<p>gone</p>\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			return err
		}
	}
	if err := srv.SetErrorPage(503, "<p>error</p>\n"); err != nil {
		return err
	}
	if err := srv.SetErrorFile(410, filepath.Join(dir, "gone.html")); err != nil {
		return err
	}
	failing := func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := nng.NewErrorResponse(503)
		if err != nil {
			return nil, err
		}
		if err := srv.ResError(res); err != nil {
			return nil, err
		}
		return res, res.SetHeader("Content-Type", "text/html")
	}
	for _, alloc := range []func() (*nng.Handler, error){
		func() (*nng.Handler, error) { return nng.NewHandler("/get", echo) }, // GET is the default
		func() (*nng.Handler, error) {
			h, err := nng.NewHandler("/small", echo)
			if err == nil {
				err = h.SetMethod("")
			}
			if err == nil {
				err = h.CollectBody(true, 16)
			}
			return h, err
		},
		func() (*nng.Handler, error) {
			return nng.NewHandler("/late", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
				time.Sleep(300 * time.Millisecond)
				return response(200, "late\n")
			})
		},
		func() (*nng.Handler, error) {
			h, err := nng.NewHandler("/virtual", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
				return response(200, "virtual\n")
			})
			if err == nil {
				err = h.SetHost("virtual.example")
			}
			return h, err
		},
		func() (*nng.Handler, error) { return nng.NewRedirectHandler("/moved", 301, "/static") },
		func() (*nng.Handler, error) { return nng.NewHandler("/error", failing) },
		func() (*nng.Handler, error) {
			return nng.NewHandler("/gone", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
				return nng.NewErrorResponse(410) // the server finds the page
			})
		},
		func() (*nng.Handler, error) {
			return nng.NewHandler("/fail", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
				return nil, errors.New("failed")
			})
		},
		func() (*nng.Handler, error) { return nng.NewHandler("/fields", fields) },
		func() (*nng.Handler, error) { return nng.NewDirectoryHandler("/files", dir) },
	} {
		h, err := alloc()
		if err != nil {
			return err
		}
		if err := srv.AddHandler(h); err != nil {
			return err
		}
	}
	return nil
}

func fields(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
	res, err := response(200, "fields\n")
	if err != nil {
		return nil, err
	}
	return res, errors.Join(res.AddHeader("X-A", "1"), res.AddHeader("X-A", "2"),
		res.SetHeader("X-B", "1"), res.DelHeader("x-b"))
}
