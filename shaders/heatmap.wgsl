// The map of one slice. Compiled together with slice.wgsl and heat.wgsl. Twin on the CPU: findings::Cam::sample and cell.

// Bits of the f32 map values.
@group(2) @binding(0) var cam: texture_2d<i32>;

fn cell(column: i32, row: i32) -> f32 {
    return bitcast<f32>(textureLoad(cam, vec2<i32>(column, row), 0).r);
}

// Bilinear between cell centres, edges repeated, or the nearest cell. `x` and `y` are texels of `axes` (see slice.wgsl).
fn cam_value(x: vec4<i32>, y: vec4<i32>, size: vec2<i32>) -> f32 {
    let c1 = min(x.b + 1, size.x - 1);
    let r1 = min(y.b + 1, size.y - 1);
    let fc = bitcast<f32>(x.a);
    let fr = bitcast<f32>(y.a);
    if has(CELLS) {
        return cell(select(x.b, c1, fc >= 0.5), select(y.b, r1, fr >= 0.5));
    }
    let top = cell(x.b, y.b) * (1.0 - fc) + cell(c1, y.b) * fc;
    let bottom = cell(x.b, r1) * (1.0 - fc) + cell(c1, r1) * fc;
    return top * (1.0 - fr) + bottom * fr;
}

// Share of the study's largest value; 0 outside the map and outside the picture.
fn cam_share(x: vec4<i32>, y: vec4<i32>) -> f32 {
    if x.r < 0 || y.r < 0 || x.b < 0 || y.b < 0 {
        return 0.0;
    }
    return clamp(cam_value(x, y, view.cam_size) / view.cam_maximum, 0.0, 1.0);
}
