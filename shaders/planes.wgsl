// Draws a plane or slab across the slices of a volume. Twin on the CPU: view::raster::plane_rgba8 over volume::Stack;
// levels differ by what f32 cannot hold of a place.
// Compiled together with heat.wgsl, display.wgsl and target.wgsl.
//
// The volume is an integer texture read with textureLoad only, as the slices are.

struct View {
    // Framebuffer pixel of the view's top-left corner; may be negative when the view is partly off the screen.
    origin_px: vec2<i32>,
    // Places on each side of the plane at which a slab's values are taken.
    steps: i32,
    flags: u32,
    // Columns, rows and slices of the texture.
    size: vec4<i32>,
    // Where the centre of the view's first pixel looks, and how that moves per pixel and per step of the slab. For
    // even stacks in voxels; else in pixels of the slices and millimetres along the stack, see `voxel_at`.
    place: vec4<f32>,
    per_x: vec4<f32>,
    per_y: vec4<f32>,
    per_step: vec4<f32>,
    voi: Voi,
    // Columns, rows and slices of the maps.
    heat_size: vec4<i32>,
    // The study's largest map value, and the opacity there.
    cam_maximum: f32,
    opacity: f32,
    // Target pixels of the view.
    size_px: vec2<i32>,
    // Of a bent plane: where the centre of the first pixel lies in the table of the surface, how that moves per pixel
    // down, and millimetres per step of the slab.
    bend: vec4<f32>,
}

const EVEN = 64u; // places are voxels
const NEAREST = 128u;
const MIP = 256u;
const MINIP = 512u;
const BENT = 8192u;

@group(0) @binding(0) var<uniform> view: View;
// Bits of f32 for each step down a bent surface: its place (row 0), and what a millimetre across it is (row 1).
@group(0) @binding(1) var surface: texture_2d<i32>;
@group(1) @binding(0) var volume: texture_3d<i32>;
// Bits of f32 for each position of an uneven stack: millimetres along the stack, and the slice's first pixel in pixels
// along rows and along columns, all counted from the first slice's.
@group(1) @binding(1) var positions: texture_2d<i32>;

// Bits of the map values of each slice.
@group(2) @binding(0) var maps: texture_3d<i32>;
// Bits of f32 for each slice: where its map begins, in voxels, and shares of the map per voxel; 0 for no map.
@group(2) @binding(1) var regions: texture_2d<i32>;

// What a place holds; `found` is 0 outside the volume.
struct Sample {
    value: f32,
    found: f32,
}

fn position(index: i32) -> vec3<f32> {
    return bitcast<vec3<f32>>(textureLoad(positions, vec2<i32>(index, 0), 0).rgb);
}

