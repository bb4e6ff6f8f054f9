package main

import (
	"context"
	"fmt"
	"io"

	"github.com/gonng/nnghttp/conformance"
)

// repeat plays the cases again, until that has been done so many times in all, and compares each
// outcome and each verdict with those of the first time. It returns how many of them changed.
// A run that is interrupted tells how far it got.
func repeat(ctx context.Context, run conformance.Run, first *conformance.Report, times int, out io.Writer) (changed int, err error) {
	played := 1
	defer func() {
		fmt.Fprintf(out, "%5d runs of %d cases, %d changed outcomes\n", played, len(first.Cases), changed)
	}()
	for ; played < times; played++ {
		next, err := run.Do(ctx)
		if err != nil {
			return changed, err
		}
		for i := range next.Cases {
			was, is := &first.Cases[i], &next.Cases[i]
			if is.Verdict != was.Verdict || is.Answer() != was.Answer() {
				changed++
				fmt.Fprintf(out, "run %d, %s: %s: %s\n  was %s: %s\n", played+1, is.ID,
					is.Verdict.Words(), is.Answer(), was.Verdict.Words(), was.Answer())
			}
		}
	}
	return changed, nil
}
