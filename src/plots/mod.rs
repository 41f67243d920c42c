//! Numbers as curves in a PNG. The only place that knows plotters.

mod curves;

use std::sync::Once;

use image::{ExtendedColorType, ImageEncoder};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{BoldPoints, DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::register_font;

pub use curves::{evaluation_pictures, strips};

/// One drawn thing of a chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// In the legend; empty for none.
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub look: Look,
    /// `(x, low, high)` error bars.
    pub bars: Vec<(f64, f64, f64)>,
}

impl Series {
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, ..Self::default() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Look {
    #[default]
    Line,
    /// A thin grey broken line, for what curves are compared with.
    Reference,
    /// Dots joined by a line.
    Dots,
}

/// Where the legend stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Legend {
    #[default]
    LowerRight,
    LowerLeft,
    UpperLeft,
    UpperRight,
}

/// A chart. Points that are no numbers are gaps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chart {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    /// What the data span where `None`.
    pub x_range: Option<(f64, f64)>,
    pub y_range: Option<(f64, f64)>,
    /// x is counted, as epochs and slices are: marks stand at whole numbers only.
    pub x_is_counted: bool,
    pub series: Vec<Series>,
    /// Spans of x with a tinted ground.
    pub shades: Vec<(f64, f64)>,
    pub legend: Legend,
    /// Width and height of its place on a page; the picture has twice as many pixels. 760 x 560 where 0.
    pub size_px: (u32, u32),
}

#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("the plot could not be drawn: {0}")]
    Draw(String),
    #[error("the plot could not be written as PNG: {0}")]
    Png(#[from] image::ImageError),
}

/// Told apart in the common kinds of colour blindness (Okabe and Ito 2008), and by their order in the legend.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 94, 0),
];
const GREY: RGBColor = RGBColor(120, 120, 120);
const INK: RGBColor = RGBColor(30, 30, 30);
const FONT: &str = "sans-serif";
/// Everything is drawn so many times as large as its place on a page.
const SCALE: u32 = 2;
/// Height of the line of small print below the charts.
const FOOT_PX: u32 = 26 * SCALE;

/// One chart as PNG.
///
/// # Errors
/// Plotters or the PNG encoder failed.
pub fn chart(chart: &Chart) -> Result<Vec<u8>, PlotError> {
    charts(std::slice::from_ref(chart), 1)
}

/// Several charts in a grid in one PNG; all have the size of the first.
///
/// # Errors
/// As [`chart`].
pub fn charts(charts: &[Chart], columns: usize) -> Result<Vec<u8>, PlotError> {
    register();
    let (width, height) = charts.first().map_or((0, 0), |chart| chart.size_px);
    let (width, height) = if width == 0 || height == 0 { (760, 560) } else { (width, height) };
    let (width, height) = (width * SCALE, height * SCALE);
    let columns = columns.clamp(1, charts.len().max(1));
    let rows = charts.len().div_ceil(columns).max(1);
    let size = (width * columns as u32, height * rows as u32 + FOOT_PX);
    let mut pixels = vec![255u8; size.0 as usize * size.1 as usize * 3];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (body, foot) = root.split_vertically(size.1 - FOOT_PX);
        for (chart, area) in charts.iter().zip(body.split_evenly((rows, columns))) {
            draw(chart, &area)?;
        }
        let style = (FONT, 15 * SCALE).into_font().color(&GREY);
        foot.draw(&Text::new(crate::RESEARCH_LINE_SHORT, (28, 8), style)).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png).write_image(&pixels, size.0, size.1, ExtendedColorType::Rgb8)?;
    Ok(png)
}

/// Gives plotters its one typeface, that of the window.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_err() {
            log::error!("the typeface for plots could not be read");
        }
    });
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

