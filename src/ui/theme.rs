//! A reading room: dark, neutral, quiet. Nothing on the chrome is brighter than the image may be.

use egui::{Color32, CornerRadius, FontFamily, FontId, Shadow, Stroke, TextStyle, Visuals};

pub const BACKGROUND: Color32 = Color32::from_rgb(0x10, 0x12, 0x14);
pub const PANEL: Color32 = Color32::from_rgb(0x19, 0x1c, 0x1f);
pub const RAISED: Color32 = Color32::from_rgb(0x24, 0x28, 0x2c);
pub const LINE: Color32 = Color32::from_rgb(0x33, 0x38, 0x3e);
pub const TEXT: Color32 = Color32::from_rgb(0xc9, 0xce, 0xd4);
pub const DIM: Color32 = Color32::from_rgb(0x96, 0x9d, 0xa5);
pub const ACCENT: Color32 = Color32::from_rgb(0x5b, 0x94, 0xc8);
pub const ACCENT_FILL: Color32 = Color32::from_rgb(0x23, 0x3c, 0x54);
pub const WARNING: Color32 = Color32::from_rgb(0xd8, 0xa0, 0x48);
/// The reference standard: what is known, in no colour that the network's results have.
pub const REFERENCE: Color32 = Color32::from_rgb(0x5f, 0xc9, 0xa0);
/// Lines of the sagittal and of the coronal plane; the axial one's is the accent.
pub const SAGITTAL: Color32 = Color32::from_rgb(0x86, 0xae, 0x72);
pub const CORONAL: Color32 = Color32::from_rgb(0xae, 0x87, 0xbd);
/// What the reader has drawn; the lighter one is selected or being drawn.
pub const MEASURE: Color32 = Color32::from_rgb(0xd8, 0xd0, 0x80);
pub const MEASURE_SELECTED: Color32 = Color32::from_rgb(0xf2, 0xee, 0xc4);
pub const STOP: Color32 = Color32::from_rgb(0xcc, 0x6a, 0x62);

/// Sets fonts, sizes and colours once.
pub fn apply(ctx: &egui::Context) {
    ctx.set_theme(egui::Theme::Dark);
    ctx.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Small, FontId::new(11.5, FontFamily::Proportional)),
            (TextStyle::Body, FontId::new(13.5, FontFamily::Proportional)),
            (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
            (TextStyle::Button, FontId::new(13.5, FontFamily::Proportional)),
            (TextStyle::Heading, FontId::new(19.0, FontFamily::Proportional)),
        ]
        .into();
        style.visuals = visuals();
        style.spacing.item_spacing = egui::vec2(8.0, 5.0);
        style.spacing.button_padding = egui::vec2(8.0, 3.0);
        style.animation_time = 0.0;
        style.interaction.tooltip_delay = 0.35;
        style.url_in_tooltip = false;
    });
}

fn visuals() -> Visuals {
    let mut v = Visuals::dark();
    v.panel_fill = PANEL;
    v.window_fill = PANEL;
    v.extreme_bg_color = BACKGROUND;
    v.faint_bg_color = RAISED;
    v.window_stroke = Stroke::new(1.0, LINE);
    v.window_shadow = Shadow::NONE;
    v.popup_shadow = Shadow::NONE;
    v.selection.bg_fill = ACCENT_FILL;
    v.selection.stroke = Stroke::new(1.0, ACCENT);
    v.hyperlink_color = ACCENT;
    v.warn_fg_color = WARNING;
    v.error_fg_color = STOP;
    v.weak_text_color = Some(DIM);
    v.window_corner_radius = CornerRadius::same(2);
    v.menu_corner_radius = CornerRadius::same(2);
    let w = &mut v.widgets;
    for (state, fill, stroke, text) in [
        (&mut w.noninteractive, PANEL, LINE, TEXT),
        (&mut w.inactive, RAISED, LINE, TEXT),
        (&mut w.hovered, Color32::from_rgb(0x2d, 0x33, 0x38), ACCENT, TEXT),
        (&mut w.active, ACCENT_FILL, ACCENT, TEXT),
        (&mut w.open, RAISED, LINE, TEXT),
    ] {
        state.bg_fill = fill;
        state.weak_bg_fill = fill;
        state.bg_stroke = Stroke::new(1.0, stroke);
        state.fg_stroke = Stroke::new(1.0, text);
        state.corner_radius = CornerRadius::same(2);
        state.expansion = 0.0;
    }
    v
}

/// The heatmap's ramp as an egui colour.
pub fn heat(t: f32) -> Color32 {
    let [r, g, b] = crate::view::colormap::colour(t).map(|c| (c * 255.0).round() as u8);
    Color32::from_rgb(r, g, b)
}
