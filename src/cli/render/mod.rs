//! `dens render`: one slice as a PNG, the exact grey values or a picture for people; or a plane across the slices.

mod plane;

use std::path::Path;
use std::sync::Arc;

use super::analyze::{self, Wishes};
use super::{PlaneChoice, Refusal, RenderArgs, Renderer, load};
use crate::findings::describe::{model_lines, score_text};
use crate::geometry::Plane;
use crate::gpu::offscreen::Offscreen;
use crate::report::{self, ViewPicture};
use crate::study::describe::{self, CornerText, Identity};
use crate::study::{LoadedSeries, Photometric, Refused, Series};
use crate::view::fidelity::Fidelity;
use crate::view::{
    self, HeatmapLayer, ImageLayer, ImageShape, Interpolation, PixelFromScreen, ViewDraw, ViewState, raster,
};
use crate::volume::{Slice, Window};
use crate::{RESEARCH_LINE, SOFTWARE, dicom};

/// Size of a picture when none is asked for.
const DEFAULT_SIZE: [u32; 2] = [1024, 1024];
/// Smallest edge on which the research line can be read, and the largest that still is a picture and no accident.
const EDGES: std::ops::RangeInclusive<u32> = 128..=8192;

impl From<PlaneChoice> for Plane {
    fn from(choice: PlaneChoice) -> Self {
        match choice {
            PlaneChoice::Axial => Self::Axial,
            PlaneChoice::Sagittal => Self::Sagittal,
            PlaneChoice::Coronal => Self::Coronal,
        }
    }
}

pub fn run(args: &RenderArgs) -> Result<(), Refusal> {
    if let Some(choice) = args.plane {
        return plane::run(args, choice.into());
    }
    check_extension(&args.out, "a PNG: let it end in .png")?;
    let size = args.size.as_deref().map_or(Ok(DEFAULT_SIZE), parse_size)?;
    let picked = pick(args)?;
    let png = if args.exact { exact_png(args, &picked) } else { picture_png(args, &picked, size) }?;
    report::write_atomically(&args.out, &png).map_err(Refusal::from_error)
}

/// The slice asked for.
struct Picked {
    series: Arc<Series>,
    /// 0-based, display order.
    index: usize,
    slice: Arc<Slice>,
    window: Window,
    heat: Option<Heat>,
}

/// Its map, and what must be said of a map wherever it is shown.
struct Heat {
    layer: HeatmapLayer,
    lines: Vec<String>,
}

impl Picked {
    fn draw(&self, pixel_from_screen: PixelFromScreen, interpolation: Interpolation) -> ViewDraw {
        let image = ImageLayer {
            slice: self.slice.clone(),
            window: self.window.clone(),
            invert: self.series.photometric == Photometric::Monochrome1,
            interpolation,
        };
        ViewDraw { pixel_from_screen, image, heatmap: self.heat.as_ref().map(|heat| heat.layer.clone()) }
    }
}

/// Decodes the one slice; the whole series only where the network has to see it.
fn pick(args: &RenderArgs) -> Result<Picked, Refusal> {
    if args.path == Path::new(load::DEMO_PATH) {
        let loaded = load::open_series(&args.path, args.series, &args.password)?.loaded;
        let index = slice_index(number(args), loaded.series.slices.len())?;
        return pick_loaded(args, &loaded, index);
    }
    let mut catalog = load::scanned(&args.path, &args.password)?;
    let chosen = load::choose(&catalog, args.series)?;
    let series = Arc::new(catalog.series.swap_remove(chosen));
    let index = slice_index(number(args), series.slices.len())?;
    if !args.heatmap {
        let slice = dicom::decode_slice(&series, index).map_err(|refused| refusal_of(&refused))?;
        let window = args.window.of(&series)?;
        return Ok(Picked { series, index, slice: Arc::new(slice), window, heat: None });
    }
    let read = load::with_bar("reading slices", |ctx| dicom::load_series(&series, index, ctx, &|_, _| {}))
        .map_err(Refusal::from_error)?;
    // Slices that do not decode are gone from what was loaded, so the slice is found by its file.
    let wanted = series.slices.get(index).map(|s| s.file.as_str()).unwrap_or_default();
    match read.loaded.series.slices.iter().position(|s| s.file == wanted) {
        Some(index) => pick_loaded(args, &read.loaded, index),
        None => Err(read
            .refused
            .iter()
            .find(|r| r.file == wanted)
            .map_or_else(|| Refusal(format!("slice {} could not be decoded", number(args))), refusal_of)),
    }
}

fn pick_loaded(args: &RenderArgs, loaded: &LoadedSeries, index: usize) -> Result<Picked, Refusal> {
    let slice = loaded.volume.slices().get(index).cloned();
    let slice = slice.ok_or_else(|| Refusal(format!("slice {} could not be decoded", number(args))))?;
    let window = args.window.of(&loaded.series)?;
    let heat = if args.heatmap { Some(map_of(loaded, index, args)?) } else { None };
    Ok(Picked { series: loaded.series.clone(), index, slice, window, heat })
}

