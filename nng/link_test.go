package nng_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// builtIn is the folder of the library under test, as each link mode names it. Empty
// when the library is not ours, so that nothing is known about it.
func builtIn() string {
	folder, ours := map[string]string{
		"vendored": "nng", "noloop": "nng-noloop", "asan": "nng-asan", "reference": "nng-reference", "notls": "nng-notls", "nohttp": "nng-nohttp",
	}[nng.LinkInfo().Mode]
	if !ours {
		return ""
	}
	return filepath.Join("..", "build", folder)
}

// header reads a header of the library under test.
func header(t *testing.T, name string) string {
	t.Helper()
	if builtIn() == "" {
		t.Skipf("the headers of a %s library are not looked for", nng.LinkInfo().Mode)
	}
	b, err := os.ReadFile(filepath.Join(builtIn(), "include", filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(b)
}

func TestVersion(t *testing.T) {
	assert.Regexp(t, `^1\.\d+\.\d+`, nng.Version())
	h := header(t, "nng/nng.h")
	for i, name := range []string{"MAJOR", "MINOR", "PATCH"} {
		m := regexp.MustCompile(`#define NNG_` + name + `_VERSION (\d+)`).FindStringSubmatch(h)
		require.NotNil(t, m, name)
		assert.Equal(t, m[1], strings.Split(nng.Version(), ".")[i], name)
	}
}

func TestLinkInfo(t *testing.T) {
	info := nng.LinkInfo()
	assert.Equal(t, nng.Version(), info.Version)
	assert.True(t, info.HTTP)
	assert.Equal(t, nng.TLSEngineName(), info.TLSEngine)
	s := info.String()
	assert.Contains(t, s, "libnng "+info.Version)
	assert.Contains(t, s, info.Mode)
	assert.NotContains(t, s, "without HTTP")
	switch info.Mode {
	case "notls":
		assert.Equal(t, "none", info.TLSEngine)
		assert.Contains(t, s, "without TLS")
	case "vendored", "noloop", "asan", "reference":
		assert.Equal(t, "mbed", info.TLSEngine)
		assert.Contains(t, s, "TLS by mbed")
	}
	if info.Mode == "reference" {
		assert.Empty(t, info.Patches)
		assert.NotContains(t, s, "patches")
	}
}

// What was patched into the library is what it says.
func TestLinkInfoPatches(t *testing.T) {
	info := nng.LinkInfo()
	if info.Mode == "reference" || builtIn() == "" {
		t.Skipf("a %s library has no patches of ours", info.Mode)
	}
	files, err := filepath.Glob(filepath.Join("..", "third_party", "nng", "patches", info.Version, "*.patch"))
	require.NoError(t, err)
	if info.Mode != "noloop" {
		loop, err := filepath.Glob(filepath.Join("..", "third_party", "nng", "patches", info.Version, "loop", "*.patch"))
		require.NoError(t, err)
		files = append(files, loop...)
	}
	want := make([]string, len(files))
	for i, f := range files {
		want[i] = strings.TrimSuffix(filepath.Base(f), ".patch")
	}
	assert.ElementsMatch(t, want, info.Patches)
	for _, p := range info.Patches {
		assert.NotContains(t, p, " ")
	}
}

func TestLinkString(t *testing.T) {
	for want, l := range map[string]nng.Link{
		"libnng 1.5.2 (vendored, 2 patches, TLS by mbed)":  {Mode: "vendored", Version: "1.5.2", Patches: []string{"a", "b"}, HTTP: true, TLSEngine: "mbed"},
		"libnng 1.10.1 (system, TLS by mbed)":              {Mode: "system", Version: "1.10.1", HTTP: true, TLSEngine: "mbed"},
		"libnng 1.5.2 (notls, without TLS)":                {Mode: "notls", Version: "1.5.2", HTTP: true, TLSEngine: "none"},
		"libnng 1.5.2 (nohttp, without HTTP, TLS by mbed)": {Mode: "nohttp", Version: "1.5.2", TLSEngine: "mbed"},
	} {
		assert.Equal(t, want, l.String())
	}
}
