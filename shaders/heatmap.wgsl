// The heatmap over a grey pixel. Twins on the CPU: findings::Cam::sample, view::colormap, view::raster.
// Composed here and not by the blend unit, so that the result does not depend on the target's transfer function.

// Bits of the f32 map values.
@group(2) @binding(0) var cam: texture_2d<i32>;

// The same table as view::colormap::RAMP; a test compares.
const RAMP = array<vec3<f32>, 6>(
    vec3<f32>(0.10, 0.04, 0.23),
    vec3<f32>(0.35, 0.08, 0.43),
    vec3<f32>(0.62, 0.16, 0.39),
    vec3<f32>(0.86, 0.32, 0.23),
    vec3<f32>(0.97, 0.59, 0.10),
    vec3<f32>(0.98, 0.93, 0.56),
);

fn ramp_colour(t: f32) -> vec3<f32> {
    var ramp = RAMP;
    let place = clamp(t, 0.0, 1.0) * 5.0;
    let low = min(i32(floor(place)), 4);
    let f = place - f32(low);
    return ramp[low] * (1.0 - f) + ramp[low + 1] * f;
}

fn cell(column: i32, row: i32) -> f32 {
    return bitcast<f32>(textureLoad(cam, vec2<i32>(column, row), 0).r);
}

// Bilinear between cell centres, edges repeated. `x` and `y` are texels of `axes` (see slice.wgsl).
fn cam_value(x: vec4<i32>, y: vec4<i32>, size: vec2<i32>) -> f32 {
    let c1 = min(x.b + 1, size.x - 1);
    let r1 = min(y.b + 1, size.y - 1);
    let fc = bitcast<f32>(x.a);
    let fr = bitcast<f32>(y.a);
    let top = cell(x.b, y.b) * (1.0 - fc) + cell(c1, y.b) * fc;
    let bottom = cell(x.b, r1) * (1.0 - fc) + cell(c1, r1) * fc;
    return top * (1.0 - fr) + bottom * fr;
}

// Transparency by value: a cell at the study's maximum covers with `opacity`, a cell at 0 not at all.
fn heat_over(
    under: vec3<f32>,
    x: vec4<i32>,
    y: vec4<i32>,
    size: vec2<i32>,
    maximum: f32,
    opacity: f32,
) -> vec3<f32> {
    let share = clamp(cam_value(x, y, size) / maximum, 0.0, 1.0);
    let alpha = clamp(opacity * share, 0.0, 1.0);
    let colour = under * (1.0 - alpha) + ramp_colour(share) * alpha;
    return floor(clamp(colour, vec3<f32>(0.0), vec3<f32>(1.0)) * 255.0 + 0.5) / 255.0;
}
