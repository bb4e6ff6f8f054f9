// Package chart draws the project's charts with gonum's plot, as SVG.
package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// New makes an empty plot.
func New() *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.TextStyle.Font.Size = 13
	p.Title.Padding = 10
	p.X.Padding, p.Y.Padding = 0, 0
	p.Legend.Top = true
	p.Legend.Padding = 2
	p.Legend.TextStyle.Font.Size = 10
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = 9, 9
	return p
}

// Save writes a plot as SVG.
func Save(p *plot.Plot, width, height vg.Length, file string) error {
	return Draw(width, height, file, func(c draw.Canvas) {
		p.Draw(draw.Crop(c, vg.Millimeter, -4*vg.Millimeter, vg.Millimeter, -2*vg.Millimeter))
	})
}

// Draw writes what paint draws on white as SVG. Fonts are the viewer's; some of the same widths
// are named.
func Draw(width, height vg.Length, file string, paint func(draw.Canvas)) error {
	canvas := vgsvg.New(width, height)
	c := draw.New(canvas)
	c.SetColor(color.White) // the page may be dark
	c.Fill(c.Rectangle.Path())
	paint(c)
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	text := strings.ReplaceAll(svg.String(), "font-family:Liberation Sans", "font-family:Liberation Sans,Arial,Helvetica,sans-serif")
	return os.WriteFile(file, []byte(text), 0o644)
}

// Ticks marks an axis with every multiple of step up to limit.
func Ticks(limit, step float64, format string) plot.ConstantTicks {
	var marks plot.ConstantTicks
	for i := 0; float64(i)*step <= limit; i++ {
		marks = append(marks, plot.Tick{Value: float64(i) * step, Label: fmt.Sprintf(format, float64(i)*step)})
	}
	return marks
}
