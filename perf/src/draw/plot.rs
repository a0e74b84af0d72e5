//! A chart as SVG, to stand inside a page.
//!
//! * Colours are classes, so that the page decides what light and dark look like: `f-NAME` fills, `l-NAME` lines.
//! * Drawn at four times its size on a grid of whole numbers, so that curves are smooth.
//! * No outside reference, no script, no fixed size; a title and a description for who cannot see it.

use crate::draw::axis::Axis;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write as _;

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name, for screen readers.
    pub title: String,
    /// What it shows, in a sentence, for screen readers.
    pub description: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Bars, behind everything else.
    pub bars: Vec<Bar>,
    /// Lines and points.
    pub series: Vec<Series>,
}

/// A line with or without marks.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is, for the legend.
    pub name: String,
    /// Its colour, and whether it is dashed.
    pub ink: Ink,
    /// Marks at its points.
    pub mark: Mark,
    /// Points that may be believed, in order; the line joins them.
    pub points: Vec<(f64, f64)>,
    /// Points that may not: a cross each, outside the line.
    pub doubtful: Vec<(f64, f64)>,
}

/// A filled rectangle from corner to corner.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Left and right.
    pub x: (f64, f64),
    /// Bottom and top.
    pub y: (f64, f64),
    /// Colour.
    pub ink: Ink,
}

/// Colours by what they are for; the page gives each its light and its dark value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Text.
    Text,
    /// Lines of the grid.
    Grid,
    /// What measurements are compared with; dashed.
    Limit,
    /// Series by their number, from 0; they differ in colour and dashes.
    Series(u8),
}

/// Marks at points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// None.
    None,
    /// A disc.
    Disc,
    /// A triangle.
    Triangle,
    /// A square.
    Square,
    /// None: the colour of bars.
    Bar,
}

/// How large a chart is drawn, in pixels of its text; the page stretches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// Marks on the horizontal axis, at most.
    pub x_marks: usize,
    /// Marks on the vertical axis, at most.
    pub y_marks: usize,
}

impl Ink {
    /// The name in classes.
    pub fn name(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Grid => "grid".to_owned(),
            Self::Limit => "limit".to_owned(),
            Self::Series(number) => format!("s{}", number % SERIES_INKS),
        }
    }

    /// The colour that stands for it until the drawing is done.
    fn colour(self) -> RGBColor {
        RGBColor(
            0,
            0,
            match self {
                Self::Text => 1,
                Self::Grid => 2,
                Self::Limit => 3,
                Self::Series(number) => 4 + number % SERIES_INKS,
            },
        )
    }

    fn all() -> impl Iterator<Item = Self> {
        [Self::Text, Self::Grid, Self::Limit].into_iter().chain((0..SERIES_INKS).map(Ink::Series))
    }
}

type Canvas<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws a figure; `id` must be unique on its page.
///
/// # Errors
/// An axis whose ends are no numbers.
pub fn draw(figure: &Figure, size: Size, id: &str) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (px(size.width), px(size.height))).into_drawing_area();
        axis_names(&root, figure, size)?;
        let (x_ends, y_ends) = (figure.x.ends(), figure.y.ends());
        let mut canvas: Canvas<'_, '_> = ChartBuilder::on(&root)
            .margin_top(px(TOP))
            .margin_right(px(RIGHT))
            .margin_bottom(px(BOTTOM))
            .x_label_area_size(px(X_LABELS))
            .y_label_area_size(px(Y_LABELS))
            .build_cartesian_2d(x_ends.0..x_ends.1, y_ends.0..y_ends.1)?;
        grid(&root, &mut canvas, figure, size)?;
        bars(&mut canvas, figure)?;
        for series in &figure.series {
            draw_series(&mut canvas, figure, series)?;
        }
        root.present()?;
    }
    Ok(for_page(&svg, figure, size, id))
}

/// The glyph of a series for a legend.
pub fn glyph(ink: Ink, mark: Mark) -> String {
    let name = ink.name();
    let shape = match mark {
        Mark::Bar => format!("<rect class=\"f-{name}\" x=\"6\" width=\"12\" height=\"12\"/>"),
        Mark::None => String::new(),
        Mark::Disc => format!("<circle class=\"f-{name}\" cx=\"12\" cy=\"6\" r=\"3.5\"/>"),
        Mark::Triangle => format!("<polygon class=\"f-{name}\" points=\"12,1.5 16.5,9.5 7.5,9.5\"/>"),
        Mark::Square => format!("<rect class=\"f-{name}\" x=\"8.5\" y=\"2.5\" width=\"7\" height=\"7\"/>"),
    };
    let line = match mark {
        Mark::Bar => String::new(),
        _ => format!("<polyline class=\"l-{name}\" fill=\"none\" stroke-width=\"2\" points=\"0,6 24,6\"/>"),
    };
    format!("<svg class=\"glyph\" viewBox=\"0 0 24 12\" aria-hidden=\"true\">{line}{shape}</svg>")
}

