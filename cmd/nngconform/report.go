package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/conformance/report"
)

type reportCmd struct {
	Reports  []string `arg:"" placeholder:"FILE" help:"Reports that run --json has written; each is a column."`
	HTML     string   `name:"html" placeholder:"FILE" help:"Write one page of HTML, with the bytes where something differs."`
	Markdown string   `placeholder:"FILE" help:"Write a page of Markdown."`
	Picture  string   `placeholder:"PATH" help:"The picture that the page of Markdown shows."`
}

func (r *reportCmd) Run(context.Context) error {
	var reports []*conformance.Report
	for _, file := range r.Reports {
		one, err := conformance.LoadReport(file)
		if err != nil {
			return err
		}
		reports = append(reports, one)
	}
	if r.HTML == "" && r.Markdown == "" {
		for _, one := range reports {
			fmt.Println(newPaint(os.Stdout).bold(one.Subject + ", compared with " + cmp.Or(one.Reference, "the rules alone")))
			table(os.Stdout, one)
			fmt.Println()
		}
		return nil
	}
	if r.HTML != "" {
		if err := write(r.HTML, func(w io.Writer) error { return report.HTML(w, reports...) }); err != nil {
			return err
		}
	}
	if r.Markdown != "" {
		return write(r.Markdown, func(w io.Writer) error { return report.Markdown(w, reports, r.Picture) })
	}
	return nil
}

// write makes a file of what a function writes.
func write(name string, fill func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(fill(w), w.Flush(), f.Close())
}
