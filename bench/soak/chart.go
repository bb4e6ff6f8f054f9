package main

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/gonng/nnghttp/bench/internal/chart"
	"github.com/gonng/nnghttp/internal/figures"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const chartFile = "soak.svg"

var processColors = [processes]color.Color{color.RGBA{R: 31, G: 95, B: 170, A: 255}, color.RGBA{R: 217, G: 120, B: 20, A: 255}}

// writeChart draws everything over time, a panel for each.
func (s *soak) writeChart(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	const rows, columns = 3, 2
	panels := make([][]*plot.Plot, rows)
	rate, err := s.ratePanel()
	if err != nil {
		return err
	}
	all := []*plot.Plot{rate}
	for i, b := range bounds {
		if b.name == nngThreads {
			continue // they are in the panel of all threads
		}
		var part *bound
		if bounds[min(i+1, len(bounds)-1)].name == nngThreads {
			part = &bounds[i+1]
		}
		p, err := s.panel(b, part)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	for i := range rows {
		panels[i] = all[i*columns : (i+1)*columns]
		for _, p := range panels[i] {
			if i == rows-1 {
				p.X.Label.Text = "minutes since the start"
			}
		}
	}
	return chart.Draw(22*vg.Centimeter, 20*vg.Centimeter, file, func(c draw.Canvas) {
		s.drawTitle(&c)
		tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 6 * vg.Millimeter, PadY: 4 * vg.Millimeter,
			PadLeft: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter, PadBottom: 2 * vg.Millimeter}
		for i, row := range plot.Align(panels, tiles, c) {
			for j, tile := range row {
				panels[i][j].Draw(tile)
			}
		}
	})
}

// drawTitle writes the title and the legend of all panels, and takes their room off the canvas.
func (s *soak) drawTitle(c *draw.Canvas) {
	style := text.Style{Color: color.Black, Font: plot.DefaultFont, XAlign: text.XLeft, YAlign: text.YTop, Handler: plot.DefaultTextHandler}
	style.Font.Size = 14
	left, top := c.Min.X+5*vg.Millimeter, c.Max.Y-4*vg.Millimeter
	c.FillText(style, vg.Point{X: left, Y: top}, chartTitle(s.duration))
	style.Font.Size = 10
	top -= 8 * vg.Millimeter
	for i, name := range processNames {
		c.StrokeLine2(draw.LineStyle{Color: processColors[i], Width: 2}, left, top-4, left+6*vg.Millimeter, top-4)
		left += 8 * vg.Millimeter
		label := "the process with the " + name
		c.FillText(style, vg.Point{X: left, Y: top}, label)
		left += style.Width(label)*1.2 + 6*vg.Millimeter // the viewer's font may be wider
	}
	c.SetColor(shade)
	box := vg.Rectangle{Min: vg.Point{X: left, Y: top - 9}, Max: vg.Point{X: left + 6*vg.Millimeter, Y: top}}
	c.Fill(box.Path())
	c.FillText(style, vg.Point{X: left + 8*vg.Millimeter, Y: top}, "the load that counts")
	c.Max.Y = top - 7*vg.Millimeter
}

var shade = color.RGBA{R: 238, G: 241, B: 245, A: 255}

// minutes is a moment as the X axis has it.
func minutes(d time.Duration) float64 { return d.Minutes() }