fn draw(chart: &Chart, area: &Area<'_>) -> Result<(), PlotError> {
    let ranges = [ranged(chart, chart.x_range, |p| p.0), ranged(chart, chart.y_range, |p| p.1)];
    let [x, y] = ranges;
    let mut context = ChartBuilder::on(area)
        .caption(&chart.title, (FONT, 21 * SCALE).into_font().color(&INK))
        .margin(12 * SCALE)
        .margin_right(22 * SCALE)
        .x_label_area_size(44 * SCALE)
        .y_label_area_size(62 * SCALE)
        .build_cartesian_2d(Axis::new(x, chart.x_is_counted), y.0..y.1)
        .map_err(failed)?;
    let shades = chart.shades.iter().map(|&(from, to)| {
        Rectangle::new([(from.max(x.0), y.0), (to.min(x.1), y.1)], RGBColor(255, 226, 190).filled())
    });
    context.draw_series(shades).map_err(failed)?;
    context
        .configure_mesh()
        .x_desc(&chart.x_label)
        .y_desc(&chart.y_label)
        .axis_desc_style((FONT, 17 * SCALE).into_font().color(&INK))
        .label_style((FONT, 15 * SCALE).into_font().color(&INK))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(GREY)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()
        .map_err(failed)?;
    let mut colours = COLOURS.iter().cycle();
    for series in &chart.series {
        let colour = if series.look == Look::Reference { GREY } else { *colours.next().unwrap_or(&INK) };
        draw_series(series, colour, &mut context)?;
    }
    if chart.series.iter().any(|series| !series.name.is_empty()) {
        let position = match chart.legend {
            Legend::LowerRight => SeriesLabelPosition::LowerRight,
            Legend::LowerLeft => SeriesLabelPosition::LowerLeft,
            Legend::UpperLeft => SeriesLabelPosition::UpperLeft,
            Legend::UpperRight => SeriesLabelPosition::UpperRight,
        };
        context
            .configure_series_labels()
            .position(position)
            .margin(12 * SCALE)
            .label_font((FONT, 16 * SCALE).into_font().color(&INK))
            .legend_area_size(24 * SCALE)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .draw()
            .map_err(failed)?;
    }
    Ok(())
}

type Context<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<Axis, RangedCoordf64>>;

fn draw_series(series: &Series, colour: RGBColor, context: &mut Context<'_, '_>) -> Result<(), PlotError> {
    let bars = series.bars.iter().filter(|bar| [bar.0, bar.1, bar.2].iter().all(|v| v.is_finite()));
    let bars =
        bars.map(|&(x, low, high)| PathElement::new([(x, low), (x, high)], colour.mix(0.55).stroke_width(2 * SCALE)));
    context.draw_series(bars).map_err(failed)?;
    // Runs between gaps.
    let mut first = true;
    for run in series.points.split(|p| !(p.0.is_finite() && p.1.is_finite())).filter(|run| !run.is_empty()) {
        let points = run.iter().copied();
        let drawn = match series.look {
            Look::Reference => {
                context.draw_series(DashedLineSeries::new(points, 6 * SCALE, 5 * SCALE, colour.stroke_width(SCALE)))
            }
            Look::Line => context.draw_series(LineSeries::new(points, colour.stroke_width(2 * SCALE))),
            Look::Dots => context
                .draw_series(LineSeries::new(points, colour.stroke_width(2 * SCALE).filled()).point_size(4 * SCALE)),
        };
        let annotation = drawn.map_err(failed)?;
        if first && !series.name.is_empty() {
            let width = if series.look == Look::Reference { SCALE } else { 3 * SCALE };
            annotation
                .label(series.name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 36, y)], colour.stroke_width(width)));
        }
        first = false;
    }
    Ok(())
}

/// The x axis with marks of our choice. (plotters' own combinator for that has no labels for f64.)
struct Axis {
    range: RangedCoordf64,
    marks: Vec<f64>,
}

impl Axis {
    fn new(range: (f64, f64), counted: bool) -> Self {
        Self { range: (range.0..range.1).into(), marks: x_marks(range, counted) }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Lines between the marks are not drawn.
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }
    fn range(&self) -> std::ops::Range<f64> {
        self.range.range()
    }
}