/// The names of the axes stand level: that of y above it, that of x below its right end.
fn axis_names(root: &DrawingArea<SVGBackend<'_>, Shift>, figure: &Figure, size: Size) -> anyhow::Result<()> {
    let (top_left, bottom_right) = (Pos::new(HPos::Left, VPos::Top), Pos::new(HPos::Right, VPos::Bottom));
    let right = place(px(size.width - RIGHT));
    root.draw_text(&figure.y.label, &text(Ink::Text).pos(top_left), (place(px(4)), place(px(4))))?;
    root.draw_text(&figure.x.label, &text(Ink::Text).pos(bottom_right), (right, place(px(size.height - 3))))?;
    Ok(())
}

/// A line and a number for every mark of both axes. The library's own mesh cannot be told which values to mark.
fn grid(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    canvas: &mut Canvas<'_, '_>,
    figure: &Figure,
    size: Size,
) -> anyhow::Result<()> {
    let ((left, right), (bottom, top)) = (figure.x.ends(), figure.y.ends());
    for (x, written) in placed(&figure.x, size.x_marks) {
        canvas.draw_series(LineSeries::new([(x, bottom), (x, top)], line(Ink::Grid, 1)))?;
        let (at, below) = canvas.backend_coord(&(x, bottom));
        let centred = text(Ink::Text).pos(Pos::new(HPos::Center, VPos::Top));
        root.draw_text(&written, &centred, (at, below + place(px(6))))?;
    }
    for (y, written) in placed(&figure.y, size.y_marks) {
        canvas.draw_series(LineSeries::new([(left, y), (right, y)], line(Ink::Grid, 1)))?;
        let (beside, at) = canvas.backend_coord(&(left, y));
        let to_the_left = text(Ink::Text).pos(Pos::new(HPos::Right, VPos::Center));
        root.draw_text(&written, &to_the_left, (beside - place(px(8)), at))?;
    }
    Ok(())
}

fn bars(canvas: &mut Canvas<'_, '_>, figure: &Figure) -> anyhow::Result<()> {
    let corners = |bar: &Bar| {
        let corner = |x, y| Some((figure.x.place(x)?, figure.y.place(y)?));
        Some([corner(bar.x.0, bar.y.0)?, corner(bar.x.1, bar.y.1)?])
    };
    let drawn = figure.bars.iter().filter_map(|bar| Some((corners(bar)?, bar.ink)));
    canvas.draw_series(drawn.map(|(corners, ink)| Rectangle::new(corners, ink.colour().filled())))?;
    Ok(())
}

fn draw_series(canvas: &mut Canvas<'_, '_>, figure: &Figure, series: &Series) -> anyhow::Result<()> {
    let placed = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points.iter().filter_map(|(x, y)| Some((figure.x.place(*x)?, figure.y.place(*y)?))).collect()
    };
    let (points, doubtful) = (placed(&series.points), placed(&series.doubtful));
    let fill = series.ink.colour().filled();
    let half = place(px(3));
    canvas.draw_series(LineSeries::new(points.iter().copied(), line(series.ink, 2)))?;
    match series.mark {
        Mark::None | Mark::Bar => {}
        Mark::Disc => {
            canvas.draw_series(points.iter().map(|at| Circle::new(*at, half + 1, fill)))?;
        }
        Mark::Triangle => {
            canvas.draw_series(points.iter().map(|at| TriangleMarker::new(*at, half + 4, fill)))?;
        }
        Mark::Square => {
            let square = |at: &(f64, f64)| {
                EmptyElement::at(*at) + Rectangle::new([(-half, -half), (half, half)], fill)
            };
            canvas.draw_series(points.iter().map(square))?;
        }
    }
    canvas.draw_series(doubtful.iter().map(|at| Cross::new(*at, half + 1, line(series.ink, 2))))?;
    Ok(())
}

fn placed(axis: &Axis, most: usize) -> Vec<(f64, String)> {
    let ticks = axis.ticks(most).into_iter();
    ticks.filter_map(|(value, written)| Some((axis.place(value)?, written))).collect()
}

