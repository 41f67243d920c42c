//! The series of the study with thumbnails.

use std::sync::Arc;

use egui::{RichText, Sense, vec2};

use super::{UiCache, caption, theme};
use crate::state::{AppState, BesideCommand, Command, OpenStudy, Thumbnail};
use crate::study::mask::Mask;
use crate::study::{Series, describe};

const THUMBNAIL: f32 = 64.0;

pub fn show(ui: &mut egui::Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(study) = &state.study else { return };
    let frame = egui::Frame::NONE.fill(theme::of(ui).panel).inner_margin(egui::Margin::symmetric(8, 8));
    egui::Panel::left("series").frame(frame).default_size(216.0).size_range(150.0..=420.0).show(ui, |ui| {
        caption(ui, "Series");
        let hint = state.keymap.hint("All attributes of the slice being read, with search", "attributes");
        if ui.selectable_label(state.attributes.open, "DICOM attributes").on_hover_text(hint).clicked() {
            commands.push(Command::ToggleAttributes);
        }
        egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
            // Of several studies that are open, only those of the one being read.
            let own = state.active_row().and_then(|row| state.worklist.rows.get(row)).map(|row| &row.series);
            for (index, series) in study.catalog.series.iter().enumerate() {
                if own.is_some_and(|own| !own.contains(&index)) {
                    continue;
                }
                row(ui, state, study, cache, index, series, commands);
            }
            let refused = study.catalog.refused.len() + state.active.as_ref().map_or(0, |a| a.refused.len());
            if refused > 0 {
                ui.add_space(8.0);
                let files = if refused == 1 { "1 file was".to_owned() } else { format!("{refused} files were") };
                let text = RichText::new(format!("{files} not used: see why")).small().color(theme::of(ui).warning);
                if ui.add(egui::Button::new(text).frame(false).wrap()).clicked() {
                    commands.push(Command::ToggleNotices);
                }
            }
        });
    });
}

/// "axial 2.0 mm", "localizer", "CR"; what one looks for in a list of series.
pub fn summary(series: &Series) -> String {
    let kind = if series.is_localizer {
        "localizer".to_owned()
    } else if series.is_axial() {
        "axial".to_owned()
    } else if series.slices.first().is_some_and(|s| s.pose.is_some()) {
        "not axial".to_owned()
    } else {
        series.modality.clone()
    };
    match series.slice_spacing_mm {
        Some(mm) => format!("{kind}, every {mm:.1} mm"),
        None => kind,
    }
}

fn row(
    ui: &mut egui::Ui,
    state: &AppState,
    study: &OpenStudy,
    cache: &mut UiCache,
    index: usize,
    series: &Series,
    commands: &mut Vec<Command>,
) {
    let selected = state.active.as_ref().is_some_and(|a| a.index == index);
    let count = series.slices.len();
    let images = if count == 1 { "1 image".to_owned() } else { format!("{count} images") };
    let title = describe::series_name(series);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), THUMBNAIL + 10.0), Sense::click());
    response.widget_info(|| {
        egui::WidgetInfo::selected(
            egui::Role::ListBoxOption,
            true,
            selected,
            format!("Series {}: {title}, {images}", index + 1),
        )
    });
    let beside = state.beside().is_some_and(|beside| beside.shown.index == index);
    let fill = match (selected || beside, response.hovered()) {
        (true, _) => theme::of(ui).accent_fill,
        (false, true) => theme::of(ui).raised,
        (false, false) => theme::of(ui).panel,
    };
    ui.painter().rect_filled(rect, 2.0, fill);
    if response.has_focus() {
        ui.painter().rect_stroke(rect, 2.0, egui::Stroke::new(1.0, theme::of(ui).accent), egui::StrokeKind::Inside);
    }
    let place = egui::Rect::from_min_size(rect.min + vec2(5.0, 5.0), vec2(THUMBNAIL, THUMBNAIL));
    ui.painter().rect_filled(place, 0.0, egui::Color32::BLACK);
    if let Some(thumbnail) = study.thumbnails.get(index).and_then(Option::as_ref) {
        let texture = texture(ui.ctx(), cache, index, thumbnail);
        let scale = THUMBNAIL / thumbnail.width.max(thumbnail.height).max(1) as f32;
        let size = vec2(thumbnail.width as f32 * scale, thumbnail.height as f32 * scale);
        let uv = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::pos2(1.0, 1.0));
        ui.painter().image(texture, egui::Rect::from_center_size(place.center(), size), uv, egui::Color32::WHITE);
    }
    let text_rect = egui::Rect::from_min_max(place.right_top() + vec2(8.0, 0.0), rect.max - vec2(4.0, 4.0));
    let mut child =
        ui.new_child(egui::UiBuilder::new().max_rect(text_rect).layout(egui::Layout::top_down(egui::Align::Min)));
    child.spacing_mut().item_spacing.y = 1.0;
    let mut line = |text: RichText| child.add(egui::Label::new(text).truncate().selectable(false));
    line(RichText::new(title.clone()).color(theme::of(ui).text));
    if let Some(part) = series.part.as_ref().filter(|part| !part.by.is_empty()) {
        line(RichText::new(&part.by).small().color(theme::of(ui).dim));
    }
    line(RichText::new(summary(series)).small().color(theme::of(ui).dim));
    line(RichText::new(images).small().color(theme::of(ui).dim));
    let warnings = series.warnings.len();
    if warnings > 0 {
        let text = if warnings == 1 { "! 1 warning".to_owned() } else { format!("! {warnings} warnings") };
        line(RichText::new(text).small().color(theme::of(ui).warning));
    }
    let clicked = response.clicked();
    if !selected {
        response.context_menu(|ui| {
            if ui.button("Show beside the series being read").clicked() {
                commands.push(Command::Beside(BesideCommand::Open(index)));
                ui.close();
            }
        });
    } else if state.can_reformat() {
        response.context_menu(|ui| {
            if ui.button(state.keymap.hint("Reformat to axial", "reformat")).clicked() {
                commands.push(Command::ReformatAxial);
                ui.close();
            }
        });
    }
    response.on_hover_ui(|ui| {
        ui.label(title);
        if series.part.is_some() {
            ui.label(describe::part_text(series));
        }
        let mask = Mask::new(series, &[], state.hide_identity);
        for warning in &series.warnings {
            ui.label(RichText::new(mask.scrub(&warning.text)).color(theme::of(ui).warning));
        }
    });
    if clicked {
        commands.push(Command::ShowSeries(index));
    }
}

pub fn texture(ctx: &egui::Context, cache: &mut UiCache, index: usize, thumbnail: &Arc<Thumbnail>) -> egui::TextureId {
    if let Some((of, handle)) = cache.thumbnails.get(&index)
        && Arc::ptr_eq(of, thumbnail)
    {
        return handle.id();
    }
    let image = egui::ColorImage::from_gray([thumbnail.width, thumbnail.height], &thumbnail.grey);
    let handle = ctx.load_texture(format!("thumbnail {index}"), image, egui::TextureOptions::LINEAR);
    let id = handle.id();
    cache.thumbnails.insert(index, (thumbnail.clone(), handle));
    id
}