// newPanel makes a panel whose Y axis reaches to the highest value.
func (s *soak) newPanel(title, unit string, highest float64) (*plot.Plot, error) {
	p := chart.New()
	p.Title.Text = title
	p.Title.TextStyle.Font.Size = 10.5
	p.Title.Padding = 4
	p.Y.Label.Text = unit
	p.X.Label.TextStyle.Font.Size, p.Y.Label.TextStyle.Font.Size = 9, 9
	p.X.Min, p.X.Max = 0, minutes(s.points[len(s.points)-1].at)
	step := niceStep(highest)
	p.Y.Min, p.Y.Max = 0, math.Max(1, math.Ceil(highest*1.05/step))*step
	format := "%.0f"
	if step < 1 {
		format = "%.1f"
	}
	p.Y.Tick.Marker = chart.Ticks(p.Y.Max, step, format)
	x := niceStep(p.X.Max * 0.7)
	format = "%.0f"
	if x < 1 {
		format = "%.1f"
	}
	if x < 0.1 {
		format = "%.2f"
	}
	p.X.Tick.Marker = chart.Ticks(p.X.Max, x, format)
	loaded, err := plotter.NewPolygon(plotter.XYs{
		{X: minutes(s.loadBegan), Y: 0}, {X: minutes(s.loadEnded), Y: 0},
		{X: minutes(s.loadEnded), Y: p.Y.Max}, {X: minutes(s.loadBegan), Y: p.Y.Max}})
	if err != nil {
		return nil, err
	}
	loaded.Color, loaded.LineStyle.Width = shade, 0
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	grid.Horizontal.Color = color.Gray{Y: 215}
	p.Add(loaded, grid)
	return p, nil
}

// niceStep divides an axis into about four parts.
func niceStep(highest float64) float64 {
	if highest <= 0 {
		return 1
	}
	raw := highest / 4
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, n := range []float64{1, 2, 5} {
		if n*unit >= raw {
			return n * unit
		}
	}
	return 10 * unit
}

func addLine(p *plot.Plot, points plotter.XYs, c color.Color) (*plotter.Line, error) {
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	line.Color, line.Width = c, 1.2
	p.Add(line)
	return line, nil
}

// ratePanel draws the requests of each second, of the first round too.
func (s *soak) ratePanel() (*plot.Plot, error) {
	var points plotter.XYs
	var before point
	highest := 0.0
	for _, p := range s.points {
		rate := 0.0
		if p.requests > before.requests {
			rate = float64(p.requests-before.requests) / (p.at - before.at).Seconds()
		}
		before = p
		points = append(points, plotter.XY{X: minutes(p.at), Y: rate})
		highest = max(highest, rate)
	}
	p, err := s.newPanel(fmt.Sprintf("%s, %d restarts", figures.Thousands(s.requests)+" requests", s.shutdowns), "requests per second", highest)
	if err != nil {
		return nil, err
	}
	_, err = addLine(p, points, color.Gray{Y: 60})
	return p, err
}

// panel draws a number of both processes, and, if there is one, a part of it with dashes.
func (s *soak) panel(b bound, part *bound) (*plot.Plot, error) {
	highest := 0.0
	for _, p := range s.points {
		for _, x := range p.samples {
			highest = max(highest, b.value(x))
		}
	}
	title := map[string]string{
		"goroutines": "Goroutines", "threads": "Threads", "open descriptors": "Open descriptors",
		"C heap": "C heap in use", "Go heap": "Go heap in use",
	}[b.name]
	unit := cmp.Or(b.unit, b.name)
	pair := func(b bound, of [processes]Sample) string {
		return fmt.Sprintf("%.*f and %s", b.decimals(), b.value(of[servers]), b.format(b.value(of[clients])))
	}
	if part == nil {
		title += fmt.Sprintf(": %s at first,\n%s in the end", pair(b, s.base), pair(b, s.end))
	} else {
		title += fmt.Sprintf(": %s at first, %s in the end;\ndashed: nng's own, %s", pair(b, s.base), pair(b, s.end), pair(*part, s.end))
	}
	p, err := s.newPanel(title, unit, highest)
	if err != nil {
		return nil, err
	}
	for i, c := range processColors {
		var points plotter.XYs
		for _, x := range s.points {
			points = append(points, plotter.XY{X: minutes(x.at), Y: b.value(x.samples[i])})
		}
		if _, err := addLine(p, points, c); err != nil {
			return nil, err
		}
		if part == nil {
			continue
		}
		for j, x := range s.points {
			points[j].Y = part.value(x.samples[i])
		}
		line, err := addLine(p, points, c)
		if err != nil {
			return nil, err
		}
		line.Dashes = []vg.Length{vg.Points(4), vg.Points(4)}
		line.DashOffs = vg.Points(4 * float64(i)) // both can be at one height
	}
	return p, nil
}
