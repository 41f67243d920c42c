// The surface of the bone by parallel rays through a coarse copy of the volume. Twin on the CPU: view::surface::rgba8;
// levels differ where a device interpolates textures with few digits.
// Compiled together with target.wgsl.

struct View {
    // Where the ray of the first pixel's centre stands, and how that moves per pixel; voxels.
    first: vec4<f32>,
    per_x: vec4<f32>,
    per_y: vec4<f32>,
    // Into the picture, a voxel long.
    along: vec4<f32>,
    // Voxels and blocks each way.
    size: vec4<i32>,
    blocks: vec4<i32>,
    // The surface lies where voxels reach this level.
    level: f32,
    // Half of the way that a ray can have within the solid, voxels.
    reach: f32,
    spare: vec2<f32>,
}

const BLOCK = 8;
const STEP = 0.5;
const HALVINGS = 5;
const BEYOND = 0.01;
const AMBIENT = 0.1;
const FACING = 0.9;
const FAR_SHADE = 0.45;
const BONE = vec3<f32>(0.96, 0.91, 0.82);
const GROUND = vec3<f32>(0.05, 0.055, 0.065);

@group(0) @binding(0) var<uniform> view: View;
@group(1) @binding(0) var solid: texture_3d<f32>;
// The largest level of each block of voxels.
@group(1) @binding(1) var largest: texture_3d<f32>;
@group(1) @binding(2) var linear: sampler;

fn level_at(voxel: vec3<f32>) -> f32 {
    return textureSampleLevel(solid, linear, (voxel + 0.5) / vec3<f32>(view.size.xyz), 0.0).r;
}

// Where a ray enters and leaves the room between the outermost voxels' centres.
fn span_of(origin: vec3<f32>) -> vec2<f32> {
    let last = vec3<f32>(view.size.xyz) - 1.0;
    let along = view.along.xyz + f32(nothing);
    var span = vec2<f32>(-1.0e9, 1.0e9);
    for (var i = 0; i < 3; i++) {
        if abs(along[i]) < 1.0e-6 {
            if origin[i] < 0.0 || origin[i] > last[i] {
                return vec2<f32>(0.0, -1.0);
            }
            continue;
        }
        let a = -origin[i] / along[i];
        let b = (last[i] - origin[i]) / along[i];
        span = vec2<f32>(max(span.x, min(a, b)), min(span.y, max(a, b)));
    }
    return span;
}

fn way_out(here: vec3<f32>, block: vec3<i32>) -> f32 {
    let along = view.along.xyz + f32(nothing);
    var way = 3.0e38;
    for (var i = 0; i < 3; i++) {
        if abs(along[i]) >= 1.0e-6 {
            let face = f32((block[i] + select(0, 1, along[i] > 0.0)) * BLOCK);
            way = min(way, (face - here[i]) / along[i]);
        }
    }
    return max(way, 0.0);
}

// The distance at which the level is first reached, and 1; or 0 in the second place.
fn hit(origin: vec3<f32>) -> vec2<f32> {
    let span = span_of(origin);
    var t = span.x;
    while t <= span.y {
        let here = origin + view.along.xyz * t;
        let block = clamp(vec3<i32>(here), vec3<i32>(0), view.size.xyz - 1) / BLOCK;
        if round(textureLoad(largest, block, 0).r * 255.0) < view.level {
            t += way_out(here, block) + BEYOND;
            continue;
        }
        if level_at(here) >= view.level {
            var before = max(t - STEP, span.x);
            var after = t;
            for (var i = 0; i < HALVINGS; i++) {
                let middle = (before + after) / 2.0;
                if level_at(origin + view.along.xyz * middle) >= view.level {
                    after = middle;
                } else {
                    before = middle;
                }
            }
            return vec2<f32>(after, 1.0);
        }
        t += STEP;
    }
    return vec2<f32>(0.0, 0.0);
}

fn slope(here: vec3<f32>, by: vec3<f32>) -> f32 {
    return level_at(here + by) - level_at(here - by);
}

fn display_value(position: vec4<f32>) -> vec3<f32> {
    let px = floor(position.xy);
    let origin = view.first.xyz + view.per_x.xyz * px.x + view.per_y.xyz * px.y;
    let met = hit(origin);
    if met.y == 0.0 {
        return GROUND;
    }
    let here = origin + view.along.xyz * met.x;
    let gradient = vec3<f32>(
        slope(here, vec3<f32>(1.0, 0.0, 0.0)),
        slope(here, vec3<f32>(0.0, 1.0, 0.0)),
        slope(here, vec3<f32>(0.0, 0.0, 1.0)),
    );
    let steepness = length(gradient);
    // Values rise into the bone, which is away from the viewer where the surface faces him.
    var facing = 1.0;
    if steepness > 1.0e-3 {
        facing = max(dot(gradient, view.along.xyz) / steepness, 0.0);
    }
    let behind = clamp((met.x + view.reach) / (2.0 * view.reach), 0.0, 1.0);
    let light = (AMBIENT + FACING * facing) * (1.0 - FAR_SHADE * behind);
    return BONE * light;
}
