package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image/color"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gonng/nnghttp/bench/internal/chart"
	record "github.com/gonng/nnghttp/internal/figures"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// headCost is the name of the figure that compares the CPU time of a request with the size of
// its header section. It writes a section of its own, because it is complete in itself.
const headCost = "head-cost"

// headGoal is how many times of net/http's CPU time nethttp may take, whatever the head.
const headGoal = 3

// A headKind says what fills a head.
type headKind struct {
	name  string
	field func(room int) int // the bytes of the next line, of those that are left
}

var headKinds = []headKind{
	{"many small fields", func(room int) int { return 72 }},
	{"few large fields", func(room int) int { return 16 << 10 }},
}

// headSizes are those of whole heads, in bytes.
var headSizes = []int{205, 1 << 10, 4 << 10, 16 << 10, 64 << 10}

// makeHead makes a head of exactly that size.
func makeHead(k headKind, size int) string {
	const first, last = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", "\r\n"
	const least = len("X-000: y\r\n")
	var b strings.Builder
	b.WriteString(first)
	for n := 0; ; n++ {
		room := size - b.Len() - len(last)
		if room < least {
			break
		}
		line := min(room, k.field(room))
		if room-line < least { // or the rest would be too short for a line
			line = room
		}
		name := fmt.Sprintf("X-%03d: ", n)
		b.WriteString(name + strings.Repeat("y", line-len(name)-2) + "\r\n")
	}
	return b.String() + last
}

// A headOutcome is what one head costs: CPU seconds for a request, in pairs of runs.
type headOutcome struct {
	kind         string
	size         int
	ours, theirs []float64
}

func (o *headOutcome) ratio() float64 {
	ratios := make([]float64, len(o.ours))
	for i := range ratios {
		ratios[i] = o.ours[i] / o.theirs[i]
	}
	return median(ratios)
}

func (o *headOutcome) line() string {
	return fmt.Sprintf("ratio %s-%s %.2f goal %d %s", headCost, o.name(), o.ratio(), headGoal, verdict(o.ratio() <= headGoal))
}

// name is a name like those of figures.
func (o *headOutcome) name() string {
	return kibibytes(o.size) + "k-" + strings.ReplaceAll(o.kind, " ", "-")
}

// kibibytes writes a size with one decimal place at most.
func kibibytes(size int) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(size)/1024), ".0")
}

// measureHeads measures both servers in turn, for each head.
func (b *bench) measureHeads(ctx context.Context) (all []headOutcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(float64(4*len(headKinds)*len(headSizes)*b.pairs)*b.seconds*float64(time.Second)))
	defer cancel()
	var servers [2]*process
	for i, c := range []contender{nethttp, std} {
		p, err := startServer(ctx, b.program(figure{}, c.server, false)...)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		servers[i] = p
	}
	for _, k := range headKinds {
		for _, size := range headSizes {
			o := headOutcome{kind: k.name, size: size}
			head := makeHead(k, size)
			for range b.pairs {
				var cost [2]float64
				for i, p := range servers {
					if cost[i], err = b.costOf(ctx, p, head); err != nil {
						return nil, err
					}
				}
				o.ours, o.theirs = append(o.ours, cost[0]), append(o.theirs, cost[1])
			}
			log.Printf("%s: nethttp %.1f µs, net/http %.1f µs", o.name(), median(o.ours)*1e6, median(o.theirs)*1e6)
			all = append(all, o)
		}
	}
	return all, nil
}

// costOf sends a request again and again for half the time of a run, and returns the CPU time
// of the server for each.
func (b *bench) costOf(ctx context.Context, p *process, head string) (seconds float64, err error) {
	conn, err := dial(ctx, p.port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for range 10 { // which do not count
		if err := getHead(conn, in, head); err != nil {
			return 0, err
		}
	}
	before, err := p.counters()
	if err != nil {
		return 0, err
	}
	n := 0
	for end := time.Now().Add(time.Duration(b.seconds / 2 * float64(time.Second))); time.Now().Before(end); n++ {
		if err := getHead(conn, in, head); err != nil {
			return 0, err
		}
	}
	after, err := p.counters()
	return (after["cpu"] - before["cpu"]) / float64(n), err
}

func getHead(conn net.Conn, in *bufio.Reader, head string) error {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("a head of %d bytes was answered with %s", len(head), res.Status)
	}
	return nil
}