// A place in voxels. Between two slices of an uneven stack the way from one to the next decides.
fn voxel_at(place: vec3<f32>) -> vec3<f32> {
    if has(EVEN) {
        return place;
    }
    var low = 0;
    var high = view.size.z - 2 + i32(nothing);
    while low < high {
        let middle = (low + high + 1) / 2;
        if position(middle).x <= place.z {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let a = position(low);
    let b = position(low + 1);
    let f = (place.z - a.x) / (b.x - a.x);
    return vec3<f32>(place.xy - mix(a.yz, b.yz, f), f32(low) + f);
}

fn stored(at: vec3<i32>) -> i32 {
    return textureLoad(volume, at, 0).r;
}

fn sample(place: vec3<f32>) -> Sample {
    var voxel = voxel_at(place);
    let size = vec3<f32>(view.size.xyz);
    if any(voxel < vec3<f32>(-0.5)) || any(voxel >= size - 0.5) {
        return Sample(0.0, 0.0);
    }
    if has(NEAREST) {
        voxel = floor(voxel + 0.5);
    }
    let last = size - 1.0;
    let inside = clamp(voxel, vec3<f32>(0.0), last);
    let low = floor(inside);
    let f = inside - low;
    let a = vec3<i32>(low);
    let b = min(a + 1, view.size.xyz - 1);
    let b000 = stored(a);
    let b100 = stored(vec3<i32>(b.x, a.y, a.z));
    let b010 = stored(vec3<i32>(a.x, b.y, a.z));
    let b110 = stored(vec3<i32>(b.x, b.y, a.z));
    let b001 = stored(vec3<i32>(a.x, a.y, b.z));
    let b101 = stored(vec3<i32>(b.x, a.y, b.z));
    let b011 = stored(vec3<i32>(a.x, b.y, b.z));
    let b111 = stored(b);
    if is_nan(b000) || is_nan(b100) || is_nan(b010) || is_nan(b110)
        || is_nan(b001) || is_nan(b101) || is_nan(b011) || is_nan(b111) {
        return Sample(0.0, 0.0);
    }
    let near = mix(
        mix(value_of(b000), value_of(b100), f.x),
        mix(value_of(b010), value_of(b110), f.x),
        f.y,
    );
    let far = mix(
        mix(value_of(b001), value_of(b101), f.x),
        mix(value_of(b011), value_of(b111), f.x),
        f.y,
    );
    let linear = mix(near, far, f.z);
    // Slabs average or select, so there is nothing to gain.
    if has(CUBIC) && view.steps == 0 {
        return Sample(cubic_value(a, f, linear), 1.0);
    }
    return Sample(linear, 1.0);
}

// What a cubic makes of the 64 voxels around a place, edges repeated; `linear` where one of them is a gap.
fn cubic_value(low: vec3<i32>, f: vec3<f32>, linear: f32) -> f32 {
    let across = cubic_weights(f.x);
    let down = cubic_weights(f.y);
    let through = cubic_weights(f.z);
    let last = view.size.xyz - 1;
    var sum = 0.0;
    for (var k = 0; k < 4; k++) {
        for (var j = 0; j < 4; j++) {
            for (var i = 0; i < 4; i++) {
                let bits = stored(clamp(low + vec3<i32>(i, j, k) - 1, vec3<i32>(0), last));
                if is_gap(bits) {
                    return linear;
                }
                sum += value_of(bits) * across[i] * down[j] * through[k];
            }
        }
    }
    return sum;
}

// The slab around a place: trapezoidal mean, largest or smallest of what lies inside the volume.
fn slab(place: vec3<f32>, per_step: vec3<f32>) -> Sample {
    let steps = view.steps + i32(nothing);
    if steps == 0 {
        return sample(place);
    }
    var sum = 0.0;
    var weight = 0.0;
    var least = 3.0e38;
    var most = -3.0e38;
    for (var i = -steps; i <= steps; i++) {
        let here = sample(place + per_step * f32(i));
        if here.found > 0.0 {
            let share = select(1.0, 0.5, abs(i) == steps);
            sum += here.value * share;
            weight += share;
            least = min(least, here.value);
            most = max(most, here.value);
        }
    }
    if weight == 0.0 {
        return Sample(0.0, 0.0);
    }
    if has(MIP) {
        return Sample(most, 1.0);
    }
    if has(MINIP) {
        return Sample(least, 1.0);
    }
    return Sample(sum / weight, 1.0);
}

fn cell(column: i32, row: i32, slice: i32) -> f32 {
    return bitcast<f32>(textureLoad(maps, vec3<i32>(column, row, slice), 0).r);
}

// Share of the study's largest value in the map of the nearest slice; 0 outside its map and outside the volume. Twin on
// the CPU: view::raster::plane_heatmap.
fn heat_share(place: vec3<f32>) -> f32 {
    let voxel = voxel_at(place);
    if any(voxel < vec3<f32>(-0.5)) || any(voxel >= vec3<f32>(view.size.xyz) - 0.5) {
        return 0.0;
    }
    let slice = min(i32(floor(voxel.z + 0.5)), view.heat_size.z - 1);
    let region = bitcast<vec4<f32>>(textureLoad(regions, vec2<i32>(slice, 0), 0));
    let at = (voxel.xy + 0.5 - region.xy) * region.zw;
    if region.z == 0.0 || any(at < vec2<f32>(0.0)) || any(at > vec2<f32>(1.0)) {
        return 0.0;
    }
    let last = view.heat_size.xy - 1;
    let cells = clamp(at * vec2<f32>(view.heat_size.xy) - 0.5, vec2<f32>(0.0), vec2<f32>(last));
    var value = 0.0;
    if has(CELLS) {
        let nearest = vec2<i32>(floor(cells + 0.5));
        value = cell(nearest.x, nearest.y, slice);
    } else {
        let a = vec2<i32>(floor(cells));
        let b = min(a + 1, last);
        let f = cells - floor(cells);
        value = mix(
            mix(cell(a.x, a.y, slice), cell(b.x, a.y, slice), f.x),
            mix(cell(a.x, b.y, slice), cell(b.x, b.y, slice), f.x),
            f.y,
        );
    }
    return clamp(value / view.cam_maximum, 0.0, 1.0);
}

// Straight between two steps of a bent surface, and beyond its ends. `row` as the table has it.
fn surface_at(target_y: f32, row: i32) -> vec3<f32> {
    let at = view.bend.x + view.bend.y * target_y;
    let last = i32(textureDimensions(surface).x) - 2;
    let low = clamp(i32(floor(at)), 0, last);
    let a = bitcast<vec3<f32>>(textureLoad(surface, vec2<i32>(low, row), 0).rgb);
    let b = bitcast<vec3<f32>>(textureLoad(surface, vec2<i32>(low + 1, row), 0).rgb);
    return mix(a, b, at - f32(low));
}

fn place_at(target_px: vec2<f32>) -> vec3<f32> {
    let place = view.place.xyz + view.per_x.xyz * target_px.x;
    if has(BENT) {
        return place + surface_at(target_px.y, 0);
    }
    return place + view.per_y.xyz * target_px.y;
}

fn step_at(target_y: f32) -> vec3<f32> {
    if has(BENT) {
        return surface_at(target_y, 1) * view.bend.z;
    }
    return view.per_step.xyz;
}

fn within(target_px: vec2<f32>) -> bool {
    let inside = clamp(target_px, vec2<f32>(0.0), vec2<f32>(view.size_px) - 1.0);
    return heat_share(place_at(inside)) >= OUTLINE_SHARE;
}

// The outline runs between this target pixel and one beside it.
fn is_edge(at: vec2<f32>) -> bool {
    let here = within(at);
    return within(at - vec2<f32>(1.0, 0.0)) != here
        || within(at + vec2<f32>(1.0, 0.0)) != here
        || within(at - vec2<f32>(0.0, 1.0)) != here
        || within(at + vec2<f32>(0.0, 1.0)) != here;
}

// Display value 0..=1 per channel, always a whole number of 255ths.
fn display_value(position: vec4<f32>) -> vec3<f32> {
    let target_px = vec2<f32>(floor(position.xy)) - vec2<f32>(view.origin_px);
    let here = slab(place_at(target_px), step_at(target_px.y));
    var grey = vec3<f32>(0.0);
    if here.found > 0.0 && !is_padding(here.value) {
        let level = windowed(here.value);
        grey = vec3<f32>(f32(select(level, 255 - level, has(INVERT))) / 255.0);
    }
    if !has(HEATMAP) {
        return grey;
    }
    if has(OUTLINE) {
        return select(grey, whole_levels(OUTLINE_COLOUR), is_edge(target_px));
    }
    return heat_over(grey, heat_share(place_at(target_px)), view.opacity);
}