/// Turns the library's fixed colours and size into classes and a shape that the page stretches.
fn for_page(svg: &str, figure: &Figure, size: Size, id: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let mut body = body.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "");
    for ink in Ink::all() {
        let RGBColor(red, green, blue) = ink.colour();
        let (colour, name) = (format!("#{red:02X}{green:02X}{blue:02X}"), ink.name());
        body = body.replace(&format!("fill=\"{colour}\""), &format!("class=\"f-{name}\""));
        body = body.replace(&format!("stroke=\"{colour}\""), &format!("class=\"l-{name}\""));
    }
    let (width, height) = (px(size.width), px(size.height));
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n{body}",
        escaped(&figure.title),
        escaped(&figure.description)
    );
    page
}

/// Text as it may stand in HTML and SVG.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

fn line(ink: Ink, width: u32) -> ShapeStyle {
    ink.colour().stroke_width(px(width))
}

fn text(ink: Ink) -> TextStyle<'static> {
    // The library writes sizes divided by this.
    let size = f64::from(px(TEXT)) * 1.24;
    ("sans-serif", size).into_font().color(&ink.colour())
}

/// Pixels on the drawing's grid.
fn px(pixels: u32) -> u32 {
    pixels.saturating_mul(GRID)
}

/// A length as a coordinate.
fn place(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Places of the drawing's grid per pixel.
const GRID: u32 = 4;
/// Colours of series.
pub const SERIES_INKS: u8 = 5;
/// Height of text, pixels.
const TEXT: u32 = 13;
const TOP: u32 = 28;
const RIGHT: u32 = 28;
const BOTTOM: u32 = 20;
const X_LABELS: u32 = 24;
const Y_LABELS: u32 = 54;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::compact;

    fn figure() -> Figure {
        let values = || [10_000.0, 160_000.0].into_iter();
        Figure {
            title: "Rates <of> \"this\"".to_owned(),
            description: "What came through".to_owned(),
            x: Axis::log("offered, datagrams/s", values(), compact),
            y: Axis::linear("delivered & lost", values(), compact),
            bars: vec![Bar { x: (20_000.0, 30_000.0), y: (0.0, 50_000.0), ink: Ink::Series(1) }],
            series: vec![
                Series {
                    name: "a".to_owned(),
                    ink: Ink::Series(0),
                    mark: Mark::Square,
                    points: vec![(10_000.0, 10_000.0), (160_000.0, 150_000.0)],
                    doubtful: vec![(0.0, 1.0), (80_000.0, 70_000.0), (f64::NAN, 1.0)],
                },
                Series {
                    name: "b".to_owned(),
                    ink: Ink::Limit,
                    mark: Mark::None,
                    points: Vec::new(),
                    doubtful: Vec::new(),
                },
            ],
        }
    }

    #[test]
    fn colours_are_classes_and_nothing_is_outside() {
        let size = Size { width: 600, height: 300, x_marks: 7, y_marks: 5 };
        let svg = draw(&figure(), size, "x").unwrap();
        assert!(!svg.contains('#') && !svg.contains("http") && !svg.contains("NaN"), "{svg}");
        assert!(svg.contains("class=\"f-text\"") && svg.contains("class=\"l-grid\""));
        assert!(svg.contains("class=\"l-s0\"") && svg.contains("class=\"f-s1\""));
        assert!(svg.contains("Rates &lt;of&gt; &quot;this&quot;") && svg.contains("delivered &amp; lost"));
        assert!(svg.contains("viewBox=\"0 0 2400 1200\"") && svg.trim_end().ends_with("</svg>"));
        // Points without a place are left out; the doubtful one is a cross of two strokes, and the line has no third point.
        let line = svg.lines().find(|line| line.starts_with("<polyline") && line.contains("l-s0")).unwrap();
        let points = line.split("points=\"").nth(1).unwrap().split_whitespace();
        assert_eq!(
            (points.filter(|point| point.contains(',')).count(), svg.matches("<line ").count()),
            (2, 2)
        );
    }

    #[test]
    fn marks_differ_in_shape() {
        let shapes =
            [Mark::None, Mark::Disc, Mark::Triangle, Mark::Square].map(|mark| glyph(Ink::Series(0), mark));
        let names = ["", "<circle", "<polygon", "<rect"];
        assert!(shapes.iter().zip(names).all(|(shape, name)| shape.contains(name)));
    }
}