/// Runs the network over the whole study, since the map's scale is the study's maximum; draws the map whatever the
/// score is, because it was asked for.
fn map_of(loaded: &LoadedSeries, index: usize, args: &RenderArgs) -> Result<Heat, Refusal> {
    if let Some(reason) = loaded.series.analysis_stop() {
        return Err(Refusal(reason));
    }
    let wishes = Wishes { weights: args.model.as_deref(), force: args.force, ..Wishes::default() };
    let findings = analyze::analyse_loaded(loaded, 0.0, wishes)?;
    let state = findings.slices.get(index);
    let layer = view::heatmap_layer(&findings, index, true, view::DEFAULT_HEATMAP_OPACITY);
    let (Some(layer), Some(score)) = (layer, state.and_then(|s| s.score())) else {
        let why = state.and_then(|s| s.excluded()).map_or("it was not analysed", |e| e.sentence());
        return Err(Refusal(format!("slice {} has no map: {why}", index + 1)));
    };
    let mut lines = vec![format!("score {}", score_text(score))];
    lines.extend(model_lines(&findings.provenance.model));
    lines.extend(findings.doubts.iter().map(|doubt| doubt.text.clone()));
    Ok(Heat { layer, lines })
}

/// The slice's number, from 1. The parser asks for it wherever there is no plane.
fn number(args: &RenderArgs) -> usize {
    args.slice.unwrap_or(0)
}

/// One grey byte per image pixel, nothing burnt in; the research line stands in the file's text.
fn exact_png(args: &RenderArgs, picked: &Picked) -> Result<Vec<u8>, Refusal> {
    let draw = picked.draw(PixelFromScreen::EXACT, Interpolation::Nearest);
    exact_grey(&draw, args.renderer).map(with_text)
}

fn exact_grey(draw: &ViewDraw, renderer: Renderer) -> Result<Vec<u8>, Refusal> {
    let slice = &draw.image.slice;
    let [width, height] = [slice.columns, slice.rows].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let grey = match renderer {
        Renderer::Cpu => raster::exact_grey8(draw),
        Renderer::Gpu => gpu_rgba(draw, width, height)?.chunks_exact(4).map(|rgba| rgba[0]).collect(),
    };
    report::png_bytes(&grey, width, height, image::ExtendedColorType::L8).map_err(Refusal::from_error)
}

/// A picture for people before it has a size.
struct Picture {
    /// Its mapping is still to be found.
    draw: ViewDraw,
    text: CornerText,
    /// `[between rows, between columns]` of the slice, where known.
    spacing_mm: Option<[f64; 2]>,
    /// How the file's pixels were compressed.
    lossy: Option<String>,
    /// What is to be said of how the values were made; that of a slice follows from its mapping.
    fidelity: Option<Fidelity>,
}

/// The slice fitted into the picture, with corner text, letters, ruler and the research line. Nobody is named on it.
fn picture_png(args: &RenderArgs, picked: &Picked, size: [u32; 2]) -> Result<Vec<u8>, Refusal> {
    let Picked { series, index, window, heat, .. } = picked;
    let mut text = describe::corner_text(series, *index, window, 1.0, Identity::Hidden);
    text.bottom_left.extend(heat.iter().flat_map(|heat| heat.lines.clone()));
    let draw = picked.draw(PixelFromScreen::EXACT, Interpolation::Linear);
    let (spacing_mm, lossy) = (series.spacing_mm, series.technique.lossy.clone());
    picture_bytes(Picture { draw, text, spacing_mm, lossy, fidelity: None }, size, args.renderer)
}

fn picture_bytes(picture: Picture, [width, height]: [u32; 2], renderer: Renderer) -> Result<Vec<u8>, Refusal> {
    let Picture { mut draw, mut text, spacing_mm, lossy, fidelity } = picture;
    let slice = &draw.image.slice;
    let shape = ImageShape { rows: slice.rows, columns: slice.columns, spacing: spacing_mm.unwrap_or([1.0, 1.0]) };
    let resolved = ViewState::default()
        .resolve(shape, f64::from(width), f64::from(height))
        .ok_or_else(|| Refusal("the slice has no pixels".to_owned()))?
        .snapped();
    draw.pixel_from_screen = resolved.pixel_from_screen;
    let of_slice = || Fidelity::of_slice(&draw.pixel_from_screen, draw.image.interpolation, lossy.as_deref());
    text.bottom_right.extend(fidelity.unwrap_or_else(of_slice).parts().map(str::to_owned));
    let picture = ViewPicture {
        draw,
        width,
        height,
        text,
        pixels_per_mm: spacing_mm.map(|_| resolved.screen_px_per_unit),
        text_scale: height as f32 / 1000.0,
        marks: Vec::new(),
    };
    let rgba = match renderer {
        Renderer::Cpu => report::view_picture(&picture),
        Renderer::Gpu => report::annotated(&picture, gpu_rgba(&picture.draw, width, height)?),
    };
    let rgb: Vec<u8> = rgba.chunks_exact(4).flat_map(|rgba| [rgba[0], rgba[1], rgba[2]]).collect();
    let png = report::png_bytes(&rgb, width, height, image::ExtendedColorType::Rgb8).map_err(Refusal::from_error)?;
    Ok(with_text(png))
}

