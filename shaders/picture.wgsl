// Shows a picture that was drawn into a texture of its own, in whatever size the view has by now.

struct View {
    // The view's corner and size in the target's pixels.
    origin_px: vec2<f32>,
    size_px: vec2<f32>,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var linear: sampler;

// One triangle that covers the viewport.
@vertex
fn vs_main(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    return vec4<f32>(corner * 2.0 - 1.0, 0.0, 1.0);
}

fn display_value(position: vec4<f32>) -> vec3<f32> {
    return textureSampleLevel(picture, linear, (position.xy - view.origin_px) / view.size_px, 0.0).rgb;
}

// For a target without transfer function: the display value is the byte.
@fragment
fn fs_display(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    return vec4<f32>(display_value(position), 1.0);
}

// For an sRGB target, which encodes on writing (IEC 61966-2-1): decode first, so that the same bytes come out.
@fragment
fn fs_srgb(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let encoded = display_value(position);
    let linear_value = select(
        pow((encoded + 0.055) / 1.055, vec3<f32>(2.4)),
        encoded / 12.92,
        encoded <= vec3<f32>(0.04045),
    );
    return vec4<f32>(linear_value, 1.0);
}
