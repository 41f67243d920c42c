// The heatmap's colours, the same over slices and planes. Compiled together with slice.wgsl or planes.wgsl. Twins on the
// CPU: view::colormap, view::raster. Composed here and not by the blend unit, so that the result does not depend on the
// target's transfer function.

const CELLS = 1024u; // the network's own cells instead of values between them
const OUTLINE = 2048u; // a line where the map is half of the study's largest value

// view::OUTLINE_SHARE and view::colormap::OUTLINE; a test compares.
const OUTLINE_SHARE = 0.5;
const OUTLINE_COLOUR = vec3<f32>(0.97, 0.59, 0.10);

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

fn whole_levels(colour: vec3<f32>) -> vec3<f32> {
    return floor(clamp(colour, vec3<f32>(0.0), vec3<f32>(1.0)) * 255.0 + 0.5) / 255.0;
}

// Transparency by value: a share of 1 covers with `opacity`, one of 0 not at all.
fn heat_over(under: vec3<f32>, share: f32, opacity: f32) -> vec3<f32> {
    let alpha = clamp(opacity * share, 0.0, 1.0);
    return whole_levels(under * (1.0 - alpha) + ramp_colour(share) * alpha);
}
