package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
)

// Where things are, seen from the folder bench.
const (
	libDir   = "../build/nng"
	buildDir = "../build/bench"
)

// build makes the programs that are measured, and the certificate.
func (b *bench) build(ctx context.Context) error {
	var err error
	if b.bin, err = filepath.Abs(buildDir); err != nil {
		return err
	}
	if err := os.MkdirAll(b.bin, 0o755); err != nil {
		return err
	}
	sources, err := filepath.Glob("c/*.c")
	if err != nil {
		return err
	}
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".c")
		err := compile(ctx, cmp.Or(os.Getenv("CC"), "cc"), "-O2", "-Wall", "-Wextra", "-Werror", "-I"+libDir+"/include",
			"-o", filepath.Join(b.bin, name), source,
			libDir+"/lib/libnng.a", "-lmbedtls", "-lmbedx509", "-lmbedcrypto", "-lpthread")
		if err != nil {
			return err
		}
	}
	if err := compile(ctx, "go", "build", "-o", b.bin+"/", "./server", "./client"); err != nil {
		return err
	}
	cert, err := devcert.SelfSigned(24*time.Hour, "127.0.0.1")
	if err != nil {
		return err
	}
	b.cert = filepath.Join(b.bin, "cert.pem")
	return os.WriteFile(b.cert, []byte(cert.CertPEM+cert.KeyPEM), 0o600)
}

func compile(ctx context.Context, argv ...string) error {
	if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}
