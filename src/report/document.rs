//! A document of blocks, such as an evaluation's, set on pages: the third of its forms beside Markdown and HTML.

use std::sync::Arc;

use super::ReportError;
use super::fonts;
use super::page::{
    BODY, DIM, Flow, INK, Item, LEFT, PANEL, Page, RIGHT, RULE, SMALL, STOP, Source, Style, TOP, WIDTH, feet,
    with_replacements_told,
};
use super::raster::Raster;
use super::table;
use crate::evaluation::{Block, Document, Picture};

/// Plots are drawn for screens with twice the pixels (see [`crate::plots`]); so large the type in them is that of the text.
const POINTS_PER_PIXEL: f32 = 0.24;
/// Kept with a heading, points.
const WITH_HEADING: f32 = 70.0;

pub(super) fn pages(document: &Document, pictures: &[Picture]) -> Result<Vec<Page>, ReportError> {
    let mut flow = Flow::new();
    let mut blocks = document.blocks.iter();
    let found = |file: &String| pictures.iter().find(|picture| picture.file == *file);
    while let Some(block) = blocks.next() {
        match block {
            Block::Heading(1, text) => title(&mut flow, text),
            Block::Heading(2, text) => flow.heading(text, WITH_HEADING),
            Block::Heading(_, text) => {
                flow.ensure(WITH_HEADING);
                flow.paragraph(0.0, Style::strong(9.4, INK), text);
            }
            Block::Text(text) => {
                flow.paragraph(0.0, Style::text(BODY, INK), text);
                flow.y += 5.0;
            }
            Block::Warning(text) => warning(&mut flow, text),
            Block::List(items) => {
                items.iter().for_each(|item| list_item(&mut flow, item));
                flow.y += 5.0;
            }
            Block::Table { caption, head, rows } => table::draw(&mut flow, caption, head, rows),
            Block::Picture(file) => {
                let next = match blocks.as_slice().first() {
                    Some(Block::Picture(next)) => found(next),
                    _ => None,
                };
                let row: Vec<&Picture> = found(file).into_iter().chain(next).collect();
                blocks.by_ref().take(usize::from(next.is_some())).for_each(drop);
                picture_row(&mut flow, &row)?;
            }
        }
    }
    let mut pages = flow.pages;
    let made = with_replacements_told(&pages, crate::SOFTWARE);
    heads(&mut pages, document);
    feet(&mut pages, &made);
    Ok(pages)
}

fn title(flow: &mut Flow, text: &str) {
    flow.paragraph(0.0, Style::text(21.0, INK), text);
    let y = flow.y;
    flow.page().rule([LEFT, y], [RIGHT, y], 0.9, INK);
    flow.y = y + 8.0;
}

/// Set apart by its ground and a bar at the left.
fn warning(flow: &mut Flow, text: &str) {
    let (style, indent) = (Style::text(BODY, INK), 10.0);
    let lines = fonts::wrapped(text, style.face, style.size, WIDTH - 2.0 * indent);
    let height = lines.len() as f32 * style.line() + 8.0;
    flow.ensure(height);
    let top = flow.y;
    let page = flow.page();
    page.fill([LEFT, top, RIGHT, top + height], PANEL);
    page.fill([LEFT, top, LEFT + 2.5, top + height], STOP);
    page.block([LEFT + indent, top + 3.0], WIDTH - 2.0 * indent, style, text, lines.len());
    flow.y = top + height + 5.0;
}

fn list_item(flow: &mut Flow, text: &str) {
    let style = Style::text(BODY, INK);
    flow.ensure(style.line());
    let y = flow.y;
    flow.page().text(LEFT + 2.0, y + style.size, style, "\u{2022}");
    flow.paragraph(10.0, style, text);
    flow.y += 1.0;
}

