//! A reading room: dark, neutral, quiet; or light where the room is bright. Images, strips and what is written on them are
//! the same in both: light on black, and nothing on the chrome is brighter than the image may be.

use egui::{Color32, CornerRadius, FontFamily, FontId, Shadow, Stroke, TextStyle, Theme, ThemePreference, Visuals};

use crate::state::{Settings, ThemeSetting};

/// The colours of panels and dialogs.
#[derive(Debug)]
pub struct Palette {
    pub background: Color32,
    pub panel: Color32,
    pub raised: Color32,
    hovered: Color32,
    pub line: Color32,
    pub text: Color32,
    pub dim: Color32,
    pub accent: Color32,
    pub accent_fill: Color32,
    pub warning: Color32,
    pub stop: Color32,
    /// What the reader has drawn.
    pub measure: Color32,
}

pub const DARK: Palette = Palette {
    background: Color32::from_rgb(0x10, 0x12, 0x14),
    panel: Color32::from_rgb(0x19, 0x1c, 0x1f),
    raised: Color32::from_rgb(0x24, 0x28, 0x2c),
    hovered: Color32::from_rgb(0x2d, 0x33, 0x38),
    line: Color32::from_rgb(0x33, 0x38, 0x3e),
    text: Color32::from_rgb(0xc9, 0xce, 0xd4),
    dim: Color32::from_rgb(0x9c, 0xa3, 0xab),
    accent: Color32::from_rgb(0x5b, 0x94, 0xc8),
    accent_fill: Color32::from_rgb(0x20, 0x37, 0x4d),
    warning: Color32::from_rgb(0xd8, 0xa0, 0x48),
    stop: Color32::from_rgb(0xe0, 0x7b, 0x72),
    measure: Color32::from_rgb(0xd8, 0xd0, 0x80),
};

pub const LIGHT: Palette = Palette {
    background: Color32::from_rgb(0xf6, 0xf7, 0xf8),
    panel: Color32::from_rgb(0xed, 0xef, 0xf1),
    raised: Color32::from_rgb(0xde, 0xe2, 0xe6),
    hovered: Color32::from_rgb(0xd2, 0xd8, 0xde),
    line: Color32::from_rgb(0xb4, 0xbc, 0xc4),
    text: Color32::from_rgb(0x1c, 0x21, 0x26),
    dim: Color32::from_rgb(0x4c, 0x54, 0x5c),
    accent: Color32::from_rgb(0x1c, 0x5a, 0x96),
    accent_fill: Color32::from_rgb(0xc4, 0xdb, 0xf0),
    warning: Color32::from_rgb(0x75, 0x48, 0x00),
    stop: Color32::from_rgb(0x9c, 0x22, 0x1a),
    measure: Color32::from_rgb(0x5f, 0x52, 0x00),
};

/// The colours of the theme in force.
pub fn of(ui: &egui::Ui) -> &'static Palette {
    if ui.visuals().dark_mode { &DARK } else { &LIGHT }
}

// On images and strips, which are black in both themes.
pub const BACKGROUND: Color32 = DARK.background;
pub const PANEL: Color32 = DARK.panel;
pub const RAISED: Color32 = DARK.raised;
pub const LINE: Color32 = DARK.line;
pub const TEXT: Color32 = DARK.text;
pub const DIM: Color32 = DARK.dim;
pub const ACCENT: Color32 = DARK.accent;
pub const WARNING: Color32 = DARK.warning;
/// The reference standard: what is known, in no colour that the network's results have.
pub const REFERENCE: Color32 = Color32::from_rgb(0x5f, 0xc9, 0xa0);
/// Lines of the sagittal and of the coronal plane; the axial one's is the accent.
pub const SAGITTAL: Color32 = Color32::from_rgb(0x86, 0xae, 0x72);
pub const CORONAL: Color32 = Color32::from_rgb(0xae, 0x87, 0xbd);
/// What the reader has drawn; the lighter one is selected or being drawn.
pub const MEASURE: Color32 = DARK.measure;
pub const MEASURE_SELECTED: Color32 = Color32::from_rgb(0xf2, 0xee, 0xc4);

