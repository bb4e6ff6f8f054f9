package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/gonng/nnghttp/conformance"
	page "github.com/gonng/nnghttp/conformance/report"
)

// errDiffers ends the program after a run that has found differences.
var errDiffers = errors.New("there are differences")

type runCmd struct {
	subject
	selection
	Reference string                 `default:"nng-1.5.2-patched" help:"The recording to compare with, or none."`
	Name      string                 `default:"the server" help:"What reports call the server."`
	Delivery  []conformance.Delivery `placeholder:"NAME" help:"Only these deliveries: one, apart, split, bytes."`
	Parallel  int                    `default:"16" help:"So many connections at a time."`
	Times     int                    `default:"1" help:"Play everything so many times. An outcome that changes is an error."`
	Known     string                 `placeholder:"FILE" help:"A file of differences that somebody has looked at. Only what is not as it says is an error."`
	Fix       bool                   `help:"Make the file of known differences say what was found."`
	Exact     bool                   `help:"Whatever the reference does not do, too, is an error."`
	JSON      string                 `placeholder:"FILE" help:"Write a report with everything, also the bytes."`
	HTML      string                 `name:"html" placeholder:"FILE" help:"Write a page of HTML, with the bytes where something differs."`
	JUnit     string                 `name:"junit" placeholder:"FILE" help:"Write JUnit's XML, for CI."`
	All       bool                   `help:"Show cases without a difference, too."`
}

func (r *runCmd) Run(ctx context.Context) error {
	for _, d := range r.Delivery {
		if !slices.Contains(conformance.Deliveries, d) {
			return fmt.Errorf("there is no delivery %q; there are one, apart, split and bytes", d)
		}
	}
	cases, err := r.cases()
	if err != nil {
		return err
	}
	known, err := r.known()
	if err != nil {
		return err
	}
	run := conformance.Run{Subject: r.Name, Cases: cases, Deliveries: r.Delivery, Parallel: r.Parallel}
	if r.Reference != "none" {
		if run.Reference, err = conformance.LoadRecording(r.Reference); err != nil {
			return err
		}
	}
	stop, err := r.prepare(&run)
	if err != nil {
		return err
	}
	defer stop()
	bar := newProgress(os.Stderr)
	run.Progress = bar.show
	report, err := run.Do(ctx)
	bar.end()
	if err != nil {
		return err
	}
	if err := r.write(report, known); err != nil {
		return err
	}
	for i := range report.Cases {
		f := &report.Cases[i]
		if r.All || r.Exact && !exact(f) || !r.Exact && f.Verdict != conformance.Same && f.Verdict != conformance.Allowed {
			fmt.Print(page.Text(f))
		}
	}
	table(os.Stdout, report)
	if r.Times > 1 {
		changed, err := repeat(ctx, run, report, r.Times, os.Stdout)
		bar.end()
		if err != nil {
			return err
		}
		if changed > 0 {
			return errDiffers
		}
	}
	return r.judge(report, known)
}

// write makes the files that are asked for.
func (r *runCmd) write(report *conformance.Report, known conformance.Known) error {
	if r.JSON != "" {
		if err := writeJSON(r.JSON, report); err != nil {
			return err
		}
	}
	if r.HTML != "" {
		if err := write(r.HTML, func(w io.Writer) error { return page.HTML(w, report) }); err != nil {
			return err
		}
	}
	if r.JUnit == "" {
		return nil
	}
	wrong := known.Check
	if r.Exact {
		wrong = func(f *conformance.Finding) string {
			if exact(f) {
				return ""
			}
			return f.Verdict.Words() + ": " + f.Answer()
		}
	}
	return write(r.JUnit, func(w io.Writer) error { return page.JUnit(w, report, wrong) })
}

// exact reports whether a finding is as the reference.
func exact(f *conformance.Finding) bool {
	return f.Verdict == conformance.Same || f.Verdict == conformance.SameBroken
}

// known returns the known differences, none if there is no file of them.
func (r *runCmd) known() (conformance.Known, error) {
	switch {
	case r.Exact && r.Known != "":
		return nil, errors.New("--exact is for what has no known differences; leave out --known")
	case r.Fix && r.Known == "":
		return nil, errors.New("--fix needs --known FILE")
	case r.Known == "":
		return nil, nil
	}
	known, err := conformance.LoadKnown(r.Known)
	if r.Fix && errors.Is(err, fs.ErrNotExist) {
		return make(conformance.Known), nil
	}
	return known, err
}

// judge compares with the reference, or with the known differences.
func (r *runCmd) judge(report *conformance.Report, known conformance.Known) error {
	// A crash is told of the case that brought it about, if that is known; there may be others.
	crashed := len(report.Crashes) > 0
	for _, answer := range known {
		crashed = crashed && !strings.Contains(answer, string(conformance.Crashed))
	}
	if r.Exact {
		for i := range report.Cases {
			if !exact(&report.Cases[i]) {
				return errDiffers
			}
		}
		if crashed {
			return errDiffers
		}
		return nil
	}
	if r.Fix {
		known.Update(report)
		if err := known.Save(r.Known); err != nil {
			return err
		}
		fmt.Printf("%s has %d differences\n", r.Known, len(known))
		if n := report.Count(conformance.NotPlayed); n > 0 {
			return fmt.Errorf("%d cases could not be played: what is known of them has not changed", n)
		}
		return nil
	}
	news := known.News(report)
	if len(news) == 0 && !crashed {
		if n := len(known); n > 0 {
			fmt.Printf("%s has all that differs\n", r.Known)
		}
		return nil
	}
	if r.Known != "" {
		fmt.Println("not as the known differences have it:")
		for _, line := range news {
			fmt.Println("  " + line)
		}
	}
	return errDiffers
}

// writeJSON writes a value to a file.
func writeJSON(file string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o666)
}

type recordCmd struct {
	subject
	selection
	Name    string `required:"" help:"The name of the recording."`
	Library string `required:"" help:"The library and its version."`
	From    string `required:"" help:"Where the library came from: the package, or the hash of the source."`
	Rounds  int    `default:"5" help:"Each case is played so many times, and has to come out the same."`
	Out     string `required:"" help:"The file to write."`
}

func (r *recordCmd) Run(ctx context.Context) error {
	cases, err := r.cases()
	if err != nil {
		return err
	}
	bar := newProgress(os.Stderr)
	defer bar.end()
	run := conformance.Run{Cases: cases, Progress: bar.show}
	stop, err := r.prepare(&run)
	if err != nil {
		return err
	}
	defer stop()
	rec, err := run.Record(ctx, r.Name, r.Library, r.From, r.Rounds)
	if err != nil {
		return err
	}
	return writeJSON(r.Out, rec)
}