/// One picture as wide as its type asks for, or two side by side; none wider than its part of the page, what they show below.
fn picture_row(flow: &mut Flow, row: &[&Picture]) -> Result<(), ReportError> {
    const GAP: f32 = 12.0;
    let count = row.len().max(1) as f32;
    let column = (WIDTH - GAP * (count - 1.0)) / count;
    let caption = Style::text(SMALL, DIM);
    let mut sized = Vec::with_capacity(row.len());
    for picture in row {
        let raster = Raster::from_png(&picture.png)?;
        let (width_px, height_px) = (raster.width.max(1) as f32, raster.height.max(1) as f32);
        let scale = POINTS_PER_PIXEL.min(column / width_px).min((Flow::whole_page() - 40.0) / height_px);
        sized.push(([width_px * scale, height_px * scale], Arc::new(raster), &picture.alt));
    }
    let tallest = sized.iter().map(|(size, ..)| size[1]).fold(0.0, f32::max);
    flow.ensure(tallest + 2.0 + 3.0 * caption.line());
    let top = flow.y;
    let mut below = top;
    for (place, ([width, height], raster, alt)) in sized.into_iter().enumerate() {
        let left = LEFT + place as f32 * (column + GAP);
        let rect = [left, top, left + width, top + height];
        flow.page().items.push(Item::Picture { rect, source: Source::Raster(raster) });
        below = flow.page().block([left, top + tallest + 2.0], column, caption, alt, 3).max(below);
    }
    flow.y = below + 8.0;
    Ok(())
}

/// What the pages are of, on every page but the first, which begins with it; what must not be parted from the numbers on all.
fn heads(pages: &mut [Page], document: &Document) {
    for (place, page) in pages.iter_mut().enumerate() {
        page.right(RIGHT, TOP - 14.0, Style::strong(SMALL, STOP), &document.standing);
        if place > 0 {
            page.text(LEFT, TOP - 14.0, Style::text(SMALL, DIM), &document.title);
            page.rule([LEFT, TOP - 8.0], [RIGHT, TOP - 8.0], 0.5, RULE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RESEARCH_LINE;

    fn text_of(page: &Page) -> String {
        let text = |item: &Item| match item {
            Item::Text { text, .. } => Some(text.clone()),
            _ => None,
        };
        page.items.iter().filter_map(text).collect::<Vec<_>>().join(" ")
    }
    fn example() -> (Document, Vec<Picture>) {
        let blocks = vec![
            Block::Heading(1, "Title".into()),
            Block::Warning("Take care \u{5c71}".into()),
            Block::Heading(2, "Part".into()),
            Block::List(vec!["first".into(), "second".into()]),
            Block::Table {
                caption: "Caption".into(),
                head: vec!["a".into(), "b".into()],
                rows: (0..90).map(|row| vec![format!("row {row}"), "value".into()]).collect(),
            },
            Block::Picture("missing.png".into()),
            Block::Picture("there.png".into()),
            Block::Picture("there.png".into()),
            Block::Picture("there.png".into()),
            Block::Text("The end.".into()),
        ];
        let png = crate::report::png_bytes(&[200; 3 * 40 * 30], 40, 30, image::ExtendedColorType::Rgb8).expect("PNG");
        let picture = Picture { file: "there.png".into(), alt: "A plot of grey".into(), png };
        (Document { title: "Title".into(), standing: "Synthetic".into(), blocks }, vec![picture])
    }

    #[test]
    fn every_page_has_the_research_line_and_what_the_numbers_stand_on() {
        let (document, pictures) = example();
        let pages = pages(&document, &pictures).expect("laid out");
        assert!(pages.len() > 1);
        let last = pages.len();
        for (place, page) in pages.iter().enumerate() {
            let text = text_of(page);
            assert!(text.contains(RESEARCH_LINE) && text.contains("Synthetic"), "{text}");
            assert!(text.contains(&format!("page {} of {last}", place + 1)), "{text}");
        }
        let pictures = pages.iter().flat_map(|page| &page.items).filter(|item| matches!(item, Item::Picture { .. }));
        assert_eq!(pictures.count(), 3);
        let all: String = pages.iter().map(text_of).collect();
        for said in [
            "Take care \u{25a1}",
            "second",
            "Caption",
            "row 89",
            "A plot of grey",
            "The end.",
            "stands for a character",
        ] {
            assert!(all.contains(said), "{said}");
        }
    }

    #[test]
    fn the_same_document_gives_the_same_pdf() {
        let (document, pictures) = example();
        let once = crate::report::document_pdf(&document, &pictures).expect("written");
        assert!(once.starts_with(b"%PDF-"));
        assert_eq!(once, crate::report::document_pdf(&document, &pictures).expect("written"));
        let broken = [Picture { png: b"no".to_vec(), ..pictures[0].clone() }];
        assert!(crate::report::document_pdf(&document, &broken).is_err());
    }
}