/// Where the x axis has its marks; whole numbers are 1, 2 or 5 apart, or ten times that and so on.
fn x_marks((low, high): (f64, f64), counted: bool) -> Vec<f64> {
    const MOST: usize = 11;
    if !counted {
        return RangedCoordf64::from(low..high).key_points(BoldPoints(MOST));
    }
    let mut steps = (0..=15).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    let Some(step) = steps.find(|step| (high - low) / step < MOST as f64) else { return Vec::new() };
    let first = (low / step).ceil();
    (0..MOST).map(|mark| step * (first + mark as f64)).take_while(|mark| *mark <= high).collect()
}

/// The range asked for, or what the data span with a little room; never empty.
fn ranged(chart: &Chart, asked: Option<(f64, f64)>, of: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let usable = |range: &(f64, f64)| range.0.is_finite() && range.1.is_finite() && range.0 < range.1;
    if let Some(range) = asked.filter(usable) {
        return range;
    }
    let values = chart.series.iter().flat_map(|series| &series.points).map(of).filter(|value| value.is_finite());
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    match high - low {
        span if span > 0.0 && span.is_finite() => (low - 0.03 * span, high + 0.03 * span),
        _ if low.is_finite() => (low - 0.5, high + 0.5),
        _ => (0.0, 1.0),
    }
}

/// As many digits as a label needs.
fn short(value: f64) -> String {
    let text = if value != 0.0 && value.abs() < 0.001 { format!("{value:.0e}") } else { format!("{value:.3}") };
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(png: &[u8]) -> image::RgbImage {
        image::load_from_memory(png).expect("a PNG").to_rgb8()
    }
    fn coloured(picture: &image::RgbImage, colour: RGBColor) -> usize {
        picture.pixels().filter(|p| p.0 == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn a_chart_has_its_size_and_its_line() {
        let points = vec![(0.0, 0.0), (0.5, 0.9), (1.0, 1.0)];
        let one = Chart { title: "t".into(), series: vec![Series::line("a", points)], ..Chart::default() };
        let picture = decoded(&chart(&one).expect("drawn"));
        assert_eq!(picture.dimensions(), (1520, 1120 + FOOT_PX));
        assert!(coloured(&picture, COLOURS[0]) > 500);
        let four = decoded(&charts(&vec![one; 3], 2).expect("drawn"));
        assert_eq!(four.dimensions(), (3040, 2240 + FOOT_PX));
    }

    #[test]
    fn what_is_no_number_is_a_gap_and_nothing_is_an_empty_chart() {
        let points = vec![(0.0, f64::NAN), (1.0, f64::INFINITY), (2.0, 1.0), (3.0, 2.0), (4.0, f64::NAN)];
        let one = Chart { series: vec![Series::line("a", points)], ..Chart::default() };
        assert!(coloured(&decoded(&chart(&one).expect("drawn")), COLOURS[0]) > 100);
        chart(&Chart::default()).expect("an empty chart");
        let still = Chart { series: vec![Series::line("", vec![(1.0, 5.0)])], ..Chart::default() };
        chart(&still).expect("one point");
        assert!(charts(&[], 3).is_ok());
    }

    #[test]
    fn what_is_counted_has_whole_marks() {
        assert_eq!(x_marks((0.97, 3.03), true), [1.0, 2.0, 3.0]);
        assert_eq!(x_marks((0.5, 1.5), true), [1.0]);
        assert_eq!(x_marks((1.0, 30.0), true), [5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(x_marks((-12.0, 400.0), true), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0, 400.0]);
        assert!(x_marks((0.97, 3.03), false).iter().any(|mark| mark.fract() != 0.0));
        assert!(x_marks((0.0, 1e300), true).is_empty());
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.0, 0.5, 1.0, -0.0, 0.0001, 120.0].map(short), ["0", "0.5", "1", "0", "1e-4", "120"]);
    }
}
