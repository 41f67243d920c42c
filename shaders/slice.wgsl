// Draws one slice: values to grey, heatmap over it. Twin on the CPU: src/view/raster.rs, bytes equal within one level.
// Compiled together with heatmap.wgsl, heat.wgsl, display.wgsl and target.wgsl.
//
// Textures are integer ones and read with textureLoad only: exact for every CT value, no optional device feature,
// and interpolation in our own hands (values first, window after).

struct View {
    // Framebuffer pixel of the view's top-left corner; may be negative when the view is partly off the screen.
    origin_px: vec2<i32>,
    // Columns and rows of the slice and of the map.
    image_size: vec2<i32>,
    cam_size: vec2<i32>,
    // Distance to the second pixel of an interpolation: 1 for linear, 0 for nearest.
    neighbour: i32,
    flags: u32,
    voi: Voi,
    // The study's largest map value, and the opacity there.
    cam_maximum: f32,
    opacity: f32,
    // Target pixels of the view.
    size_px: vec2<i32>,
}

@group(0) @binding(0) var<uniform> view: View;
// Where each target column (row 0) and target row (row 1) looks: lower pixel, or -1 outside the picture; bits of the
// fraction towards the next; lower map cell, or -1 outside the map; bits of its fraction. Made in f64 by
// gpu::uniforms, since f32 cannot hold a position to the part of a pixel that decides a grey level or an edge.
@group(0) @binding(1) var axes: texture_2d<i32>;
@group(1) @binding(0) var slice: texture_2d<i32>;

fn stored(column: i32, row: i32) -> i32 {
    return textureLoad(slice, vec2<i32>(column, row), 0).r;
}

// What a cubic makes of the sixteen pixels around a place, edges repeated; `linear` where one of them is a gap.
fn cubic_value(x: vec4<i32>, y: vec4<i32>, linear: f32) -> f32 {
    let across = cubic_weights(bitcast<f32>(x.g));
    let down = cubic_weights(bitcast<f32>(y.g));
    let last = view.image_size - 1;
    var sum = 0.0;
    for (var j = 0; j < 4; j++) {
        let row = clamp(y.r + j - 1, 0, last.y);
        var line = 0.0;
        for (var i = 0; i < 4; i++) {
            let bits = stored(clamp(x.r + i - 1, 0, last.x), row);
            if is_gap(bits) {
                return linear;
            }
            line += value_of(bits) * across[i];
        }
        sum += line * down[j];
    }
    return sum;
}

// Grey level of the picture where the axes say.
fn grey_level(x: vec4<i32>, y: vec4<i32>) -> i32 {
    let c1 = min(x.r + view.neighbour, view.image_size.x - 1);
    let r1 = min(y.r + view.neighbour, view.image_size.y - 1);
    let b00 = stored(x.r, y.r);
    let b10 = stored(c1, y.r);
    let b01 = stored(x.r, r1);
    let b11 = stored(c1, r1);
    var level = 0;
    if !(is_nan(b00) || is_nan(b10) || is_nan(b01) || is_nan(b11)) {
        let fc = bitcast<f32>(x.g);
        let fr = bitcast<f32>(y.g);
        let top = value_of(b00) * (1.0 - fc) + value_of(b10) * fc;
        let bottom = value_of(b01) * (1.0 - fc) + value_of(b11) * fc;
        var value = top * (1.0 - fr) + bottom * fr;
        if has(CUBIC) {
            value = cubic_value(x, y, value);
        }
        // Padding is no measurement: black, whatever the window or the polarity.
        if is_padding(value) {
            return 0;
        }
        level = windowed(value);
    }
    return select(level, 255 - level, has(INVERT));
}

fn across(column: i32) -> vec4<i32> {
    return textureLoad(axes, vec2<i32>(clamp(column, 0, view.size_px.x - 1), 0), 0);
}

fn down(row: i32) -> vec4<i32> {
    return textureLoad(axes, vec2<i32>(clamp(row, 0, view.size_px.y - 1), 1), 0);
}

// The outline runs between this target pixel and one beside it.
fn is_edge(at: vec2<i32>) -> bool {
    let x = across(at.x);
    let y = down(at.y);
    let here = cam_share(x, y) >= OUTLINE_SHARE;
    return (cam_share(across(at.x - 1), y) >= OUTLINE_SHARE) != here
        || (cam_share(across(at.x + 1), y) >= OUTLINE_SHARE) != here
        || (cam_share(x, down(at.y - 1)) >= OUTLINE_SHARE) != here
        || (cam_share(x, down(at.y + 1)) >= OUTLINE_SHARE) != here;
}

// Display value 0..=1 per channel, always a whole number of 255ths.
fn display_value(position: vec4<f32>) -> vec3<f32> {
    let target_px = vec2<i32>(floor(position.xy)) - view.origin_px;
    let x = across(target_px.x);
    let y = down(target_px.y);
    if x.r < 0 || y.r < 0 {
        return vec3<f32>(0.0);
    }
    let grey = vec3<f32>(f32(grey_level(x, y)) / 255.0);
    if !has(HEATMAP) {
        return grey;
    }
    if has(OUTLINE) {
        return select(grey, whole_levels(OUTLINE_COLOUR), is_edge(target_px));
    }
    return heat_over(grey, cam_share(x, y), view.opacity);
}
