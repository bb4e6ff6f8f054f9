package main

import (
	"fmt"
	"image/color"
	"slices"

	"github.com/gonng/nnghttp/bench/internal/chart"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// plotThroughput draws bars for each server, in groups of one number of connections.
func plotThroughput(outcomes []outcome, file string) error {
	kinds := []struct {
		label string
		contender
	}{
		{"C handler", cHandler}, {"nng", handler}, {"nethttp", nethttp},
		{"nethttp.Listen", listener}, {"net/http", std}, {"fasthttp", fast},
	}
	conns := []int{1, 16, 64}
	p := chart.New()
	p.Title.Text = "A response of 13 bytes: requests per second"
	p.X.Label.Text = "connections"
	p.Y.Label.Text = "thousand requests/s"
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	p.Add(grid)
	const width = 12
	for i, kind := range kinds {
		values := make(plotter.Values, len(conns))
		for j, n := range conns {
			values[j] = throughput(outcomes, kind.contender, n) / 1000
		}
		bars, err := plotter.NewBarChart(values, vg.Points(width))
		if err != nil {
			return err
		}
		bars.Color = plotutil.SoftColors[i%len(plotutil.SoftColors)]
		bars.LineStyle.Width = 0
		bars.Offset = vg.Points(width * (float64(i) - float64(len(kinds)-1)/2))
		p.Add(bars)
		p.Legend.Add(kind.label, bars)
	}
	labels := make([]string, len(conns))
	for i, n := range conns {
		labels[i] = fmt.Sprint(n)
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.5, float64(len(conns))+0.3
	p.Legend.Left, p.Legend.XOffs = true, 14*vg.Centimeter // on the right, behind the bars
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.05
	p.Y.Tick.Marker = chart.Ticks(p.Y.Max, 10, "%.0f")
	return chart.Save(p, 20*vg.Centimeter, 10*vg.Centimeter, file)
}

// throughput is the median of all runs of a server under wrk's small requests.
func throughput(outcomes []outcome, kind contender, conns int) float64 {
	var runs []result
	for _, o := range outcomes {
		if o.conns != conns || o.size > 0 || o.theirs.client != nil {
			continue
		}
		if o.ours.name == kind.name {
			runs = append(runs, o.ourRuns...)
		}
		if o.theirs.name == kind.name {
			runs = append(runs, o.theirRuns...)
		}
	}
	return medianOf(runs, func(r result) float64 { return r.count / r.seconds })
}

// plotRatios draws each ratio with its spread, and its goal. Those that should be low are
// drawn as their inverse.
func plotRatios(outcomes []outcome, file string) error {
	p := chart.New()
	p.Title.Text = "Ratios: median and spread of the pairs, and the goal"
	p.X.Label.Text = "ratio to the other side, better on the right"
	p.Add(plotter.NewGrid())
	var names []string
	var goals, met, missed plotter.XYs
	for _, o := range slices.Backward(outcomes) {
		if o.goal == 0 {
			continue
		}
		name, goal := o.name, o.goal
		value, low, high := o.summary()
		if o.cpu {
			name, goal = name+" (inverse)", 1/goal
			value, low, high = 1/value, 1/high, 1/low
		}
		y := float64(len(names))
		names = append(names, name)
		spread, err := plotter.NewLine(plotter.XYs{{X: low, Y: y}, {X: high, Y: y}})
		if err != nil {
			return err
		}
		spread.Color, spread.Width = color.Gray{Y: 130}, 3
		p.Add(spread)
		goals = append(goals, plotter.XY{X: goal, Y: y})
		if o.verdict() == "ok" {
			met = append(met, plotter.XY{X: value, Y: y})
		} else {
			missed = append(missed, plotter.XY{X: value, Y: y})
		}
	}
	for _, mark := range []struct {
		name   string
		points plotter.XYs
		color  color.Color
		shape  draw.GlyphDrawer
	}{
		{"goal", goals, color.Black, draw.PlusGlyph{}},
		{"met", met, color.RGBA{R: 30, G: 130, B: 60, A: 255}, draw.CircleGlyph{}},
		{"short", missed, color.RGBA{R: 200, G: 50, B: 40, A: 255}, draw.CircleGlyph{}},
	} {
		if len(mark.points) == 0 {
			continue
		}
		scatter, err := plotter.NewScatter(mark.points)
		if err != nil {
			return err
		}
		scatter.GlyphStyle = draw.GlyphStyle{Color: mark.color, Radius: vg.Points(4), Shape: mark.shape}
		p.Add(scatter)
		p.Legend.Add(mark.name, scatter)
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.6, float64(len(names))-0.4
	p.X.Min, p.X.Max = 0, max(1.2, p.X.Max)+0.2 // with room for the legend
	p.X.Tick.Marker = chart.Ticks(p.X.Max, 0.2, "%.1f")
	return chart.Save(p, 20*vg.Centimeter, 14*vg.Centimeter, file)
}
