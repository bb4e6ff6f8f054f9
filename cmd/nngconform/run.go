package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

// errDiffers ends the program after a run that has found differences.
var errDiffers = errors.New("there are differences")

// A selection of cases.
type selection struct {
	Case []string           `placeholder:"PATTERN" help:"Only these cases: ids, or patterns as chunks/*."`
	Role []conformance.Role `placeholder:"ROLE" help:"Only the cases of these roles: server, client, websocket-server, websocket-client."`
}

func (s *selection) cases() ([]*conformance.Case, error) {
	all, err := conformance.Cases()
	if err != nil {
		return nil, err
	}
	var some []*conformance.Case
	for _, c := range all {
		called := len(s.Case) == 0 || slices.ContainsFunc(s.Case, func(p string) bool { ok, _ := path.Match(p, c.ID); return ok })
		if called && (len(s.Role) == 0 || slices.Contains(s.Role, c.Role())) {
			some = append(some, c)
		}
	}
	if some == nil {
		return nil, fmt.Errorf("there is no such case (%s); nngconform list shows them", strings.Join(s.Case, ", "))
	}
	return some, nil
}

type runCmd struct {
	subject
	selection
	Reference string                 `default:"nng-1.5.2-patched" help:"The recording to compare with, or none."`
	Name      string                 `default:"the subject" help:"What reports call what is tested."`
	Delivery  []conformance.Delivery `placeholder:"NAME" help:"Only these deliveries: one, apart, split, bytes."`
	Parallel  int                    `default:"16" help:"So many connections at a time."`
	Known     string                 `placeholder:"FILE" help:"A file of differences that somebody has looked at. Only what is not as it says is an error."`
	Fix       bool                   `help:"Make the file of known differences say what was found."`
	Exact     bool                   `help:"Whatever the reference does not do, too, is an error."`
	JSON      string                 `placeholder:"FILE" help:"Write a report with everything, also the bytes."`
	All       bool                   `help:"Show cases without a difference, too."`
}

func (r *runCmd) Run(ctx context.Context) error {
	cases, err := r.cases()
	if err != nil {
		return err
	}
	run := conformance.Run{Subject: r.Name, Cases: cases, Deliveries: r.Delivery, Parallel: r.Parallel}
	if r.Reference != "none" {
		if run.Reference, err = conformance.LoadRecording(r.Reference); err != nil {
			return err
		}
	}
	stop, err := r.start(ctx, &run)
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
	if r.JSON != "" {
		if err := writeJSON(r.JSON, report); err != nil {
			return err
		}
	}
	differs := false
	for _, f := range report.Cases {
		exact := f.Verdict == conformance.Same || f.Verdict == conformance.SameBroken
		differs = differs || !exact
		if r.All || r.Exact && !exact || !r.Exact && f.Verdict != conformance.Same && f.Verdict != conformance.Allowed {
			print(&f)
		}
	}
	for _, v := range conformance.Verdicts {
		if n := report.Count(v); n > 0 {
			fmt.Printf("%5d %s\n", n, v.Words())
		}
	}
	fmt.Printf("%5d cases in %.1f s\n", len(report.Cases), report.Took)
	if r.Exact && differs {
		return errDiffers
	} else if r.Exact {
		return nil
	}
	return r.judge(report)
}

// judge compares with the known differences.
func (r *runCmd) judge(report *conformance.Report) error {
	known := make(conformance.Known)
	if r.Known != "" {
		var err error
		if known, err = conformance.LoadKnown(r.Known); err != nil && !(r.Fix && errors.Is(err, fs.ErrNotExist)) {
			return err
		} else if err != nil {
			known = make(conformance.Known)
		}
	}
	if r.Fix {
		if r.Known == "" {
			return errors.New("--fix needs --known FILE")
		}
		known.Update(report)
		return known.Save(r.Known)
	}
	news := known.News(report)
	if len(news) == 0 {
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

// print shows a finding: its outcome once if all deliveries have the same.
func print(f *conformance.Finding) {
	fmt.Printf("%s: %s\n  %s\n  %s, %s\n", f.ID, f.Title, f.Verdict.Words(), f.Level, f.Source)
	shown := make(map[conformance.Outcome]bool)
	for _, o := range f.Deliveries {
		if o.Error != "" {
			fmt.Printf("  %s: %s\n", o.Delivery, o.Error)
			continue
		}
		if shown[o.Outcome] {
			continue
		}
		shown[o.Outcome] = true
		fmt.Printf("  %s: %s\n", o.Delivery, o.Outcome)
		if o.Reference != "" && o.Reference != o.Outcome {
			fmt.Printf("    the reference: %s\n", o.Reference)
		}
		if o.Why != "" {
			fmt.Printf("    %s\n", o.Why)
		}
	}
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
	stop, err := r.start(ctx, &run)
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