/// Sets fonts, sizes and the colours of both themes once.
pub fn apply(ctx: &egui::Context) {
    ctx.set_theme(Theme::Dark);
    // The scale is a setting of ours, with keys from the table.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
    for (theme, palette) in [(Theme::Dark, &DARK), (Theme::Light, &LIGHT)] {
        ctx.style_mut_of(theme, |style| {
            style.text_styles = [
                (TextStyle::Small, FontId::new(11.5, FontFamily::Proportional)),
                (TextStyle::Body, FontId::new(13.5, FontFamily::Proportional)),
                (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
                (TextStyle::Button, FontId::new(13.5, FontFamily::Proportional)),
                (TextStyle::Heading, FontId::new(19.0, FontFamily::Proportional)),
            ]
            .into();
            style.visuals = visuals(theme, palette);
            style.spacing.item_spacing = egui::vec2(8.0, 5.0);
            style.spacing.button_padding = egui::vec2(8.0, 3.0);
            style.animation_time = 0.0;
            style.interaction.tooltip_delay = 0.35;
            style.url_in_tooltip = false;
        });
    }
}

/// Theme and scale as the settings have them now.
pub fn follow(ctx: &egui::Context, settings: &Settings) {
    let wanted = match settings.theme {
        ThemeSetting::Dark => ThemePreference::Dark,
        ThemeSetting::Light => ThemePreference::Light,
        ThemeSetting::System => ThemePreference::System,
    };
    if ctx.options(|options| options.theme_preference) != wanted {
        ctx.set_theme(wanted);
    }
    let scale = f32::from(settings.scale_percent) / 100.0;
    if ctx.zoom_factor() != scale {
        ctx.set_zoom_factor(scale);
    }
}

fn visuals(theme: Theme, palette: &Palette) -> Visuals {
    let mut v = theme.default_visuals();
    v.panel_fill = palette.panel;
    v.window_fill = palette.panel;
    v.extreme_bg_color = palette.background;
    v.faint_bg_color = palette.raised;
    v.window_stroke = Stroke::new(1.0, palette.line);
    v.window_shadow = Shadow::NONE;
    v.popup_shadow = Shadow::NONE;
    v.selection.bg_fill = palette.accent_fill;
    v.selection.stroke = Stroke::new(1.0, palette.accent);
    v.hyperlink_color = palette.accent;
    v.warn_fg_color = palette.warning;
    v.error_fg_color = palette.stop;
    v.weak_text_color = Some(palette.dim);
    v.window_corner_radius = CornerRadius::same(2);
    v.menu_corner_radius = CornerRadius::same(2);
    let w = &mut v.widgets;
    for (state, fill, stroke) in [
        (&mut w.noninteractive, palette.panel, palette.line),
        (&mut w.inactive, palette.raised, palette.line),
        (&mut w.hovered, palette.hovered, palette.accent),
        (&mut w.active, palette.accent_fill, palette.accent),
        (&mut w.open, palette.raised, palette.line),
    ] {
        state.bg_fill = fill;
        state.weak_bg_fill = fill;
        state.bg_stroke = Stroke::new(1.0, stroke);
        state.fg_stroke = Stroke::new(1.0, palette.text);
        state.corner_radius = CornerRadius::same(2);
        state.expansion = 0.0;
    }
    v
}

/// Drawn around what has the keyboard and draws itself.
pub fn focus_ring(painter: &egui::Painter, rect: egui::Rect) {
    painter.rect_stroke(rect, 1.0, Stroke::new(2.0, ACCENT), egui::StrokeKind::Inside);
}

/// The heatmap's ramp as an egui colour.
pub fn heat(t: f32) -> Color32 {
    let [r, g, b] = crate::view::colormap::colour(t).map(|c| (c * 255.0).round() as u8);
    Color32::from_rgb(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.
    fn luminance(colour: Color32) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
    }
    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_is_legible_on_every_ground_of_both_themes() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 1e-9);
        for (theme, p) in [("dark", &DARK), ("light", &LIGHT)] {
            let grounds = [("background", p.background), ("panel", p.panel), ("raised", p.raised)];
            let texts = [
                ("text", p.text),
                ("dim", p.dim),
                ("accent", p.accent),
                ("warning", p.warning),
                ("stop", p.stop),
                ("measure", p.measure),
            ];
            for (ground_name, ground) in grounds {
                for (name, text) in texts {
                    let ratio = contrast(text, ground);
                    assert!(ratio >= 4.5, "{theme}: {name} on {ground_name} has {ratio:.2}");
                }
            }
            for (name, text) in [("text", p.text), ("dim", p.dim), ("measure", p.measure)] {
                for (ground_name, ground) in [("selected", p.accent_fill), ("hovered", p.hovered)] {
                    let ratio = contrast(text, ground);
                    assert!(ratio >= 4.5, "{theme}: {name} on {ground_name} has {ratio:.2}");
                }
            }
        }
        for text in [TEXT, DIM, ACCENT, WARNING, REFERENCE, SAGITTAL, CORONAL, MEASURE, MEASURE_SELECTED] {
            assert!(contrast(text, Color32::BLACK) >= 4.5, "on the image: {text:?}");
        }
    }
}
