// Command apitable writes docs/api.md: each function of libnng's http.h and tls.h,
// what it is called in package nng, and a test that runs it.
//
// Nothing in the table is written by hand. The C functions come from the headers of
// the library that was built, the Go names from the doc comments of package nng,
// and the tests from the type-checked source of its tests. A function without a Go
// name or without a test is an error.
//
//	apitable           write docs/api.md
//	apitable -verify   also run the tests of the table, one by one, with coverage,
//	                   and fail if one does not get to the function it stands for
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// output is the file that is generated, from the root of the module.
const output = "docs/api.md"

func main() {
	verify := flag.Bool("verify", false, "run the tests of the table and see that they run the functions")
	flag.Parse()
	if err := run(*verify); err != nil {
		fmt.Fprintf(os.Stderr, "apitable: %v\n", err)
		os.Exit(1)
	}
}

func run(verify bool) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	table, err := makeTable(root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, output), table.markdown(), 0o644); err != nil {
		return err
	}
	if verify {
		return table.verify(root)
	}
	return nil
}

// moduleRoot is the folder of go.mod, from here upwards.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("there is no go.mod here or above; run it inside the module")
		}
		dir = parent
	}
}
