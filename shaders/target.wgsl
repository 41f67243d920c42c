// Where every pixel of a target asks `display_value`, which the shader says that this is compiled together with.

// One triangle that covers the viewport.
@vertex
fn vs_main(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    return vec4<f32>(corner * 2.0 - 1.0, 0.0, 1.0);
}

// Always 0, but no compiler can know. What branches depend on is added to it: Mesa's software driver builds the shader anew
// for each draw, and keeps what it built, where a branch hangs on uniform values alone.
var<private> nothing: u32;

fn begin(position: vec4<f32>) {
    // Pixels begin at 0.
    nothing = select(0u, 1u, position.x < -1.0);
}

// For a target without transfer function, which is what egui draws to: the display value is the byte.
@fragment
fn fs_display(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    begin(position);
    return vec4<f32>(display_value(position), 1.0);
}

// For an sRGB target, which encodes on writing (IEC 61966-2-1): decode first, so that the same bytes come out.
@fragment
fn fs_srgb(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    begin(position);
    let encoded = display_value(position);
    let decoded = select(pow((encoded + 0.055) / 1.055, vec3<f32>(2.4)), encoded / 12.92, encoded <= vec3<f32>(0.04045));
    return vec4<f32>(decoded, 1.0);
}
