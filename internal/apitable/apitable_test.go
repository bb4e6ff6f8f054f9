package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the module; the test skips where the library was not built, except in CI,
// which has no excuse.
func root(t *testing.T) string {
	t.Helper()
	dir, err := moduleRoot()
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(dir, includeDir)); err != nil {
		require.Empty(t, os.Getenv("CI"), "%s is not there; make lib", includeDir)
		t.Skipf("%s is not there; make lib", includeDir)
	}
	return dir
}

func TestUpToDate(t *testing.T) {
	dir := root(t)
	table, err := makeTable(dir)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(dir, output))
	require.NoError(t, err, "go generate ./nng makes it")
	assert.Equal(t, string(table.markdown()), string(got), "%s is out of date; go generate ./nng makes it again", output)

	again, err := makeTable(dir)
	require.NoError(t, err)
	assert.Equal(t, string(table.markdown()), string(again.markdown()), "the order is not the same each time")
}

// Each function that the headers declare is there once, counted in another way.
func TestAllFunctions(t *testing.T) {
	dir := root(t)
	for _, h := range headers {
		b, err := os.ReadFile(filepath.Join(dir, includeDir, h))
		require.NoError(t, err)
		names, err := readHeader(dir, h)
		require.NoError(t, err)
		assert.Len(t, names, len(regexp.MustCompile(`(?m)^NNG_DECL`).FindAllString(string(b), -1)), h)
		for _, n := range names {
			assert.Regexp(t, `^nng_(http|tls)_[a-z_]+$`, n)
		}
	}
}

func TestDeclared(t *testing.T) {
	names, err := declared("x.h", `
// NNG_DECL int in_a_comment(void);
/* NNG_DECL int in_another(void); */
NNG_DECL int nng_one(nng_url **, const char *);
NNG_DECL const char *nng_two(void);
NNG_DECL void * nng_three(
    int (*callback)(void *), // NNG_DECL
    size_t);
int not_declared(void);
`)
	require.NoError(t, err)
	assert.Equal(t, []string{"nng_one", "nng_two", "nng_three"}, names)

	for want, text := range map[string]string{
		"0 functions":                "int nng_one(void);",
		`cannot read`:                "NNG_DECL int nng_variable;",
		"cannot read the":            "NNG_DECL int\n",
		"x.h declares nng_one twice": "NNG_DECL int nng_one(void);\nNNG_DECL int nng_one(int);",
	} {
		_, err := declared("x.h", text)
		require.ErrorContains(t, err, want)
	}
}

// An empty cell is an error in words that say what is missing.
func TestEmptyCells(t *testing.T) {
	read := goFunc{recv: "Conn", name: "Read"}
	tests := []test{{"TestRead", map[string]int{"Conn.Read": 0}}}
	names := map[string][]goFunc{"nng_http_conn_read": {read}}
	full := table{{"http.h", []row{newRow("nng_http_conn_read", []goFunc{read}, tests)}}}
	require.NoError(t, full.check(names))
	assert.Equal(t, "TestRead", full[0].rows[0].test)

	untested := table{{"http.h", []row{newRow("nng_http_conn_read", []goFunc{read}, nil)}}}
	require.EqualError(t, untested.check(names), "nng_http_conn_read has no test: no test of package nng calls Conn.Read")
	nameless := table{{"http.h", []row{newRow("nng_http_conn_read", nil, tests)}}}
	require.ErrorContains(t, nameless.check(nil), "nng_http_conn_read has no Go name")
	names["nng_http_conn_raed"] = []goFunc{read}
	require.EqualError(t, full.check(names), "the comment of Conn.Read names nng_http_conn_raed, which no header declares")
}

func TestBestTest(t *testing.T) {
	set := goFunc{recv: "Handler", name: "SetHost"}
	tests := []test{
		{"TestSmall", map[string]int{"Handler.SetHost": 0}},
		{"TestHandlerHost", map[string]int{"Handler.SetHost": 2, "NewHandler": 1, "Conn.Read": 1}},
		{"TestHandlerOfHost", map[string]int{"Handler.SetHost": 2, "NewHandler": 1}},
		{"TestHandlerHostAgain", map[string]int{"Handler.SetHost": 1, "NewHandler": 1}},
		{"TestOther", map[string]int{"Conn.Read": 0}},
	}
	assert.Equal(t, "TestHandlerHostAgain", newRow("nng_http_handler_set_host", []goFunc{set}, tests).test)
	assert.Equal(t, "TestSmall", newRow("nng_http_handler_set_host", []goFunc{set}, tests[:1]).test)
	assert.Empty(t, newRow("nng_http_handler_set_host", []goFunc{set}, tests[4:]).test)
}

func TestSplitWords(t *testing.T) {
	for name, want := range map[string]string{
		"SetTLS": "Set TLS", "HoldServer": "Hold Server", "TLSConfigSetCAChain": "TLS Config Set CA Chain",
		"URI": "URI", "Read": "Read", "TLSEngineFIPSMode": "TLS Engine FIPS Mode",
	} {
		assert.Equal(t, want, strings.Join(splitWords(name), " "))
	}
}

// The innermost block of a profile decides whether a place has run.
func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "profile")
	require.NoError(t, os.WriteFile(file, []byte(`mode: set
example.com/nng/a.go:10.20,14.3 2 1
example.com/nng/a.go:11.30,13.4 1 0
example.com/nng/b.go:1.1,99.2 1 0
`), 0o600))
	p, err := readProfile(file)
	require.NoError(t, err)
	for at, want := range map[position]bool{
		{"a.go", 10, 25}: true, {"a.go", 11, 5}: true, {"a.go", 12, 3}: false, {"a.go", 13, 20}: true,
		{"a.go", 10, 5}: false, {"a.go", 15, 1}: false, {"b.go", 12, 3}: false, {"c.go", 12, 3}: false,
	} {
		assert.Equal(t, want, p.covers(at), "%v", at)
	}
}

// The shim is seen through, with its callbacks.
func TestCallSites(t *testing.T) {
	sites, err := callSites(filepath.Join(root(t), "nng"))
	require.NoError(t, err)
	for _, c := range []string{"nng_http_hijack", "nng_http_conn_read", "nng_http_handler_set_data", "nng_http_handler_get_data", "nng_tls_config_pass"} {
		assert.NotEmpty(t, sites[c], c)
	}
	assert.Empty(t, sites["nng_http_no_such_function"])
}
