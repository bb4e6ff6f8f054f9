// Server is one of the Go servers that are measured: server KIND [CERT-AND-KEY.pem]. With
// the file, those that can speak https. It listens on a port that the system
// chooses and prints it. Each line on standard input is answered with the process's
// counters; at the end of standard input they are printed once more, and it ends.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("server: ")
	profile := flag.String("profile", "", "`file` for a CPU profile")
	flag.Parse()

	addr, err := start(flag.Arg(0), flag.Arg(1))
	if err != nil {
		log.Fatal(err)
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			log.Fatal(err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			log.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(port)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(counters())
	}
	fmt.Println(counters())
}

// counters says what the process has used so far.
func counters() string {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	threads, _ := os.ReadDir("/proc/self/task")
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return fmt.Sprintf("cgo=%d mallocs=%d threads=%d cpu=%f", runtime.NumCgoCall(), mem.Mallocs, len(threads), cpu.Seconds())
}