fn gpu_rgba(draw: &ViewDraw, width: u32, height: u32) -> Result<Vec<u8>, Refusal> {
    let offscreen = Offscreen::new().map_err(gpu_refusal)?;
    log::info!("rendering on {}", offscreen.adapter_name());
    offscreen.render(draw, width, height).map_err(gpu_refusal)
}

fn gpu_refusal(error: crate::gpu::GpuError) -> Refusal {
    Refusal(format!("{error}. The same picture without graphics hardware: --renderer cpu"))
}

/// `what` is the second half of the sentence for a name that does not end in .png.
fn check_extension(path: &Path, what: &str) -> Result<(), Refusal> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Err(Refusal(format!("\"{name}\" is no name for {what}")))
}

fn parse_size(text: &str) -> Result<[u32; 2], Refusal> {
    let edge = |text: &str| text.parse().ok().filter(|n| EDGES.contains(n));
    let parsed = text.split_once(['x', 'X']).and_then(|(width, height)| Some([edge(width)?, edge(height)?]));
    parsed.ok_or_else(|| {
        let (low, high) = (EDGES.start(), EDGES.end());
        Refusal(format!("\"{text}\" is no size: give WIDTHxHEIGHT in pixels, such as 1024x1024, each {low} to {high}"))
    })
}

/// 0-based index of a slice numbered from 1.
fn slice_index(number: usize, slices: usize) -> Result<usize, Refusal> {
    number.checked_sub(1).filter(|&index| index < slices).ok_or_else(|| {
        let held = if slices == 1 { "one slice, number 1".to_owned() } else { format!("slices 1 to {slices}") };
        Refusal(format!("no slice {number}: the series holds {held}"))
    })
}

fn refusal_of(refused: &Refused) -> Refusal {
    if refused.text.contains(&refused.file) {
        return Refusal(refused.text.clone());
    }
    Refusal(format!("{}: {}", refused.file, refused.text))
}

/// The PNG with the research line and the program as text chunks behind the header (PNG 11.3.4.3).
fn with_text(png: Vec<u8>) -> Vec<u8> {
    /// Signature (8 bytes), then IHDR with length, name, 13 bytes and checksum.
    const HEADER_END: usize = 8 + 4 + 4 + 13 + 4;
    let (header, rest) = png.split_at(png.len().min(HEADER_END));
    [header, &text_chunk("Disclaimer", RESEARCH_LINE), &text_chunk("Software", SOFTWARE), rest].concat()
}

fn text_chunk(keyword: &str, text: &str) -> Vec<u8> {
    let body = [b"tEXt", keyword.as_bytes(), &[0], text.as_bytes()].concat();
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let length = (body.len() - 4) as u32;
    [&length.to_be_bytes(), &body[..], &crc.sum().to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("640x480").ok(), Some([640, 480]));
        assert_eq!(parse_size("640X480").ok(), Some([640, 480]));
        for bad in ["", "640", "0x0", "100000x100", "1024 x 1024", "-5x700", "640x480x3"] {
            let error = parse_size(bad).expect_err(bad).0;
            assert!(error.contains("such as 1024x1024"), "{error}");
        }
    }

    #[test]
    fn slice_numbers_outside_the_series_are_told_its_range() {
        assert_eq!(slice_index(64, 64).ok(), Some(63));
        assert_eq!(slice_index(0, 64).expect_err("from 1").0, "no slice 0: the series holds slices 1 to 64");
        assert_eq!(slice_index(2, 1).expect_err("one").0, "no slice 2: the series holds one slice, number 1");
    }

    #[test]
    fn only_png() {
        assert!(check_extension(Path::new("a/b.PNG"), "").is_ok());
        for bad in ["a.jpg", "png", ".png", "a.png/"] {
            let refused = check_extension(Path::new(bad), "").is_err();
            assert_eq!(refused, bad != "a.png/", "{bad}");
        }
    }

    #[test]
    fn the_text_stands_in_the_file_and_the_file_is_still_a_png() {
        let png = report::png_bytes(&[7; 6], 3, 2, image::ExtendedColorType::L8).expect("a PNG");
        let bytes = with_text(png);
        let find = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(find(RESEARCH_LINE) && find(SOFTWARE));
        let decoded = image::load_from_memory(&bytes).expect("chunks with right checksums").into_luma8();
        assert_eq!((decoded.dimensions(), decoded.as_raw().as_slice()), ((3, 2), &[7_u8; 6][..]));
    }
}