// writeHeads writes the section of the page, and its picture.
func (b *bench) writeHeads(all []headOutcome) error {
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	if err := plotHeads(all, filepath.Join(pictures, "heads.svg")); err != nil {
		return err
	}
	return record.Replace(page, headCost, b.headSection(all))
}

func (b *bench) headSection(all []headOutcome) string {
	var s strings.Builder
	s.WriteString("| header section | bytes | fields | nethttp, CPU µs | net/http, CPU µs | ratio | goal | |\n|---|---:|---:|---:|---:|---:|---:|---|\n")
	for i, o := range all {
		head := makeHead(headKinds[i/len(headSizes)], o.size)
		fmt.Fprintf(&s, "| %s KiB, %s | %d | %d | %.1f | %.1f | %.2f | %d | %s |\n", kibibytes(o.size), o.kind, len(head),
			strings.Count(head, "\r\n")-2, median(o.ours)*1e6, median(o.theirs)*1e6, o.ratio(), headGoal, verdict(o.ratio() <= headGoal))
	}
	fmt.Fprintf(&s, "\n![%s](benchmarks/heads.svg)\n\nMeasured with `make bench BENCH='-only %s'`: %d pairs of runs of %g s for each size, one connection. %s.\n",
		headTitle(all), headCost, b.pairs, b.seconds/2, record.Machine())
	return s.String()
}

// headTitle says the largest ratio.
func headTitle(all []headOutcome) string {
	worst := 0.0
	for _, o := range all {
		worst = max(worst, o.ratio())
	}
	return fmt.Sprintf("A request's CPU time by the size of its header section: at most %.1f times net/http's", worst)
}

// plotHeads draws the CPU time over the size, both with logarithms.
func plotHeads(all []headOutcome, file string) error {
	p := chart.New()
	p.Title.Text = headTitle(all)
	p.Title.TextStyle.Font.Size, p.X.Label.TextStyle.Font.Size, p.Y.Label.TextStyle.Font.Size = 12, 10, 10
	p.X.Label.Text = "header section, KiB"
	p.Y.Label.Text = "CPU µs of the server per request"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{Y: 225}, nil
	p.Add(grid)
	blue, orange := color.RGBA{R: 31, G: 95, B: 170, A: 255}, color.RGBA{R: 217, G: 120, B: 20, A: 255}
	lowest, highest := math.Inf(1), 0.0
	for i, k := range headKinds {
		for _, side := range []struct {
			name  string
			color color.Color
			cost  func(headOutcome) []float64
		}{
			{"nethttp", blue, func(o headOutcome) []float64 { return o.ours }},
			{"net/http", orange, func(o headOutcome) []float64 { return o.theirs }},
		} {
			var points plotter.XYs
			for _, o := range all {
				if o.kind == k.name {
					cost := max(median(side.cost(o))*1e6, 1)
					points = append(points, plotter.XY{X: float64(o.size) / 1024, Y: cost})
					lowest, highest = min(lowest, cost), max(highest, cost)
				}
			}
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				return err
			}
			line.Color, line.Width = side.color, 1.6
			dots.GlyphStyle = draw.GlyphStyle{Color: side.color, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}
			if i > 0 {
				line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
			}
			p.Add(line, dots)
			p.Legend.Add(side.name+", "+k.name, line)
		}
	}
	p.Legend.Left, p.Legend.XOffs, p.Legend.YOffs = true, 4*vg.Millimeter, -2*vg.Millimeter
	var sizes plot.ConstantTicks
	for _, size := range headSizes {
		sizes = append(sizes, plot.Tick{Value: float64(size) / 1024, Label: kibibytes(size)})
	}
	p.X.Tick.Marker = sizes
	p.X.Min, p.X.Max = 0.18, 72
	var costs plot.ConstantTicks
	for _, cost := range []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000} {
		if cost >= lowest/2 && cost <= highest*2 {
			costs = append(costs, plot.Tick{Value: cost, Label: fmt.Sprint(cost)})
		}
	}
	p.Y.Tick.Marker = costs
	p.Y.Min, p.Y.Max = lowest/2, highest*2
	return chart.Save(p, 20*vg.Centimeter, 11*vg.Centimeter, file)
}
